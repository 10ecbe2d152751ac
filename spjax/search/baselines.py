"""What a search engine is measured against, on the interface of `proposals.propose`.

``random``            every genome is a fresh draw within the limits.
``ageing_evolution``  Real et al., "Regularized evolution for image classifier
                      architecture search", AAAI 2019, as uNAS uses it (Liberis et al.,
                      EuroMLSys 2021): the latest P trials are the population; of S
                      drawn from it, the best under a random Chebyshev scalarisation is
                      edited once. uNAS takes P = 100 and S = 25 over 2000 rounds; S is
                      a quarter of P here too. Bounds that the user gave are those
                      of the scalarisation, as they are uNAS's.
``nsga2``             Deb et al., "A fast and elitist multiobjective genetic algorithm:
                      NSGA-II", 2002, a trial at a time: the P best trials by rank and
                      crowding distance (pymoo's) are the population; two winners of
                      binary tournaments cross their genes, one edit mutates the child.

All start with P random genomes, and all children inherit the weights of their (first)
parent, as the default's do: what differs is only which genome comes next. Each depends
on the seed, the index and the trials so far, on nothing else.
"""

from collections.abc import Sequence

import numpy as np

from spjax import genomes
from spjax.genomes import Genome
from spjax.search import candidates, preference, scalarise
from spjax.search.drawing import cost_of, draw_feasible, fits
from spjax.search.observation import (
    Observation,
    Proposal,
    feasible,
    objective_values,
)
from spjax.search.settings import Settings

_ATTEMPTS = 200
_SAMPLE_SHARE = 0.25


def random_search(
    settings: Settings, observations: Sequence[Observation], index: int
) -> Proposal:
    """Draws a genome; arguments, result and errors as those of `propose`."""
    rng = np.random.default_rng([settings.seed, index])
    return _random(rng, settings, {o.genome for o in observations})


def ageing_evolution(
    settings: Settings, observations: Sequence[Observation], index: int
) -> Proposal:
    """Edits the best of a sample; arguments, result, errors as those of `propose`."""
    rng = np.random.default_rng([settings.seed, index])
    taken = {o.genome for o in observations}
    population = feasible(settings, observations)[-settings.population :]
    if index < settings.population or not population:
        return _random(rng, settings, taken)
    count = max(2, round(_SAMPLE_SHARE * settings.population))
    count = min(count, len(population))
    sample = [population[i] for i in rng.choice(len(population), count, replace=False)]
    values = objective_values(settings, sample)
    bounds = scalarise.soft_bounds(
        objective_values(settings, population), settings.objective_limits()
    )
    bounds = preference.within_given(settings, bounds)
    weights = scalarise.random_weights(rng, bounds)
    parent = sample[int(np.argmin(scalarise.chebyshev(values, weights)))]

    def child() -> tuple[Genome, str]:
        return genomes.morph(rng, parent.genome, settings.input_shape, settings.bounds)

    return _first_that_fits(rng, settings, taken, parent, child)


def nsga2(
    settings: Settings, observations: Sequence[Observation], index: int
) -> Proposal:
    """Crosses two good genomes; arguments, result, errors as those of `propose`."""
    rng = np.random.default_rng([settings.seed, index])
    taken = {o.genome for o in observations}
    trials = feasible(settings, observations)
    if index < settings.population or not trials:
        return _random(rng, settings, taken)
    order = _by_rank_and_crowding(objective_values(settings, trials))[
        : settings.population
    ]

    def winner() -> Observation:
        return trials[order[min(rng.integers(len(order), size=2))]]

    first, second = winner(), winner()

    def child() -> tuple[Genome, str]:
        crossed = candidates.cross(rng, settings, first.genome, second.genome)
        genome, edit = genomes.morph(
            rng, crossed or first.genome, settings.input_shape, settings.bounds
        )
        return genome, f"cross+{edit}" if crossed else edit

    return _first_that_fits(rng, settings, taken, first, child)


def _random(rng: np.random.Generator, settings: Settings, taken: set[Genome]):
    return Proposal(draw_feasible(rng, settings, taken), None, "random")


def _first_that_fits(rng, settings, taken, parent, child) -> Proposal:
    for _ in range(_ATTEMPTS):
        genome, edit = child()
        if genome not in taken and fits(cost_of(genome, settings), settings.limit_of):
            return Proposal(genome, parent.index, edit)
    return _random(rng, settings, taken)


def _by_rank_and_crowding(values: np.ndarray) -> list[int]:
    """Indices by rank, and within a rank by falling crowding distance."""
    # Late: pymoo takes a second to import, and only this function needs it.
    from pymoo.operators.survival.rank_and_crowding.metrics import (
        get_crowding_function,
    )
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    order = []
    crowding = get_crowding_function("cd")
    for front in NonDominatedSorting().do(values):
        distance = crowding.do(values[front])
        order += [int(i) for i in front[np.argsort(-distance, kind="stable")]]
    return order
