import dataclasses

import numpy as np

from spjax import genomes
from spjax.search import candidates
from spjax.search.drawing import cost_of, fits
from spjax.search.observation import Observation, Proposal
from spjax.search.settings import Settings

_SETTINGS = Settings(
    input_shape=(16, 16, 1),
    num_classes=10,
    limits=(("planned_arena", 1024), ("model_size_nonzero", 4096)),
)


def _draw(rng):
    return lambda: candidates.new_draw(rng, _SETTINGS)


def test_a_pool_is_new_distinct_within_the_limits_and_knows_its_costs():
    pool = candidates.draw_pool(_SETTINGS, _draw(np.random.default_rng(0)), set(), 20)
    taken = {c.proposal.genome for c in pool[:5]}
    again = candidates.draw_pool(_SETTINGS, _draw(np.random.default_rng(0)), taken, 20)
    drawn = [c.proposal.genome for c in again]
    assert len(drawn) == len(set(drawn)) == 20 and not taken & set(drawn)
    assert drawn[:15] == [c.proposal.genome for c in pool[5:]]
    for candidate in again:
        assert candidate.cost == cost_of(candidate.proposal.genome, _SETTINGS)
        assert fits(candidate.cost, _SETTINGS.limit_of)


def test_a_pool_that_cannot_be_filled_ends():
    one = candidates.new_draw(np.random.default_rng(3), _SETTINGS)
    assert len(candidates.draw_pool(_SETTINGS, lambda: one, set(), 9)) <= 1
    assert candidates.draw_pool(_SETTINGS, lambda: None, set(), 9) == []


def test_morphs_keep_their_origin_and_name_their_edits():
    rng = np.random.default_rng(1)
    genome = genomes.random_genome(rng, (16, 16, 1))
    origin = candidates.of_trial(Observation(7, genome, "completed"))
    children = [candidates.morph_of(rng, _SETTINGS, origin) for _ in range(300)]
    counts = np.bincount([len(c.edit.split("+")) for c in children])
    assert {c.parent for c in children} == {7}
    # Geometric: one edit in half of the cases, two in a quarter.
    assert abs(counts[1] / 300 - 0.5) < 0.12 and abs(counts[2] / 300 - 0.25) < 0.1
    further = candidates.morph_of(rng, _SETTINGS, children[0])
    assert further.edit.startswith(children[0].edit + "+") and further.parent == 7


def test_an_edit_that_does_not_apply_gives_none():
    bounds = genomes.Bounds(pruning=("none",), sparsity=(0.0, 0.5))
    settings = dataclasses.replace(_SETTINGS, bounds=bounds)
    rng = np.random.default_rng(0)
    origin = Proposal(genomes.random_genome(rng, (16, 16, 1), bounds), 0, "")
    names = genomes.PRUNING_MORPHS
    assert candidates.morph_of(rng, settings, origin, names) is None
