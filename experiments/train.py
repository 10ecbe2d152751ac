r"""Trains one genome longer than a search does, over several seeds.

    python -m experiments.train --genome=runs/mnist/front/0012/searched.json \
        --dataset=mnist --epochs=60 --seeds=3 --run_dir=runs/mnist-0012

writes what a search writes (``front.json``, ``best.json``, ``trials.csv``,
``front.png``, weights and masks), with one trial per seed, and prints mean and spread
of the errors. The test split is read once per seed, after training. ``--init`` starts
from weights instead of fresh ones: those of the search, say.
"""

import dataclasses
import json
import pathlib
import sys
from collections.abc import Sequence

from absl import flags
from rich import console as rich_console
from rich import progress as rich_progress

from experiments import (
    _augment,
    _cli,
    _display,
    _flags,
    _genome_file,
    _interrupts,
    _results,
    _run_folder,
)
from spjax import data, genomes, networks, report, search, training

flags.adopt_module_key_flags(_augment)
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
_MEMORY_MODEL = flags.DEFINE_enum(
    "memory_model", "planned_arena", search.MEMORY_MODELS, "Which working memory."
)
_SIZE_MODEL = flags.DEFINE_enum(
    "size_model", "nonzero", search.SIZE_MODELS, "Which model size."
)
_RUN_DIR = flags.DEFINE_string(
    "run_dir", None, "Folder for the results; runs/train-GENOME_ID if not given."
)


def main(argv: Sequence[str]) -> int:
    """Trains once per seed, then writes and prints the results."""
    del argv
    interrupts = _interrupts.Interrupts()
    interrupts.install()
    started = _results.now()
    genome = _wanted_genome()
    if _RUN_DIR.value is not None:
        _run_folder.check_new(_RUN_DIR.value)
    board = _flags.get_board()
    dataset = _flags.load_dataset()
    _check_fit(genome, dataset)
    if _INIT.value is not None:
        _check_init(genome, dataset)
    run_dir = _make_folder(genome)
    try:
        data.save_arrays(dataset, search.data_folder(run_dir))
        search.start_worker(str(run_dir / "cache"))
    except OSError as error:
        raise _cli.UsageError(
            f"--run_dir={run_dir} cannot be written: {error.strerror or error}; make "
            "room there or choose another folder"
        ) from error

    rows = _train_all(genome, run_dir, board, interrupts)
    head = _results.header(
        dataset,
        board,
        memory_model=_MEMORY_MODEL.value,
        size_model=_SIZE_MODEL.value,
        seed=_SEED.value,
        flags=_cli.flag_values(),
        started=started,
    )
    # Every seed is tested, on the front or not: a mean needs them all.
    tested = _results.ReadOnce(dataset)
    done = [row for row in rows if row["status"] == "completed"]
    for row in done:
        row["test_error"] = _results.test_error(run_dir, row, tested)
    head["summary"] = _results.summary(done, _MEMORY_MODEL.value, _SIZE_MODEL.value)
    _results.write_results(run_dir, rows, head, tested)
    return _say(rows, head, run_dir)


def _wanted_genome() -> genomes.Genome:
    """The genome of --genome, with the flags' genes in place."""
    if _GENOME.value is None:
        raise _cli.UsageError("--genome is missing: give a genome's JSON file")
    genome = _genome_file.read_genome(_GENOME.value)
    genes = genome.training
    if _SPARSITY.value is not None:
        # A genome without pruning has no sparsity to change.
        kind = "weight" if genes.pruning == "none" else genes.pruning
        genes = dataclasses.replace(genes, pruning=kind, sparsity=_SPARSITY.value)
    if _LEARNING_RATE.value is not None:
        genes = dataclasses.replace(genes, learning_rate=_LEARNING_RATE.value)
    return genomes.canonical(dataclasses.replace(genome, training=genes))


def _check_fit(genome: genomes.Genome, dataset: data.Dataset) -> None:
    try:
        genomes.validate(genome, dataset.input_shape)
    except genomes.GenomeError as error:
        shape = "x".join(map(str, dataset.input_shape))
        raise _cli.UsageError(
            f"--genome={_GENOME.value} does not fit the {shape} images of --dataset="
            f"{dataset.name}: {error}; give the data set that it was searched on, with "
            "the same --image_size and --grey"
        ) from error


def _check_init(genome: genomes.Genome, dataset: data.Dataset) -> None:
    """A file of other weights is better found before training."""
    try:
        given = networks.flatten(networks.load_tree(_INIT.value))
    except networks.FileError as error:
        raise _cli.UsageError(f"--init: {error}; give a weights.npz") from error
    shape = genomes.deployed_shape(genome, dataset.input_shape)
    wanted = networks.flatten(
        networks.init_variables(genome, shape, dataset.num_classes, 0)
    )
    fitting = [
        name
        for name, array in wanted.items()
        if name in given and given[name].shape == array.shape
    ]
    if not any(name.startswith("params/") for name in fitting):
        raise _cli.UsageError(
            f"--init={_INIT.value} holds no weights of --genome={_GENOME.value}: give "
            "the weights.npz of a network with its genome"
        )
    if len(fitting) < len(wanted):
        print(
            f"note: --init={_INIT.value}: {len(fitting)} of {len(wanted)} tensors have "
            "the genome's shape; of the others, what overlaps is taken over"
        )


def _make_folder(genome: genomes.Genome) -> pathlib.Path:
    if _RUN_DIR.value is None:
        return _results.free_folder(f"runs/train-{genomes.genome_id(genome)}")
    run_dir = pathlib.Path(_RUN_DIR.value)
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cli.UsageError(
            f"--run_dir={run_dir} cannot be made: {error.strerror or error}; choose "
            "another folder"
        ) from error
    return run_dir


def _train_all(genome, run_dir, board, interrupts):
    """One row per seed, as the search makes one per trial."""
    rows = []
    with _bar() as bar, interrupts.held():
        task = bar.add_task("training", total=_SEEDS.value * _EPOCHS.value)
        for index in range(_SEEDS.value):
            seed = _SEED.value + index

            def advance(report, seed=seed):
                interrupts.check()
                text = f"seed {seed}: error {report['validation_error']:.2%}"
                bar.update(task, advance=1, description=text)

            spec = search.TrialSpec(
                run_dir=str(run_dir),
                index=index,
                genome=genomes.to_json(genome),
                init=_INIT.value,
                further=False,
                config=training.TrainConfig(
                    epochs=_EPOCHS.value,
                    batch_size=_BATCH_SIZE.value,
                    seed=seed,
                    augment_shift=_augment.SHIFT.value,
                    augment_rotation=_augment.ROTATION.value,
                    augment_scaling=_augment.SCALING.value,
                    augment_mirror=_augment.MIRROR.value,
                ),
            )
            figures = search.run_trial(spec, advance)
            rows.append(
                {
                    "index": index,
                    "status": "failed" if figures["diverged"] else "completed",
                    "reason": "the training diverged" if figures["diverged"] else None,
                    "genome_id": genomes.genome_id(genome),
                    "genome": json.loads(genomes.to_json(genome)),
                    "parent": None,
                    "edit": f"seed {seed}",
                    **figures,
                }
            )
    size = f"model_size_{_SIZE_MODEL.value}"
    objectives = ("validation_error", size, _MEMORY_MODEL.value)
    limits = {
        _MEMORY_MODEL.value: board.ram_bytes,
        size: board.flash_bytes,
    }
    return search.annotate(rows, objectives, limits)


def _bar():
    console = rich_console.Console(stderr=True)
    return rich_progress.Progress(
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TextColumn("epochs"),
        rich_progress.TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _say(rows, head, run_dir):
    """Prints each training, mean and spread; returns the exit status."""
    console = _display.make_console()
    for row in rows:
        console.print(report.trial_line(row, head), soft_wrap=True)
    for name, figure in head["summary"].items():
        share = name.endswith("error")
        mean, spread = (
            f"{figure[key]:.2%}" if share else f"{figure[key]:,.1f}"
            for key in ("mean", "standard_deviation")
        )
        _display.say(
            console,
            f"{name}: mean {mean}, standard deviation {spread}"
            f"{'' if share else ' bytes'}, over {figure['count']} seed(s)",
        )
    _display.say_where(console, run_dir)
    if head["summary"]:
        return 0
    print(
        f"error: --learning_rate={rows[0]['genome']['training']['learning_rate']}: all "
        f"{len(rows)} training(s) diverged: give a smaller --learning_rate",
        file=sys.stderr,
    )
    return _cli.EXIT_BUG


if __name__ == "__main__":
    _cli.run(main)
