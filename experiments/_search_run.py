"""A search from its flags to its results; what ``experiments.search`` calls."""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shlex
from typing import Any

from absl import flags
from rich.console import Console

from experiments import _cli, _display, _results
from spjax import data, deploy, report, search, training

_FLAG_FILE = "flags.json"
# These may differ when a run is resumed: where and how, not what.
_FREE = ("trials", "workers", "run_dir", "resume", "data_dir", "download", "cache_dir")
_IMAGE_PASSES = 500_000
_MOST_EPOCHS = 30
_LEAST_EPOCHS = 5


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags of ``experiments.search`` that are not the data set's or board's."""

    trials: int
    workers: int
    resume: bool
    seed: int
    epochs: int | None
    batch_size: int
    memory_model: str
    initial_trials: int
    candidates: int
    random_share: float
    cache_dir: str | None


def restore_flags(run_dir: str | None) -> None:
    """Gives the flags the values that a run was started with.

    Raises:
      UsageError: if there is no such run, or a flag was given with another value.
    """
    if run_dir is None:
        raise _cli.UsageError("--resume needs --run_dir=DIR, the run to go on with")
    path = pathlib.Path(run_dir) / _FLAG_FILE
    if not search.exists(run_dir) or not path.exists():
        raise _cli.UsageError(
            f"--run_dir={run_dir} holds no run to resume: leave --resume out to start "
            "one there"
        )
    try:
        stored = dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise _cli.UsageError(f"{path} is damaged: {error}") from error
    for name, value in stored.items():
        if name not in flags.FLAGS:
            raise _cli.UsageError(
                f"{path} names the flag --{name}, which this version does not have: "
                "resume the run with the version that started it"
            )
        flag = flags.FLAGS[name]
        if not flag.present:
            flag.value = value
        elif name not in _FREE and flag.value != value:
            raise _cli.UsageError(
                f"--{name}={flag.value}: the run in {run_dir} was started with "
                f"--{name}={value}; leave the flag out, or choose another --run_dir"
            )


def choose_run_dir(
    run_dir: str | None, resume: bool, dataset: str, board: str
) -> pathlib.Path:
    """The run's folder; a fresh one under runs/ if none is named.

    Raises:
      UsageError: if the folder holds a run and is not to be resumed.
    """
    if run_dir is None:
        name = re.sub(r"[^\w.-]+", "_", f"{dataset}-{board}").strip("_")
        return _results.free_folder(f"runs/{name}")
    if not resume and search.exists(run_dir):
        raise _cli.UsageError(
            f"--run_dir={run_dir} holds a run already: add --resume to go on with it, "
            "or choose another folder"
        )
    return pathlib.Path(run_dir)


def epochs_for(images: int) -> int:
    """Epochs of a trial if the user names none."""
    return max(_LEAST_EPOCHS, min(_MOST_EPOCHS, _IMAGE_PASSES // images))


def search_and_report(
    run_dir: pathlib.Path,
    dataset: data.Dataset,
    board: deploy.Board,
    options: Options,
) -> int:
    """Runs the search, writes the results and prints them.

    Returns:
      Exit status: 0 if a network fits the board, 1 if the search ended without one,
      130 if it was interrupted.
    """
    config = training.TrainConfig(
        epochs=options.epochs or epochs_for(len(dataset.train)),
        batch_size=options.batch_size,
        seed=options.seed,
    )
    settings = search.Settings(
        input_shape=dataset.input_shape,
        num_classes=dataset.num_classes,
        memory_model=options.memory_model,
        limits=(
            (options.memory_model, board.ram_bytes),
            ("model_size_nonzero", board.flash_bytes),
        ),
        seed=options.seed,
        initial_trials=options.initial_trials,
        random_share=options.random_share,
        candidates=options.candidates,
    )
    identity = {
        "dataset": dataset.name,
        "fingerprint": dataset.fingerprint,
        "board": board.name,
        "training": dataclasses.asdict(config),
    }
    console = Console()
    _say_what(console, run_dir, dataset, board, config, options)
    opened = search.load if options.resume else search.create
    with opened(run_dir, settings, identity) as study:
        report.write_json(run_dir / _FLAG_FILE, _cli.flag_values())
        data.save_arrays(dataset, search.data_folder(run_dir))
        head = _results.header(
            dataset,
            board,
            memory_model=options.memory_model,
            seed=options.seed,
            flags=_cli.flag_values(),
            started=study.info["started"],
        )
        try:
            _run(study, config, options, head, console)
        except KeyboardInterrupt:
            _explain_resume(console, study)
            _write(run_dir, study, head, dataset, tested=False)
            return _cli.EXIT_INTERRUPTED
        except BaseException:
            # Whatever went wrong, the trials so far are there to look at.
            with contextlib.suppress(Exception):
                _write(run_dir, study, head, dataset, tested=False)
            raise
        rows, pick = _write(run_dir, study, head, dataset, tested=True)
    _print_results(console, run_dir, rows, pick, head)
    return 0 if pick is not None and pick["feasible"] else _cli.EXIT_BUG


def _run(study, config, options, head, console):
    def specify(trial: search.Trial) -> search.TrialSpec:
        return search.TrialSpec(
            run_dir=str(study.run_dir),
            index=trial.index,
            genome=_text(trial),
            config=config,
            init=_weights_of(study, trial.parent),
        )

    folder = options.cache_dir or _default_cache()
    limits = study.settings.limit_of
    with (
        search.WorkerPool(options.workers, search.start_worker, (folder,)) as pool,
        _display.Display(console, options.trials, study.num_finished) as display,
    ):
        for event in search.run(study, pool, search.run_trial, specify, options.trials):
            display.show(event, head, limits)


def _text(trial):
    from spjax import genomes

    return genomes.to_json(trial.genome)


def _weights_of(study, parent):
    if parent is None:
        return None
    return str(search.trial_folder(study.run_dir, parent) / "weights.npz")


def _default_cache():
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(home, "spjax", "xla")


def _write(run_dir, study, head, dataset, *, tested):
    """Writes the results of the trials so far."""
    settings = study.settings
    ended = [row for row in study.records() if row["status"] != "running"]
    rows = search.annotate(ended, settings.objectives, settings.limit_of)
    _add_hypervolume(rows, settings)
    head = {**head, "finished": _results.now()}
    if not tested:
        head["unfinished"] = True
    return rows, _results.write_results(run_dir, rows, head, dataset, tested=tested)


def _add_hypervolume(rows: list[dict[str, Any]], settings: search.Settings) -> None:
    """Hypervolume of the trials up to each one, as a share of the box of the limits.

    The reference point is the chance error and the board's limits.
    """
    import numpy as np

    reference = np.array([settings.chance_error, *settings.objective_limits()[1:]])
    points = np.zeros((0, 3))
    for row in rows:
        if row["status"] == "completed":
            point = np.array([row[name] for name in settings.objectives], float)
            points = np.vstack([points, point])
            points = points[search.non_dominated(points)]
        row["hypervolume"] = search.hypervolume(points / reference, np.ones(3))


def _say_what(console, run_dir, dataset, board, config, options):
    sizes = dataset.describe()["sizes"]
    shape = "x".join(map(str, dataset.input_shape))
    console.print(
        f"data   {dataset.name}: {shape}, {dataset.num_classes} classes, "
        f"{sizes['train']:,} training, {sizes['validation']:,} validation, "
        f"{sizes['test']:,} test images",
        highlight=False,
    )
    console.print(
        f"board  {board.name}: {options.memory_model} <= {board.ram_bytes:,} bytes, "
        f"model_size_nonzero <= {board.flash_bytes:,} bytes (sparse indices, code and "
        "stack not counted)",
        highlight=False,
    )
    console.print(
        f"search {options.trials} trials of {config.epochs} epochs, "
        f"{options.workers} worker(s), seed {options.seed}, into {run_dir}",
        highlight=False,
    )


def _explain_resume(console, study):
    command = shlex.join(
        ["python", "-m", "experiments.search", f"--run_dir={study.run_dir}", "--resume"]
    )
    console.print(
        f"interrupted: {study.num_finished} trials are stored; go on with\n  {command}",
        highlight=False,
        soft_wrap=True,
    )


def _print_results(console, run_dir, rows, pick, head):
    console.print()
    console.print(report.front_table(rows, head, width=console.width))
    if pick is None or not pick["feasible"]:
        console.print(
            f"no trial fits {head['board']['name']}: allow more --trials, or raise "
            "--ram_bytes or --flash_bytes"
        )
    else:
        console.print(
            f"pick   trial {pick['index']}: validation error "
            f"{pick['validation_error']:.2%}, test error {pick['test_error']:.2%}, "
            f"model_size_nonzero {pick['model_size_nonzero']:,} bytes (indices not "
            f"counted), {head['memory_model']} {pick[head['memory_model']]:,} bytes",
            highlight=False,
        )
        genome = search.trial_folder(run_dir, pick["index"]) / "genome.json"
        console.print(
            f"next   python -m experiments.train --genome={genome} "
            f"--dataset={head['dataset']['name']}",
            highlight=False,
            soft_wrap=True,
        )
    for name in ("front.png", "report.html", "front.json", "best.json", "trials.csv"):
        console.print(f"wrote  {run_dir / name}", highlight=False, soft_wrap=True)
