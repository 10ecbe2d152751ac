r"""Replays finished searches: what would early stopping have saved, and what lost?

    python -m experiments.bench_early_stopping --run_dirs=runs/digits-uno,runs/mnist

For runs that were made with --noearly_stopping, whose trainings all came to their end.
Trial by trial, what the rule of ``spjax.search.early_stop`` says of its learning curve,
knowing the trials before it (those that were stopped without their final errors). What
is not replayed: a search that stops trials goes on to propose others.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from absl import flags

from experiments import _cli, _fronts

flags.adopt_module_key_flags(_cli)


class Replay(NamedTuple):
    """What a run would have been.

    Attributes:
      trials: of the run.
      stopped: how many would have been stopped.
      epochs: of all trainings.
      saved: how many of them would not have been trained.
      points: of the front, readings included.
      lost: how many of them are of trials that would have been stopped.
      volume, volume_left: hypervolume with all trials, and without those.
    """

    trials: int
    stopped: int
    epochs: int
    saved: int
    points: int
    lost: int
    volume: float
    volume_left: float


def main(argv: Sequence[str]) -> int:
    """Prints a Markdown table."""
    del argv
    from spjax import search

    if not _fronts.RUN_DIRS.value:
        raise _cli.UsageError("--run_dirs is missing: name folders of finished runs")
    print("| run | trials | stopped | epochs saved | front points lost | hypervolume |")
    print("|:--|--:|--:|--:|--:|--:|")
    for run_dir in _fronts.RUN_DIRS.value:
        try:
            stored = search.read_run_file(run_dir)
            rows = with_curves(run_dir, search.read_records(run_dir))
        except search.StudyError as error:
            raise _cli.UsageError(f"--run_dirs={run_dir}: {error}") from error
        epochs = stored["config"]["training"]["epochs"]
        was = replay(rows, stored["settings"], epochs)
        print(
            f"| {run_dir} | {was.trials} | {was.stopped} | "
            f"{was.saved / max(was.epochs, 1):.1%} | {was.lost} of {was.points} | "
            f"{was.volume:.5f} -> {was.volume_left:.5f} |"
        )
    return 0


def with_curves(
    run_dir: str, rows: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Adds the learning curves that older runs have in their trials' folders only."""
    from spjax import report, search

    found = []
    for row in rows:
        path = search.trial_folder(run_dir, row["index"]) / "history.json"
        if "validation_curve" not in row and pathlib.Path(path).exists():
            curve = [epoch["validation_error"] for epoch in report.read_json(path)]
            row = {**row, "validation_curve": curve}
        found.append(row)
    return found


def replay(rows: Sequence[Mapping[str, Any]], settings: Any, epochs: int) -> Replay:
    """Applies the rule to the trials in their order.

    Args:
      rows: the trials, with ``validation_curve``.
      settings: the search's.
      epochs: of a whole training.
    """
    from spjax import search

    seen: list[Mapping[str, Any]] = []
    stopped, trained, saved = set(), 0, 0
    for row in rows:
        curve = row.get("validation_curve") or ()
        trained += len(curve)
        if row["status"] == "completed":
            genome = search.genome_of(row)
            table = search.stop_table(seen, settings, genome, epochs)
            for epoch, error in enumerate(curve, start=1):
                if table is not None and table.verdict(epoch, error) is not None:
                    stopped.add(row["index"])
                    saved += len(curve) - epoch
                    row = {**row, "status": "stopped"}
                    break
        seen.append(row)
    points = search.spread(rows)
    front = [
        row
        for row in search.annotate(points, settings.objectives, settings.limit_of)
        if row["on_front"]
    ]
    return Replay(
        trials=len(rows),
        stopped=len(stopped),
        epochs=trained,
        saved=saved,
        points=len(front),
        lost=sum(row["index"] in stopped for row in front),
        volume=search.hypervolumes(points, settings)[-1],
        volume_left=search.hypervolumes(search.spread(seen), settings)[-1],
    )


if __name__ == "__main__":
    _cli.run(main)
