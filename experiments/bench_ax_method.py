r"""What Ax's own method loses by the smaller effort that --algorithm=qlognehvi makes.

    python -m experiments.bench_ax_method --run_dirs=runs/a,runs/b --after=25,45,60

Runs are searches by ``qlognehvi``. After so many of their trials, the point of most
promise is looked for as such a search does it, and as Ax does it by itself: with more
samples and starts, and models fitted to the end. Both points are judged by Ax's
acquisition function, with its models and samples: the logarithm of the expected growth
of the hypervolume. Prints a table, with seconds of processor time for fitting the
models and choosing.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

from absl import flags

from experiments import _cli, _fronts

flags.adopt_module_key_flags(_cli)
flags.declare_key_flag(_fronts.RUN_DIRS.name)
_AFTER = flags.DEFINE_list(
    "after", ["25", "45", "60"], "Trials of each run that are known."
)
_AX = {"samples": 128, "restarts": 20, "brief": False}


class Choice(NamedTuple):
    """One choice of a point.

    Attributes:
      worth: logarithm of the expected growth of the hypervolume.
      seconds: processor time.
    """

    worth: float
    seconds: float


def main(argv: Sequence[str]) -> int:
    """Prints a Markdown table."""
    del argv
    from spjax import search

    if not _fronts.RUN_DIRS.value:
        raise _cli.UsageError("--run_dirs is missing: name folders of finished runs")
    print(
        "| run | trials | worth here | worth, Ax's effort | s here | s, Ax's effort |"
    )
    print("|:--|--:|--:|--:|--:|--:|")
    for run_dir in _fronts.RUN_DIRS.value:
        for count in _cli.whole_numbers("after", _AFTER.value):
            try:
                here, full = compare(run_dir, count)
            except search.StudyError as error:
                raise _cli.UsageError(f"--run_dirs={run_dir}: {error}") from error
            print(
                f"| {run_dir} | {count} | {here.worth:.3f} | {full.worth:.3f} | "
                f"{here.seconds:.1f} | {full.seconds:.1f} |",
                flush=True,
            )
    return 0


def compare(run_dir: str, count: int) -> tuple[Choice, Choice]:
    """Chooses twice after the first ``count`` trials: as a search does, and as Ax."""
    from spjax.search import storage
    from spjax.search.ax_method import best_point

    experiment, _ = storage.load(run_dir, mend=False)  # Imports Ax, silently.
    from ax.core.data import Data
    from ax.core.observation import ObservationFeatures

    frame = experiment.lookup_data().df
    data = Data(df=frame[frame["trial_index"] < count])
    points, seconds = [], []
    for effort in ({}, _AX):
        start = time.process_time()
        adapter, point = best_point(count, experiment, data, **effort)
        seconds.append(time.process_time() - start)
        points.append(ObservationFeatures(point))
    # The last models and their options are Ax's own.
    worths = adapter.evaluate_acquisition_function(points)
    here, full = map(Choice, worths, seconds)
    return here, full


if __name__ == "__main__":
    _cli.run(main)
