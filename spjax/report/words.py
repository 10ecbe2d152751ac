"""The sentences that several of the room's outputs share."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

from spjax.report import figures

Rows = Sequence[Mapping[str, Any]]


def shorten(text: str, length: int = 44) -> str:
    """Returns the text with its middle left out if it is longer than ``length``."""
    if len(text) <= length:
        return text
    half = (length - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def task(header: Mapping[str, Any]) -> str:
    """Returns e.g. ``digits for uno``: the data set and the board."""
    name = (header.get("dataset") or {}).get("name") or "an unnamed data set"
    return f"{shorten(str(name), 32)} for {shorten(figures.limits(header).name, 20)}"


def trial_counts(rows: Rows, header: Mapping[str, Any]) -> str:
    """Returns e.g. ``60 trials · 3 failed · 22 on the front · 37 fit the board``."""
    front = len(figures.front_of(rows, header))
    rows = figures.trials_of(rows)
    done = figures.measured(rows, header)
    fitting = sum(bool(row.get("feasible")) for row in done)
    fit = f"{fitting} fit{'s' * (fitting == 1)} the board"
    return " · ".join([*ends_of(rows, done), f"{front} on the front", fit])


def ends_of(trials: Rows, done: Rows) -> list[str]:
    """Returns e.g. ``["60 trials", "4 stopped early", "3 failed"]``.

    Args:
      trials: all of them, without further readings.
      done: those that have all objectives.
    """
    stopped = sum(row.get("status") == "stopped" for row in trials)
    lost = len(trials) - len(done) - stopped
    parts = [f"{len(trials)} trial{'s' * (len(trials) != 1)}"]
    parts += [f"{stopped} stopped early"] * bool(stopped)
    return parts + [f"{lost} failed"] * bool(lost)


def pick_facts(rows: Rows, header: Mapping[str, Any]) -> str:
    """Returns which trial is the pick for the board, with its three figures."""
    pick = figures.choose_pick(rows, header)
    if pick is None:
        return "no pick: none fits the board"
    size, memory = figures.size_key(header), figures.memory_key(header)
    return (
        f"★ pick: trial {figures.label_of(pick)}, "
        f"{100 * pick['validation_error']:.2f} % error, "
        f"{pick[size]:,} B {size}, {pick[memory]:,} B {memory}"
    )


def why_nothing(rows: Rows) -> list[str]:
    """Returns lines that say why there is no completed trial to show."""
    if not rows:
        return ["No trial has finished yet."]
    reasons = collections.Counter(
        " ".join(str(row.get("reason") or "no reason given").split()) for row in rows
    )
    lines = [
        f"All {len(rows)} trials failed:" if len(rows) > 1 else "The trial failed:"
    ]
    lines += [
        f"  {count} ×  {shorten(reason, 90)}"
        for reason, count in reasons.most_common(4)
    ]
    rest = len(reasons) - 4
    return lines + ([f"  and {rest} other reasons"] if rest > 0 else [])
