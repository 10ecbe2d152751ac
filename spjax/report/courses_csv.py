"""``compare.csv``: the courses of compared runs, one line for each of their trials.

The first line is a comment and says what was searched. It is for the reader to hold
against what they searched: volumes within other limits, or from another error on, are
no match. Volumes are written with 6 decimals, seconds with 1.
"""

import csv
import io
import os
import pathlib
from collections.abc import Mapping

import numpy as np

from spjax.report.comparison import Course
from spjax.report.errors import ReportError
from spjax.report.files import write_text

_COLUMNS = ("algorithm", "seed", "trial", "seconds", "hypervolume")


def write_courses(
    path: str | os.PathLike, courses: Mapping[str, Mapping[int, Course]], title: str
) -> None:
    """Writes all courses, replacing the file in one step.

    Args:
      path: where the file goes.
      courses: runs by algorithm and seed.
      title: what was searched, on one line.

    Raises:
      ReportError: if the file cannot be written, or the title has several lines.
    """
    if title != " ".join(title.splitlines()):
        raise ReportError(f"a title of one line is needed, not {title!r}")
    text = io.StringIO()
    text.write(f"# {title}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for name, runs in courses.items():
        for seed, course in sorted(runs.items()):
            pairs = zip(course.seconds, course.volumes, strict=True)
            for trial, (seconds, volume) in enumerate(pairs):
                writer.writerow([name, seed, trial, f"{seconds:.1f}", f"{volume:.6f}"])
    write_text(path, text.getvalue())


def read_courses(path: str | os.PathLike) -> tuple[dict[str, dict[int, Course]], str]:
    """Reads what `write_courses` wrote.

    Returns:
      The courses by algorithm and seed, in the file's order, and the title.

    Raises:
      ReportError: if the file cannot be read, or is not of this kind.
    """
    try:
        first, _, rest = pathlib.Path(path).read_text().partition("\n")
        if not first.startswith("# "):
            raise ValueError("its first line does not say what was searched")
        runs: dict[tuple[str, int], list[tuple[float, float]]] = {}
        for row in csv.DictReader(io.StringIO(rest)):
            pair = float(row["hypervolume"]), float(row["seconds"])
            run = row["algorithm"], int(row["seed"])
            runs.setdefault(run, []).append(pair)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReportError(
            f"{path}: not the courses of a comparison ({error!r:.200}); give the "
            "compare.csv that experiments.compare_search wrote"
        ) from error
    if not runs:
        raise ReportError(f"{path}: no run is in it")
    courses: dict[str, dict[int, Course]] = {}
    for (name, seed), pairs in runs.items():
        volumes, seconds = np.array(pairs).T
        courses.setdefault(name, {})[seed] = Course(volumes, seconds)
    return courses, first.removeprefix("# ")
