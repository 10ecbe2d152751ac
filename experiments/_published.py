"""A search beside published networks: same data, same limits, longer final training.

Three steps, each left out if a run before has finished it:

1. ``experiments.search`` within the largest published size and memory, on training and
   validation splits, into FOLDER/search; where the benchmark says so, two fifths of the
   minutes are a second search, FOLDER/focus, that the first one's trials teach and that
   aims lower.
2. For each published network, the few trials with the lowest validation errors that are
   no larger in either figure, trained on by ``experiments.train``: from the search's
   weights, longer than there, several times with other seeds, into FOLDER/final-TRIAL.
   That of the lowest mean validation error stands beside it. The test split is read
   there, for all of them, and chooses nothing.
3. A table and a picture, FOLDER/published.md and FOLDER/published.png.

An interrupted search goes on, with as many minutes again; an interrupted training
begins anew. Published kilobytes are taken as 1,000 bytes, the stricter reading.
"""

import dataclasses
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from experiments import _cli, _flags
from spjax import report
from spjax.report import beside

_FOCUS = 0.4
# How images are varied in a long training, that they are not learnt by heart.
WARPED = ("--augment_shift=0.5", "--augment_rotation=7", "--augment_scaling=0.08")

FOLDER = flags.DEFINE_string(
    "folder", None, "Folder of all steps; runs/published-NAME."
)
MINUTES = flags.DEFINE_float("search_minutes", 120.0, "Of search.", lower_bound=0.001)
TRIALS = flags.DEFINE_integer(
    "search_trials", 1000, "At most so many trials.", lower_bound=1
)
WORKERS = flags.DEFINE_integer("search_workers", 2, "Of the search.", lower_bound=1)
SEED = flags.DEFINE_integer(
    "search_seed", 0, "Of the search; the second one's is one more.", lower_bound=0
)
FINAL_EPOCHS = flags.DEFINE_integer(
    "final_epochs", 60, "Passes over the data in a final training.", lower_bound=1
)
CANDIDATES = flags.DEFINE_integer(
    "final_candidates",
    3,
    "Networks trained on for each published one.",
    lower_bound=1,
)
FINAL_SEEDS = flags.DEFINE_integer(
    "final_seeds", 3, "Final trainings of a network.", lower_bound=1
)
flags.declare_key_flag("data_dir")
flags.declare_key_flag("download")
flags.adopt_module_key_flags(_cli)


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """What is searched, and what it stands beside.

    Attributes:
      name: of its folder.
      dataset: as --dataset of the search.
      memory_model: the working memory that the published figures are in.
      rows: the published networks.
      search_flags: further flags of the search.
      focus_flags: of the second search, besides those; without any there is none.
      train_flags: further flags of the final trainings.
    """

    name: str
    dataset: str
    memory_model: str
    rows: tuple[beside.Published, ...]
    search_flags: tuple[str, ...] = ()
    focus_flags: tuple[str, ...] = ()
    train_flags: tuple[str, ...] = ()


def run(benchmark: Benchmark) -> int:
    """Does what is missing, then writes and prints the comparison.

    Returns:
      The exit status; that of the step that failed, if one did.
    """
    root = pathlib.Path(FOLDER.value or f"runs/published-{benchmark.name}")
    trials = []
    for name, minutes, given in _searches(benchmark, root):
        code = _search(benchmark, root / name, minutes, given)
        if code:
            return code
        rows = report.read_trials_csv(root / name / "trials.csv")
        trials += [{**row, "search": name} for row in rows if not row["reading"]]
    found = []
    for row in benchmark.rows:
        ours = []
        for trial in choose(trials, row, benchmark.memory_model, CANDIDATES.value):
            label = f"{trial['search']}-{trial['index']}".removeprefix("search-")
            folder = root / f"final-{label}"
            code = _train(benchmark, root / trial["search"], folder, trial["index"])
            if code:
                return code
            ours.append(_read(folder, label, benchmark))
        best = min(ours, key=lambda pair: pair[0], default=(None, None))
        found.append((row, best[1]))
    table = beside.beside_table(found, benchmark.memory_model)
    report.write_text(root / "published.md", table + "\n")
    beside.plot_beside(
        root / "published.png", found, benchmark.dataset, benchmark.memory_model
    )
    print(table)
    print(f"wrote  {root / 'published.md'}, {root / 'published.png'}")
    return 0


def choose(
    trials: Sequence[Mapping[str, Any]],
    row: beside.Published,
    memory_model: str,
    count: int,
) -> list[Mapping[str, Any]]:
    """The trials of lowest validation error within a published network's figures.

    Args:
      trials: of searches.
      row: the published network.
      memory_model: name of its working memory.
      count: how many are wanted.

    Returns:
      At most so many, best first.
    """
    small = [
        trial
        for trial in trials
        if trial["status"] == "completed"
        and trial["model_size_nonzero"] <= row.size_bytes
        and trial[memory_model] <= row.memory_bytes
    ]
    return sorted(small, key=lambda trial: trial["validation_error"])[:count]


def is_finished(folder: pathlib.Path) -> bool:
    """Whether a step has ended; an interrupted search leaves results, too."""
    best = folder / "best.json"
    return best.is_file() and not report.read_json(best)["header"].get("unfinished")


def _searches(benchmark, root):
    """Name, minutes and further flags of each search."""
    given = (*benchmark.search_flags, f"--seed={SEED.value}")
    if not benchmark.focus_flags:
        return (("search", MINUTES.value, given),)
    last = _FOCUS * MINUTES.value
    focus = (
        *benchmark.search_flags,
        *benchmark.focus_flags,
        f"--seed={SEED.value + 1}",
        f"--warm_start={root / 'search'}",
    )
    return ("search", MINUTES.value - last, given), ("focus", last, focus)


def _search(benchmark, folder, minutes, given):
    if is_finished(folder):
        return 0
    command = ["--resume"] if (folder / "run.json").is_file() else []
    command += [
        f"--run_dir={folder}",
        f"--dataset={benchmark.dataset}",
        f"--memory_model={benchmark.memory_model}",
        f"--ram_bytes={max(row.memory_bytes for row in benchmark.rows)}",
        f"--flash_bytes={max(row.size_bytes for row in benchmark.rows)}",
        f"--time_budget={minutes}",
        f"--trials={TRIALS.value}",
        f"--workers={WORKERS.value}",
    ]
    return _call("experiments.search", [*command, *given])


def _train(benchmark, searched, folder, index):
    from spjax import search

    if is_finished(folder):
        return 0
    shutil.rmtree(folder, ignore_errors=True)  # what an interrupted training left
    command = [
        f"--run_dir={folder}",
        f"--genome={search.trial_folder(searched, index) / 'genome.json'}",
        f"--init={search.weights_of(searched, index)}",
        f"--dataset={benchmark.dataset}",
        f"--memory_model={benchmark.memory_model}",
        f"--epochs={FINAL_EPOCHS.value}",
        f"--seeds={FINAL_SEEDS.value}",
    ]
    return _call("experiments.train", [*command, *benchmark.train_flags])


def _read(folder, label, benchmark):
    """Mean validation error and figures of a network trained on."""
    rows = report.read_trials_csv(folder / "trials.csv")
    done = [row for row in rows if row["status"] == "completed"]
    summary = report.read_front(folder / "front.json")["header"]["summary"]
    ours = beside.trained(label, done, summary, benchmark.memory_model)
    return summary["validation_error"]["mean"], ours


def _call(program, arguments):
    # As a program: its flags have the names of ours.
    source = _flags.source_arguments()
    command = [sys.executable, "-m", program, *arguments, *source]
    print("$", "python", *command[1:], flush=True)
    return subprocess.run(command, check=False).returncode
