"""Whole searches on the small data set, without training, in this process."""

import csv
import dataclasses
import json
import sys

from absl import flags
from absl.testing import flagsaver

from experiments import _interrupts, _run_folder, _search_run, search
from spjax import search as search_room
from tests.experiments import small

assert search  # Defines the flags.


def in_one_process(monkeypatch):
    """No worker processes and no training; flags that are parsed."""
    monkeypatch.setattr(sys, "argv", ["experiments.search"])
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["search"])
    monkeypatch.setattr(search_room, "WorkerPool", small.OneProcess)
    monkeypatch.setattr(search_room, "run_trial", small.quick_trial)
    monkeypatch.setattr(search_room, "run_trials", small.quick_trials)


def run(run_dir, dataset, board=small.UNO, **options):
    """Runs or resumes a search; returns its exit status."""
    if options.get("resume"):
        with flagsaver.as_parsed(run_dir=str(run_dir)):
            assert _run_folder.restore_flags(str(run_dir))
    options = dataclasses.replace(small.OPTIONS, **options)
    return _search_run.search_and_report(
        run_dir, dataset, board, options, _interrupts.Interrupts()
    )


def read(path):
    """Content of a JSON file."""
    return json.loads(path.read_text())


def rows(run_dir):
    """The lines of ``trials.csv``."""
    with open(run_dir / "trials.csv", newline="") as file:
        return list(csv.DictReader(file))


def options_taken(monkeypatch):
    """Has ``experiments.search`` run nothing; returns a list of the options it got."""
    found = []

    def take(run_dir, dataset, board, options, interrupts):
        found.append(options)
        return 0

    monkeypatch.setattr(_search_run, "search_and_report", take)
    monkeypatch.setattr(_interrupts.Interrupts, "install", lambda self: None)
    return found
