"""Groups of trials that are trained together: one architecture, several genes.

Where a search trains K networks at once (``Settings.together``), every proposal begins
a group: the genome that was proposed, and up to K - 1 that differ from it in the genes
of training only. Their learning rate, kind of pruning and sparsity are drawn from the
space as those of a random genome are, but without the kinds of pruning with noise; what
breaks a limit, or was a trial before, is drawn again. Each is a trial of its own, with
the same parent: it inherits the same weights.

A group is smaller at the end of a search, and where few such genes keep the limits; it
is a single trial where the pruning of the proposed genome has noise.
"""

import dataclasses
from collections.abc import Sequence, Set

import numpy as np

from spjax import genomes
from spjax.genomes import Genome
from spjax.genomes.random_draw import draw_training
from spjax.search.drawing import cost_of, fits
from spjax.search.settings import Settings
from spjax.search.study import Study
from spjax.search.trial_row import Trial, genome_of
from spjax.search.workers import Event

_ATTEMPTS = 24  # a trial; where limits are tight few draws keep them
# What a trial's edit says of the genes that were drawn.
_EDIT = "training"


def begin_group(study: Study, most: int) -> list[Trial]:
    """Proposes a genome and those to be trained with it; stores them as under way.

    Args:
      study: the study; its settings say how many are trained together.
      most: trials that may be begun; at least 1.

    Returns:
      The trials, with successive numbers; the first is the one that was proposed.

    Raises:
      InfeasibleError: if no new genome within the limits can be found.
      StudyError: if a trial cannot be stored.
    """
    first = study.propose()
    group, settings = [first], study.settings
    count = min(settings.together, most) - 1
    if count > 0:
        rng = np.random.default_rng([settings.seed, first.index, 1])
        taken = {o.genome for o in study.earlier} | _trained(study)
        edit = f"{first.edit}+{_EDIT}"
        for genome in draw_siblings(rng, settings, first.genome, count, taken):
            group.append(study.add(genome, first.parent, edit))
    return group


def draw_siblings(
    rng: np.random.Generator,
    settings: Settings,
    genome: Genome,
    count: int,
    taken: Set[Genome],
) -> list[Genome]:
    """Draws genomes that differ from one in the genes of training only.

    Args:
      rng: source of randomness.
      settings: the search.
      genome: canonical.
      count: how many are wanted.
      taken: canonical genomes that may not be drawn.

    Returns:
      At most ``count`` canonical genomes within bounds and limits, no two alike; none
      if the genome's pruning has noise, or all of the space's.
    """
    kinds = [k for k in settings.bounds.pruning if k in genomes.MAGNITUDE_KINDS]
    if genome.training.pruning in genomes.NOISY_KINDS or not kinds:
        return []
    bounds = dataclasses.replace(settings.bounds, pruning=tuple(kinds))
    found, seen = [], {*taken, genome}
    for _ in range(_ATTEMPTS * count):
        if len(found) == count:
            break
        drawn = dataclasses.replace(genome, training=draw_training(rng, bounds))
        drawn = genomes.canonical(drawn)
        if drawn in seen:
            continue
        seen.add(drawn)
        if fits(cost_of(drawn, settings), settings.limit_of):
            found.append(drawn)
    return found


def regroup(trials: Sequence[Trial], together: int) -> list[list[Trial]]:
    """Puts trials that an earlier process left under way in groups again.

    Args:
      trials: by number.
      together: most trials of a group.

    Returns:
      The trials in order, cut into groups: successive trials of one architecture, with
      one parent and no noise.
    """
    groups: list[list[Trial]] = []
    for trial in trials:
        last = groups[-1] if groups else []
        if last and len(last) < together and _match(last[-1], trial):
            last.append(trial)
        else:
            groups.append([trial])
    return groups


def single_events(event: Event, left: Sequence[int]) -> list[Event]:
    """What an event of a worker's task says of the single trials.

    Args:
      event: of a pool; its task is a trial, or a group of trials.
      left: numbers of the trials of that task that have not ended.

    Returns:
      Events whose task is a trial's number. What `run_trials` tells of one trial is
      passed on; what happened to the task as a whole happened to all that are left.
    """
    if isinstance(event.content, Event):
        told = [event.content]
    elif event.kind == "result" and isinstance(event.content, tuple):
        told = list(event.content)
    else:
        told = [dataclasses.replace(event, task=index) for index in left]
    return [one for one in told if one.task in left]


def _match(one: Trial, other: Trial) -> bool:
    noisy = {one.genome.training.pruning, other.genome.training.pruning}
    return (
        one.parent == other.parent
        and not noisy & set(genomes.NOISY_KINDS)
        and _plain(one.genome) == _plain(other.genome)
    )


def _plain(genome: Genome) -> Genome:
    return dataclasses.replace(genome, training=genomes.Training())


def _trained(study: Study) -> set[Genome]:
    """The genomes of all trials."""
    return {genome_of(row) for row in study.records()}
