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
from collections.abc import Mapping, Sequence
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
    "Other comparisons, of whose algorithms those stand beside that --algorithms does "
    "not name: folders with finished runs, perhaps made with other flags after --, or "
    "a compare.csv, the first line of which must be the title of this comparison.",
)
_PARALLEL = flags.DEFINE_integer("parallel", 1, "Runs at a time.", 1)


def main(argv: Sequence[str]) -> int:
    """Runs what is missing, then writes and prints the comparison."""
    root = pathlib.Path(_ROOT.value)
    seeds = ",".join(str(seed) for seed in range(_SEEDS.value))
    sweep = f"algorithm={','.join(_ALGORITHMS.value)};seed={seeds}"
    _finished_beside(), _kept_courses()  # A mistake there is told before the runs.
    # As a program: its flags have the names of ours.
    command = [sys.executable, "-m", "launch.local", f"--sweep={sweep}"]
    command += [f"--root={root}", f"--parallel={_PARALLEL.value}", "--", *argv[1:]]
    code = subprocess.run(command, check=False).returncode
    if code not in (0, 1):  # It has said why.
        return code
    courses, title = read_courses(root, argv[1:], sweep)
    write(root, courses, title)
    return code


def read_courses(
    root: pathlib.Path, extra: Sequence[str], sweep: str
) -> tuple[dict[str, list], str]:
    """The courses of the finished runs by algorithm, and what they searched."""
    from launch.record import Folder
    from launch.sweep import make_cells
    from spjax import report
    from spjax.report import comparison

    folders = [
        (str(dict(cell.settings)["algorithm"]), folder.run_dir)
        for cell in make_cells(sweep, "experiments.search", list(extra))
        if (folder := Folder(root, cell)).is_finished()
    ]
    courses, title = {}, None
    for name, run_dir in [*folders, *_finished_beside()]:
        rows = report.read_trials_csv(run_dir / "trials.csv")
        header = report.read_front(run_dir / "front.json")["header"]
        if _ERROR_REFERENCE.value is not None:
            rows = _counted_below(_ERROR_REFERENCE.value, rows, header)
        courses.setdefault(name, []).append(comparison.course(rows))
        title = _title(header)
    if title is None:
        raise _cli.UsageError(
            f"--root={root}: no run has finished; the logs there say why"
        )
    for name, runs in _kept_courses(title):
        courses.setdefault(name, []).extend(runs)
    return courses, title


def _finished_beside() -> list[tuple[str, pathlib.Path]]:
    """Algorithm and folder of the finished runs in the folders of --beside."""
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
        named = [(str(of.get("algorithm")), run) for of, run in runs]
        found += [(name, run) for name, run in named if name not in _ALGORITHMS.value]
    return found


def _kept_courses(title: str | None = None) -> list[tuple[str, list]]:
    """Algorithms and courses in the files of --beside, which must be of that title."""
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
            (name, runs)
            for name, runs in courses.items()
            if name not in _ALGORITHMS.value
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


def write(root: pathlib.Path, courses: dict[str, list], title: str) -> None:
    """Writes compare.csv, compare.md and compare.png; prints the table."""
    from spjax.report import comparison, courses_csv

    courses_csv.write_courses(root / "compare.csv", courses, title)
    table = comparison.comparison_table(courses)
    (root / "compare.md").write_text(table + "\n")
    comparison.plot_comparison(root / "compare.png", courses, title)
    print(table)
    print(f"wrote  {root / 'compare.png'}")


if __name__ == "__main__":
    _cli.run(main, arguments=True)
