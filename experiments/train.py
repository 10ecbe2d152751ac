"""Trains one genome longer than a search does, over several seeds.

    python -m experiments.train --genome=runs/mnist/front/0012/genome.json \
        --dataset=mnist --epochs=60 --seeds=3 --run_dir=runs/mnist-0012

writes what a search writes (``front.json``, ``best.json``, ``trials.csv``,
``front.png``, weights and masks), with one trial per seed, and prints mean and spread
of the errors. The test split is read once per seed, after training. ``--init`` starts
from weights instead of fresh ones: those of the search, say.
"""

import dataclasses
import json
import pathlib
from collections.abc import Sequence

import numpy as np
from absl import flags
from rich import console as rich_console
from rich import progress as rich_progress

from experiments import _cli, _flags, _results
from spjax import data, genomes, networks, report, search, training

flags.adopt_module_key_flags(_flags)
flags.adopt_module_key_flags(_cli)
_GENOME = flags.DEFINE_string("genome", None, "The genome, a JSON file.")
_INIT = flags.DEFINE_string("init", None, "Weights to start from, an .npz file.")
_EPOCHS = flags.DEFINE_integer("epochs", 100, "Passes over the data.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Images a step.", lower_bound=1)
_SEEDS = flags.DEFINE_integer("seeds", 3, "Number of trainings.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the first training.", lower_bound=0)
_SPARSITY = flags.DEFINE_float(
    "sparsity", None, "Share of weights removed, instead of the genome's.", 0.0, 0.999
)
_LEARNING_RATE = flags.DEFINE_float(
    "learning_rate", None, "Peak learning rate, instead of the genome's.", 1e-6, 1.0
)
_AUGMENT_SHIFT = flags.DEFINE_integer(
    "augment_shift", 0, "Largest random shift of a training image.", lower_bound=0
)
_MEMORY_MODEL = flags.DEFINE_enum(
    "memory_model", "input_output", search.MEMORY_MODELS, "Which working memory."
)
_RUN_DIR = flags.DEFINE_string("run_dir", None, "Folder for the results.")


def main(argv: Sequence[str]) -> int:
    """Trains once per seed, then writes and prints the results."""
    del argv
    started = _results.now()
    genome = _read_genome()
    if _INIT.value is not None:
        networks.load_tree(_INIT.value)  # A bad file is better found before training.
    board = _flags.get_board()
    dataset = _flags.load_dataset()
    genomes.validate(genome, dataset.input_shape)
    run_dir = _new_folder()
    data.save_arrays(dataset, search.data_folder(run_dir))
    search.start_worker(str(run_dir / "cache"))

    rows = _train_all(genome, run_dir, dataset, board)
    head = _results.header(
        dataset,
        board,
        memory_model=_MEMORY_MODEL.value,
        seed=_SEED.value,
        flags=_cli.flag_values(),
        started=started,
    )
    # Every seed is tested, on the front or not: a mean needs them all.
    tested = _results.ReadOnce(dataset)
    for row in rows:
        row["test_error"] = _results.test_error(run_dir, row, tested)
    _results.write_results(run_dir, rows, head, tested)
    _print(rows, head, run_dir)
    return 0


def _read_genome() -> genomes.Genome:
    if _GENOME.value is None:
        raise _cli.UsageError("--genome is missing: give a genome's JSON file")
    try:
        text = pathlib.Path(_GENOME.value).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise _cli.UsageError(
            f"--genome={_GENOME.value} cannot be read: {error}"
        ) from error
    genome = genomes.from_json(text)
    changes = {
        name: flag.value
        for name, flag in (("sparsity", _SPARSITY), ("learning_rate", _LEARNING_RATE))
        if flag.value is not None
    }
    genes = dataclasses.replace(genome.training, **changes)
    return genomes.canonical(dataclasses.replace(genome, training=genes))


def _new_folder() -> pathlib.Path:
    if _RUN_DIR.value is None:
        return _results.free_folder(f"runs/train-{pathlib.Path(_GENOME.value).stem}")
    run_dir = pathlib.Path(_RUN_DIR.value)
    if (run_dir / "trials").exists():
        raise _cli.UsageError(
            f"--run_dir={run_dir} holds results already: choose another folder"
        )
    run_dir.mkdir(parents=True, exist_ok=True)
    return run_dir


def _train_all(genome, run_dir, dataset, board):
    """One row per seed, as the search makes one per trial."""
    limits = {
        _MEMORY_MODEL.value: board.ram_bytes,
        "model_size_nonzero": board.flash_bytes,
    }
    rows = []
    with _bar() as bar:
        task = bar.add_task("training", total=_SEEDS.value * _EPOCHS.value)

        def advance(report):
            text = f"seed {config.seed}: error {report['validation_error']:.2%}"
            bar.update(task, advance=1, description=text)

        for index in range(_SEEDS.value):
            config = training.TrainConfig(
                epochs=_EPOCHS.value,
                batch_size=_BATCH_SIZE.value,
                seed=_SEED.value + index,
                augment_shift=_AUGMENT_SHIFT.value,
            )
            spec = search.TrialSpec(
                run_dir=str(run_dir),
                index=index,
                genome=genomes.to_json(genome),
                init=_INIT.value,
                config=config,
            )
            figures = search.run_trial(spec, advance)
            feasible = all(figures[name] <= limit for name, limit in limits.items())
            rows.append(
                {
                    "index": index,
                    "status": "failed" if figures["diverged"] else "completed",
                    "reason": "training diverged" if figures["diverged"] else None,
                    "genome_id": genomes.genome_id(genome),
                    "genome": json.loads(genomes.to_json(genome)),
                    "parent": None,
                    "edit": f"seed {config.seed}",
                    "feasible": feasible,
                    **figures,
                }
            )
    done = [row for row in rows if row["status"] == "completed"]
    objectives = ("validation_error", "model_size_nonzero", _MEMORY_MODEL.value)
    values = np.array([[row[name] for name in objectives] for row in done])
    front = search.non_dominated(values) if done else ()
    for row in rows:
        row["on_front"] = False
    for row, on_front in zip(done, front, strict=True):
        row["on_front"] = bool(on_front)
    return rows


def _bar():
    return rich_progress.Progress(
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TextColumn("epochs"),
        rich_progress.TimeRemainingColumn(),
        console=rich_console.Console(stderr=True),
    )


def _print(rows, head, run_dir):
    console = rich_console.Console()
    for row in rows:
        console.print(report.trial_line(row, head), soft_wrap=True)
    names = ("validation_error", "test_error", "model_size_nonzero")
    for name in (*names, _MEMORY_MODEL.value):
        values = np.array([row[name] for row in rows], float)
        spread = values.std(ddof=1) if len(values) > 1 else 0.0
        unit = "" if name.endswith("error") else " bytes"
        print(
            f"{name}: mean {values.mean():.6g}{unit}, standard deviation "
            f"{spread:.2g} over {len(values)} seed(s)"
        )
    print(f"results: {run_dir}/front.json, best.json, trials.csv, report.html")


if __name__ == "__main__":
    _cli.run(main)
