"""The trials so far as a search algorithm sees them, and what it answers with."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from spjax.genomes import Genome
from spjax.search.drawing import fits
from spjax.search.settings import Settings


@dataclasses.dataclass(frozen=True)
class Observation:
    """A trial, as the proposals see it.

    Attributes:
      index: the trial's number.
      genome: canonical.
      status: ``completed``, ``stopped`` (early), ``failed`` or ``running``.
      figures: the objectives' values by name if completed; if stopped, the
        ``predicted_error`` alone; else empty.
    """

    index: int
    genome: Genome
    status: str
    figures: Mapping[str, float] = dataclasses.field(default_factory=dict)
    readings: tuple[Mapping[str, float], ...] = ()


@dataclasses.dataclass(frozen=True)
class Proposal:
    """A genome to train.

    Attributes:
      genome: canonical, valid, within the limits.
      parent: index of the trial that it is a morph of and inherits weights from; None
        for a random genome.
      edit: ``random``, or the names of the edits joined by ``+``.
    """

    genome: Genome
    parent: int | None
    edit: str


def feasible(
    settings: Settings, observations: Sequence[Observation]
) -> list[Observation]:
    """The completed trials that are within the limits, in order."""
    return [
        o
        for o in observations
        if o.status == "completed" and fits(o.figures, settings.limit_of)
    ]


def objective_values(
    settings: Settings, observations: Sequence[Observation]
) -> np.ndarray:
    """The objectives of completed trials, [n, 3], in the settings' order."""
    return _values(settings, [o.figures for o in observations])


def all_points(settings: Settings, observations: Sequence[Observation]) -> np.ndarray:
    """The objectives of every reading within the limits of completed trials, [n, 3].

    Those of another run (see `warm_start`) are no points of this one's front.
    """
    figures = [
        figures
        for o in observations
        if o.status == "completed" and o.index >= 0
        for figures in (o.figures, *o.readings)
        if fits(figures, settings.limit_of)
    ]
    return _values(settings, figures)


def _values(settings: Settings, figures: Sequence[Mapping[str, float]]) -> np.ndarray:
    names = settings.objectives
    return np.array([[f[n] for n in names] for f in figures]).reshape(-1, len(names))
