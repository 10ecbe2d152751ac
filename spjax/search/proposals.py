"""What to train next, the default: the morph that the front would gain most by.

After SpArSe (Fedorov et al., NeurIPS 2019): candidates are morphs of references, with
their weights, or new; a Gaussian process on a conditional kernel models the error; the
stages are SpArSe's (see `stages`), if they are asked for. Otherwise than there,

* size (as the sparsity gene implies it) and working memory are known for an untrained
  genome, and enter exactly; only the error is modelled;
* a candidate's worth is the expected growth of the hypervolume within the soft bounds,
  networks that do little better than guessing left out (see `improvement`,
  `preference`), which weighs all of the front at once, in place of one random
  scalarisation of a random sample. Readings count as points of the front, and networks
  that take long to train must promise more (see `effort`);
* candidates are also crossings of two references, and edits of the best candidates of
  a first round.

Trials under way count as if they had ended as the model expects: proposals for several
workers keep apart. A genome that breaks a limit, or was proposed before, is never
proposed. A proposal depends on the seed, its own index and the trials so far, on
nothing else: a search that was interrupted goes on as if it had not been.
"""

from collections.abc import Sequence

import numpy as np

from spjax.genomes import Genome
from spjax.search import (
    candidates,
    error_model,
    improvement,
    preference,
    scalarise,
    stages,
)
from spjax.search.candidates import Candidate
from spjax.search.drawing import cost_of, draw_feasible
from spjax.search.effort import efforts, training_macs
from spjax.search.error_model import ErrorModel
from spjax.search.observation import (
    Observation,
    Proposal,
    all_points,
    feasible,
    objective_values,
)
from spjax.search.settings import Settings

_REFERENCES = 8
_NEW_IN_POOL = 0.1
_CROSSED_IN_POOL = 0.1
_FIRST_ROUND = 0.6
_LEADERS = 8
_DRAWN = 16
_LEAN = 10
# References with more than half the error of guessing lead nowhere.
_USEFUL = 0.5


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
    model = error_model.fit(settings, observations)
    if not good or model is None or rng.random() < settings.random_share:
        return Proposal(draw_feasible(rng, settings, taken), None, "random")
    bounds = preference.useful_bounds(settings, objective_values(settings, good))
    front = _front(settings, observations, model)

    def worths(pool: Sequence[Candidate]) -> np.ndarray:
        drawn = [candidate.proposal.genome for candidate in pool]
        effort = efforts(settings, observations, drawn)
        return _worth(settings, model, pool, front, bounds) / effort

    stage = stages.stage_of(settings, index)
    groups = _references(rng, settings, stage, good, bounds)

    def draw() -> Proposal | None:
        return _candidate(rng, settings, stage, groups)

    first = max(1, round(_FIRST_ROUND * settings.candidates))
    pool = candidates.draw_pool(settings, draw, taken, first)
    if not pool:
        return Proposal(draw_feasible(rng, settings, taken), None, "random")
    worth = worths(pool)
    leaders = [pool[i].proposal for i in np.argsort(-worth, kind="stable")[:_LEADERS]]

    def refine() -> Proposal | None:
        origin = leaders[rng.integers(len(leaders))]
        return candidates.morph_of(rng, settings, origin, stages.edits_of(stage))

    known = taken | {candidate.proposal.genome for candidate in pool}
    more = candidates.draw_pool(settings, refine, known, settings.candidates - first)
    if more:
        pool = pool + more
        worth = np.append(worth, worths(more))
    return pool[int(np.argmax(worth))].proposal


def _first_genome(
    rng: np.random.Generator, settings: Settings, taken: set[Genome], index: int
) -> Genome:
    """One of the first genomes: every other one the largest, in MACs, of many draws.

    Few draws come near the limits, and the networks that do err least: without them
    the first morphs would start from small, poor ones. Networks of which pruning leaves
    next to nothing are passed over: one of them may take as long as a hundred others.
    """
    drawn = [draw_feasible(rng, settings, taken) for _ in range(_DRAWN)]
    macs = {genome: cost_of(genome, settings)["macs"] for genome in drawn}
    lean = [g for g in drawn if training_macs(g, settings) <= _LEAN * macs[g]] or drawn
    return max(lean, key=macs.get) if index // settings.together % 2 else lean[0]


def _front(
    settings: Settings, observations: Sequence[Observation], model: ErrorModel
) -> np.ndarray:
    """All points so far, [n, 3], those expected of the trials under way included."""
    running = [o.genome for o in observations if o.status == "running"]
    costs = [cost_of(genome, settings) for genome in running]
    expected = [
        [error, *(cost[name] for name in settings.objectives[1:])]
        for error, cost in zip(model.believed, costs, strict=True)
    ]
    points = all_points(settings, observations)
    return np.vstack([points, np.reshape(expected, (-1, 3))])


def _references(
    rng: np.random.Generator,
    settings: Settings,
    stage: int,
    good: Sequence[Observation],
    bounds: np.ndarray,
) -> list[list[Observation]]:
    """Groups of references: the front's, and good ones under random weights."""
    front = stages.references_of(3, settings, good)
    error = settings.objectives[0]
    most = _USEFUL * settings.chance_error
    front = [o for o in front if o.figures[error] <= most] or front
    if stage == 3:
        return [front]
    weights = scalarise.random_weights(rng, bounds)
    values = scalarise.chebyshev(objective_values(settings, good), weights)
    return [front, [good[i] for i in np.argsort(values, kind="stable")[:_REFERENCES]]]


def _candidate(
    rng: np.random.Generator,
    settings: Settings,
    stage: int,
    groups: Sequence[Sequence[Observation]],
) -> Proposal | None:
    def reference() -> Observation:
        group = groups[rng.integers(len(groups))]
        return group[rng.integers(len(group))]

    kind = rng.random()
    first = reference()
    origin = candidates.of_trial(first)
    if stage != 2:
        if kind < _NEW_IN_POOL:
            return candidates.new_draw(rng, settings)
        if kind < _NEW_IN_POOL + _CROSSED_IN_POOL:
            second = reference()
            crossed = candidates.cross(rng, settings, first.genome, second.genome)
            if crossed is None:
                return None
            origin = Proposal(crossed, first.index, "cross")
            if rng.random() < 0.5:
                return origin
    return candidates.morph_of(rng, settings, origin, stages.edits_of(stage))


def _worth(
    settings: Settings,
    model: ErrorModel,
    pool: Sequence[Candidate],
    front: np.ndarray,
    bounds: np.ndarray,
) -> np.ndarray:
    """The expected growth of the hypervolume by each candidate."""
    inputs = [error_model.inputs_of(c.proposal.genome, c.cost, settings) for c in pool]
    mean, deviation = model.predict(np.stack(inputs))
    costs = [[c.cost[name] for name in settings.objectives[1:]] for c in pool]
    return improvement.expected_improvement(
        front, bounds, np.array(costs), mean, deviation
    )
