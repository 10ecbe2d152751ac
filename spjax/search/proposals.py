"""What to train next: random genomes first, then morphs of good ones.

After SpArSe (Fedorov et al., NeurIPS 2019). A proposal draws the weights of a random
Chebyshev scalarisation, makes morphs of genomes that are good under it or stand on the
front, draws one function of the error from its Gaussian process (Thompson sampling)
and takes the morph with the smallest scalarised value

    g = max(lambda_1 error, lambda_2 size, lambda_3 memory).

The weights aim inside soft bounds: the user's or four times the best error so far, and
the limits, or what the front within that error reaches if that is less.

Only the error is modelled: size (as the sparsity gene implies it) and working memory
are known for an untrained genome and enter exactly. A genome that breaks a limit, or
was proposed before, is never proposed.

A proposal depends on the seed, its own index and the trials so far, on nothing else: a
search that was interrupted goes on as if it had not been.
"""

import functools
from collections.abc import Sequence

import numpy as np

from spjax import genomes
from spjax.genomes import Genome
from spjax.search import pareto, scalarise, surrogates
from spjax.search.drawing import cost_of, draw_feasible, fits
from spjax.search.observation import (
    Observation,
    Proposal,
    feasible,
    objective_values,
)
from spjax.search.settings import Settings

_FEWEST_TO_MODEL = 3
_REFERENCES = 8
_NEW_IN_POOL = 0.1
_LARGEST_OF = 16
_ATTEMPTS_PER_CANDIDATE = 4
# Networks with several times the best error are tiny, and of no use: without a bound
# the search would spend itself on them, for they too stand on the front.
_ERROR_FACTOR = 4.0
_LEAST_ERROR = 0.005


def propose(
    settings: Settings, observations: Sequence[Observation], index: int
) -> Proposal:
    """Chooses what trial ``index`` is to train.

    Args:
      settings: the search.
      observations: all trials so far, those under way included.
      index: number of the new trial.

    Returns:
      The proposal.

    Raises:
      InfeasibleError: if no new genome within the limits can be found.
    """
    rng = np.random.default_rng([settings.seed, index])
    taken = {o.genome for o in observations}
    good = feasible(settings, observations)
    if index < settings.initial_trials:
        return Proposal(_first_genome(rng, settings, taken, index), None, "random")
    if not good or rng.random() < settings.random_share:
        return Proposal(draw_feasible(rng, settings, taken), None, "random")
    values = objective_values(settings, good)
    wanted = _wanted(settings, values)
    bounds = scalarise.soft_bounds(values[wanted], settings.objective_limits())
    bounds[0] = _error_bound(settings, values)
    weights = scalarise.random_weights(rng, bounds)
    best = np.argsort(scalarise.chebyshev(values, weights), kind="stable")
    parents = [[good[i] for i in best[:_REFERENCES]], [good[i] for i in wanted]]
    pool = _pool(rng, settings, parents, taken)
    if not pool:
        return Proposal(draw_feasible(rng, settings, taken), None, "random")
    candidates = np.stack(
        [
            _sampled_errors(rng, settings, observations, pool),
            *(
                np.array([cost[name] for _, cost in pool])
                for name in settings.objectives[1:]
            ),
        ],
        axis=1,
    )
    return pool[int(np.argmin(scalarise.chebyshev(candidates, weights)))][0]


def _first_genome(
    rng: np.random.Generator, settings: Settings, taken: set[Genome], index: int
) -> Genome:
    """One of the first genomes: at odd indices the largest, in MACs, of many draws.

    Few draws come near the limits, and the networks that do err least: without them
    the first morphs would start from small, poor ones.
    """
    draws = _LARGEST_OF if index % 2 else 1
    drawn = [draw_feasible(rng, settings, taken) for _ in range(draws)]
    return max(drawn, key=lambda genome: cost_of(genome, settings)["macs"])


def _error_bound(settings: Settings, values: np.ndarray) -> float:
    """The soft bound on the error: the user's, or a multiple of the best so far."""
    if settings.error_bound is not None:
        return settings.error_bound
    best = max(float(values[:, 0].min()), _LEAST_ERROR)
    return min(_ERROR_FACTOR * best, settings.chance_error)


def _wanted(settings: Settings, values: np.ndarray) -> np.ndarray:
    """Indices of the front's points within the soft bound on the error."""
    front = np.flatnonzero(pareto.non_dominated(values))
    within = values[front, 0] <= _error_bound(settings, values)
    return front[within] if within.any() else front


def _pool(
    rng: np.random.Generator,
    settings: Settings,
    parents: Sequence[Sequence[Observation]],
    taken: set[Genome],
) -> list[tuple[Proposal, dict[str, int]]]:
    """New genomes within the limits, each with what it costs."""
    pool, seen = [], set(taken)
    for _ in range(_ATTEMPTS_PER_CANDIDATE * settings.candidates):
        if len(pool) == settings.candidates:
            break
        proposal = _candidate(rng, settings, parents)
        if proposal.genome in seen:
            continue
        seen.add(proposal.genome)
        cost = cost_of(proposal.genome, settings)
        if fits(cost, settings.limit_of):
            pool.append((proposal, cost))
    return pool


def _candidate(
    rng: np.random.Generator,
    settings: Settings,
    parents: Sequence[Sequence[Observation]],
) -> Proposal:
    shape, bounds = settings.input_shape, settings.bounds
    if rng.random() < _NEW_IN_POOL:
        return Proposal(genomes.random_genome(rng, shape, bounds), None, "random")
    group = parents[rng.integers(len(parents))]
    parent = group[rng.integers(len(group))]
    genome, edits = parent.genome, []
    # One edit in half of all cases, two in a quarter, and so on.
    for _ in range(rng.geometric(0.5)):
        genome, edit = genomes.morph(rng, genome, shape, bounds)
        edits.append(edit)
    return Proposal(genome, parent.index, "+".join(edits))


def _sampled_errors(
    rng: np.random.Generator,
    settings: Settings,
    observations: Sequence[Observation],
    pool: Sequence[tuple[Proposal, dict[str, int]]],
) -> np.ndarray:
    """One draw of the candidates' validation errors."""
    ended = [o for o in observations if o.status in ("completed", "failed")]
    errors = [o.figures.get(settings.objectives[0]) for o in ended]
    # A failed training is no news about size, but it is about error.
    errors = [settings.chance_error if e is None else e for e in errors]
    if len(ended) < _FEWEST_TO_MODEL:
        return rng.permutation(len(pool)) / len(pool)
    model = surrogates.fit(
        np.stack([_seen_inputs(o.genome, settings) for o in ended]),
        surrogates.from_error(np.array(errors)),
        traits=len(surrogates.TRAITS),
    )
    inputs = [_inputs(p.genome, cost, settings) for p, cost in pool]
    return surrogates.to_error(surrogates.thompson(model, np.stack(inputs), rng)[0])


def _inputs(genome: Genome, cost: dict[str, int], settings: Settings) -> np.ndarray:
    arc = genomes.embedding(genome, settings.bounds)
    return np.concatenate([arc, surrogates.log_traits(cost)])


@functools.lru_cache(maxsize=4096)
def _seen_inputs(genome: Genome, settings: Settings) -> np.ndarray:
    return _inputs(genome, cost_of(genome, settings), settings)
