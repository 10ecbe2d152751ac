"""``report.html`` while a search runs: written again every few trials.

Writing it takes a share of the time and no more: after each writing it is left alone
for as many times as long as that took, though for no more than a minute. What a
network's analysis gives is kept, so that a point of the front costs once; points that
are still to be analysed when a writing has taken long enough wait for the next.
"""

import time
from collections.abc import Mapping
from typing import Any

from experiments import _network_facts
from spjax import data, report, search

# Kinds of events after which all workers have something to do.
_QUIET = ("started", "progress", "tick")
_ANALYSIS_SECONDS = 0.2
_LONGEST_REST = 60.0


class LiveReport:
    """The live page of one search.

    Args:
      study: the search.
      head: facts of the run, for ``report``.
      dataset: what is searched on.
      share: of the time that may be spent on the page.
    """

    def __init__(
        self,
        study: search.Study,
        head: Mapping[str, Any],
        dataset: data.Dataset,
        share: float = 0.01,
    ) -> None:
        self._study, self._head, self._dataset = study, head, dataset
        self._share = share
        self._facts: dict[tuple[int, int], tuple[list, dict]] = {}
        self._history: dict[int, list] = {}
        self._news, self._rest_until = False, 0.0

    def show(self, event: search.TrialEvent) -> None:
        """Takes note of an event; writes the page if it is time.

        Raises:
          ReportError: if the page cannot be written, or a trial's files not be read.
        """
        if event.kind in ("completed", "stopped", "failed"):
            self._news = True
        start = time.perf_counter()
        if self._news and event.kind in _QUIET and start >= self._rest_until:
            self.write()
            now = time.perf_counter()
            rest = (now - start) * (1 / self._share - 1)
            self._rest_until = now + min(rest, _LONGEST_REST)

    def write(self) -> None:
        """Writes the page; raises as `show`."""
        run_dir, start = self._study.run_dir, time.perf_counter()
        self._news = False
        rows = rows_of(self._study)
        layers, timelines = {}, {}
        for row in rows:
            if not row["on_front"]:
                continue
            index, reading = key = search.key_of(row)
            if key not in self._facts:
                if time.perf_counter() - start > _ANALYSIS_SECONDS:
                    self._news = True
                    continue
                self._analyse(*key)
            name = key if reading else index
            layers[name], timelines[name] = self._facts[key]
        report.write_html(
            run_dir / "report.html",
            rows,
            self._head,
            history=self._history,
            layers=layers,
            timelines=timelines,
            live=True,
        )

    def _analyse(self, index: int, reading: int) -> None:
        run_dir = self._study.run_dir
        source = search.trial_folder(run_dir, index)
        self._history[index] = report.read_json(source / "history.json")
        try:
            self._facts[index, reading] = _network_facts.facts_of(
                run_dir, index, reading, self._dataset
            )
        except (OSError, ValueError) as error:
            raise report.ReportError(f"trial {index}: {error}") from error


def rows_of(study: search.Study) -> list[dict[str, Any]]:
    """The trials that have ended, as reports take them.

    Returns:
      One row a trial, and one more for each further reading on the front; with
      ``feasible``, ``on_front`` and ``hypervolume``.
    """
    settings = study.settings
    ended = [row for row in study.records() if row["status"] != "running"]
    points = search.annotate(
        search.spread(ended), settings.objectives, settings.limit_of
    )
    for row, volume in zip(points, search.hypervolumes(points, settings), strict=True):
        row["hypervolume"] = volume
    return [row for row in points if not row["reading"] or row["on_front"]]
