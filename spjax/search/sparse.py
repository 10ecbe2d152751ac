"""SpArSe's own algorithm (Fedorov et al., NeurIPS 2019), beside the default.

Every proposal draws the weights of a random Chebyshev scalarisation,

    g = max(lambda_1 error, lambda_2 size, lambda_3 memory),

and candidates, each either a random genome or one edit of a reference. Each objective
has a Gaussian process of its own on the arc kernel, size and memory, too, though they
are known; one function is drawn from each (Thompson sampling), and the candidate with
the smallest g is trained, with its reference's weights. The three stages are those of
`stages`; references are the completed trials, in stage 3 those on the Pareto set.

What the paper leaves open, or was not at hand, is chosen here: a mixture of one half;
processes on the logarithms of the objectives; references drawn evenly. Limits are kept
by all algorithms of this library alike, by what a candidate costs exactly. Trials under
way count as ended with the values that the processes expect.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from spjax import genomes
from spjax.search import (
    candidates,
    error_model,
    preference,
    scalarise,
    stages,
    surrogates,
)
from spjax.search.drawing import draw_feasible
from spjax.search.observation import (
    Observation,
    Proposal,
    feasible,
    objective_values,
)
from spjax.search.settings import Settings

_RANDOM_IN_MIXTURE = 0.5


def sparse(
    settings: Settings, observations: Sequence[Observation], index: int
) -> Proposal:
    """Chooses the next genome; arguments, result, errors as those of `propose`."""
    rng = np.random.default_rng([settings.seed, index])
    taken = {o.genome for o in observations}
    good = feasible(settings, observations)
    if index < settings.initial_trials or not good:
        return Proposal(draw_feasible(rng, settings, taken), None, "random")
    stage = stages.stage_of(settings, index)
    references = stages.references_of(stage, settings, good)

    def draw() -> Proposal | None:
        if stage != 2 and rng.random() < _RANDOM_IN_MIXTURE:
            return candidates.new_draw(rng, settings)
        reference = references[rng.integers(len(references))]
        try:
            genome, edit = genomes.morph(
                rng,
                reference.genome,
                settings.input_shape,
                settings.bounds,
                stages.edits_of(stage),
            )
        except genomes.GenomeError:
            return None
        return Proposal(genome, reference.index, edit)

    pool = candidates.draw_pool(settings, draw, taken, settings.candidates)
    values = objective_values(settings, good)
    weights = scalarise.random_weights(rng, preference.soft_bounds(settings, values))
    processes = _processes(settings, observations)
    if not pool or processes is None:
        return Proposal(draw_feasible(rng, settings, taken), None, "random")
    inputs = np.stack([_genes(c.proposal.genome, settings) for c in pool])
    drawn = [np.exp(surrogates.thompson(p, inputs, rng)[0]) for p in processes]
    worst = scalarise.chebyshev(np.stack(drawn, axis=1), weights)
    return pool[int(np.argmin(worst))].proposal


def _processes(
    settings: Settings, observations: Sequence[Observation]
) -> list[Any] | None:
    """One process for the logarithm of each objective, trials under way believed."""
    processes = []
    running = [o for o in observations if o.status == "running"]
    for k, name in enumerate(settings.objectives):
        seen = [
            (o, value)
            for o in observations
            if (value := _value(settings, o, k, name)) is not None
        ]
        if len(seen) < error_model.FEWEST:
            return None
        inputs = np.stack([_genes(o.genome, settings) for o, _ in seen])
        values = np.array([value for _, value in seen], np.float64)
        values = np.log(np.maximum(values, 1.0)) if k else surrogates.from_error(values)
        process = error_model.conditioned(inputs, values, 0)
        if running:
            new = np.stack([_genes(o.genome, settings) for o in running])
            process = error_model.believing(process, inputs, values, new)[0]
        processes.append(process)
    return processes


def _value(settings: Settings, trial: Observation, k: int, name: str) -> float | None:
    return error_model.error_of(settings, trial) if k == 0 else trial.figures.get(name)


@functools.lru_cache(maxsize=4096)
def _genes(genome: genomes.Genome, settings: Settings) -> np.ndarray:
    """What the processes see; every one asks for all trials at every proposal."""
    return genomes.embedding(genome, settings.bounds)
