r"""Runs the search by several algorithms and seeds, and compares how good they got.

    python -m experiments.compare_search --root=runs/compare-digits --seeds=8 \
        --algorithms=morphs,sparse,random,ageing_evolution,nsga2,qlognehvi \
        -- --dataset=digits --trials=100 --workers=1
    python -m experiments.compare_search --root=runs/compare-mnist --seeds=8 \
        -- --dataset=mnist --train_images=10000 --epochs=5 --trials=100 --workers=1

What stands after ``--`` goes to every run of ``experiments.search``. A run that was
finished before is not run again, one that was interrupted goes on. Under --root:
compare.csv (every run's course), compare.md (the table) and compare.png (hypervolume
against trials and wall time). With ``--parallel=2 -- --workers=1`` two runs go side by
side. The first line takes about 100 minutes of one core for each algorithm with 8
seeds; the lone ``qlognehvi`` several times that.
"""

import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence, Set
from typing import Any

from absl import flags

from experiments import _cli

flags.adopt_module_key_flags(_cli)
_ROOT = flags.DEFINE_string("root", "runs/compare", "Folder of all runs.")
_ALGORITHMS = flags.DEFINE_list(
    "algorithms",
    ["morphs", "sparse", "random", "ageing_evolution", "nsga2"],
    "What to compare, as --algorithm of the search.",
)
_SEEDS = flags.DEFINE_integer("seeds", 8, "Runs of each, with seeds 0, 1, ..", 1)
_FIRST_SEED = flags.DEFINE_integer("first_seed", 0, "The first of these seeds.", 0)
_ERROR_REFERENCE = flags.DEFINE_float(
    "error_reference",
    None,
    "Validation error, as a share, from which a network is of no use and adds nothing "
    "to the hypervolume; that of guessing if not given. The runs stay the same.",
    1e-6,
    1.0,
)
_BESIDE = flags.DEFINE_list(
    "beside",
    [],
    "Other comparisons that stand beside: folders, perhaps made with other flags after "
    "--, with the runs of algorithms that --algorithms does not name; or files "
    "compare.csv of the same title, with the runs that are not made here.",
)
_PARALLEL = flags.DEFINE_integer("parallel", 1, "Runs at a time.", 1)


def main(argv: Sequence[str]) -> int:
    """Runs what is missing, then writes and prints the comparison."""
    root = pathlib.Path(_ROOT.value)
    seeds = range(_FIRST_SEED.value, _FIRST_SEED.value + _SEEDS.value)
    listed = ",".join(map(str, seeds))
    sweep = f"algorithm={','.join(_ALGORITHMS.value)};seed={listed}"
    own = {(name, seed) for name in _ALGORITHMS.value for seed in seeds}
    _folders_beside(), _files_beside(own)  # A mistake there is told before the runs.
    # As a program: its flags have the names of ours.
    command = [sys.executable, "-m", "launch.local", f"--sweep={sweep}"]
    command += [f"--root={root}", f"--parallel={_PARALLEL.value}", "--", *argv[1:]]
    code = subprocess.run(command, check=False).returncode
    if code not in (0, 1):  # It has said why.
        return code
    courses, title = _own_courses(root, argv[1:], sweep)
    for name, seed, course in _files_beside(own, title):
        courses.setdefault(name, {})[seed] = course
    write(root, courses, title)
    return code


def _own_courses(
    root: pathlib.Path, extra: Sequence[str], sweep: str
) -> tuple[dict[str, dict[int, Any]], str]:
    """Courses by algorithm and seed, of finished runs in folders; what was searched."""
    from launch.record import Folder
    from launch.sweep import make_cells
    from spjax import report
    from spjax.report import comparison

    runs = [
        (dict(cell.settings), folder.run_dir)
        for cell in make_cells(sweep, "experiments.search", list(extra))
        if (folder := Folder(root, cell)).is_finished()
    ]
    courses, title = {}, None
    for settings, run_dir in [*runs, *_folders_beside()]:
        rows = report.read_trials_csv(run_dir / "trials.csv")
        header = report.read_front(run_dir / "front.json")["header"]
        if _ERROR_REFERENCE.value is not None:
            rows = _counted_below(_ERROR_REFERENCE.value, rows, header)
        name, seed = str(settings["algorithm"]), int(settings["seed"])
        courses.setdefault(name, {})[seed] = comparison.course(rows)
        title = _title(header)
    if title is None:
        raise _cli.UsageError(
            f"--root={root}: no run has finished; the logs there say why"
        )
    return courses, title


def _folders_beside() -> list[tuple[dict[str, str], pathlib.Path]]:
    """Settings and folder of the finished runs in the folders of --beside."""
    from launch.record import finished_runs

    found = []
    for other in _BESIDE.value:
        if other.endswith(".csv"):
            continue
        runs = finished_runs(pathlib.Path(other))
        if not runs:
            raise _cli.UsageError(
                f"--beside={other}: no finished run there; give the --root of a "
                "comparison, or its compare.csv"
            )
        found += [run for run in runs if run[0]["algorithm"] not in _ALGORITHMS.value]
    return found


def _files_beside(
    own: Set[tuple[str, int]], title: str | None = None
) -> list[tuple[str, int, Any]]:
    """Algorithm, seed and course of the runs in the files of --beside.

    Args:
      own: algorithms and seeds that are run here.
      title: what the files' titles must be; None for any.
    """
    from spjax.report import courses_csv

    found = []
    for other in _BESIDE.value:
        if not other.endswith(".csv"):
            continue
        courses, searched = courses_csv.read_courses(other)
        if title not in (None, searched):
            raise _cli.UsageError(
                f"--beside={other}: its first line tells of another comparison: "
                f"{searched!r}, where this is {title!r}"
            )
        found += [
            (name, seed, course)
            for name, runs in courses.items()
            for seed, course in runs.items()
            if (name, seed) not in own
        ]
    return found


def _counted_below(
    worst: float, rows: list[dict[str, Any]], header: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The rows with the hypervolume of the networks with lower errors."""
    from spjax import search

    size = f"model_size_{header['size_model']}"
    objectives = ("validation_error", size, header["memory_model"])
    board = header["board"]
    box = (worst, board["flash_bytes"], board["ram_bytes"])
    volumes = search.hypervolumes_within(rows, objectives, box)
    pairs = zip(rows, volumes, strict=True)
    return [{**row, "hypervolume": volume} for row, volume in pairs]


def _title(header: Mapping[str, Any]) -> str:
    """What was searched, and within which limits."""
    sizes, board = header["dataset"]["split_sizes"], header["board"]
    worst = _ERROR_REFERENCE.value
    below = "" if worst is None else f"errors below {worst:.0%}, "
    return (
        f"{header['dataset']['name']} ({sizes['train']:,} images), {below}"
        f"{board['ram_bytes']:,} B of {header['memory_model']}, "
        f"{board['flash_bytes']:,} B {header['size_model']}"
    )


def write(
    root: pathlib.Path, courses: Mapping[str, Mapping[int, Any]], title: str
) -> None:
    """Writes compare.csv, compare.md and compare.png; prints the table."""
    from spjax.report import comparison, courses_csv

    courses_csv.write_courses(root / "compare.csv", courses, title)
    runs = {name: list(by_seed.values()) for name, by_seed in courses.items()}
    table = comparison.comparison_table(runs)
    (root / "compare.md").write_text(table + "\n")
    comparison.plot_comparison(root / "compare.png", runs, title)
    print(table)
    print(f"wrote  {root / 'compare.png'}")


if __name__ == "__main__":
    _cli.run(main, arguments=True)
