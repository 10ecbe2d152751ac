import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import genomes
from spjax.search.drawing import cost_of, draw_feasible, fits
from spjax.search.errors import InfeasibleError
from spjax.search.settings import Settings

_DIGITS = Settings(input_shape=(8, 8, 1), num_classes=10)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32), st.integers(40, 3000), st.integers(150, 30_000))
def test_draws_are_valid_within_the_limits_and_new(seed, memory, size):
    limits = (("input_output", memory), ("model_size_nonzero", size))
    search = dataclasses.replace(_DIGITS, limits=limits)
    taken = set()
    for i in range(3):
        genome = draw_feasible(np.random.default_rng([seed, i]), search, taken)
        genomes.validate(genome, (8, 8, 1))
        genomes.check_within(genome, search.bounds)
        assert genome == genomes.canonical(genome) and genome not in taken
        cost = cost_of(genome, search)
        assert cost["input_output"] <= memory and cost["model_size_nonzero"] <= size
        taken.add(genome)


def test_what_uniform_draws_never_meet_is_walked_to():
    # The least there is: a 2x2 image, one feature of it, ten classes.
    search = dataclasses.replace(_DIGITS, limits=(("input_output", 11),))
    uniform = [
        cost_of(genomes.random_genome(np.random.default_rng(i), (8, 8, 1)), search)
        for i in range(300)
    ]
    assert sum(fits(cost, search.limit_of) for cost in uniform) == 0
    genome = draw_feasible(np.random.default_rng(0), search, set())
    assert cost_of(genome, search)["input_output"] <= 11


def test_impossible_limits_are_named_with_the_smallest_that_was_met():
    limits = (("input_output", 3), ("model_size_nonzero", 10_000))
    search = dataclasses.replace(_DIGITS, limits=limits)
    with pytest.raises(InfeasibleError) as caught:
        draw_feasible(np.random.default_rng(0), search, set())
    text = str(caught.value)
    assert "8x8x1" in text
    assert "input_output <= 3 and model_size_nonzero <= 10,000" in text
    # A 2x2 image and ten classes: 10 bytes out of the classifier and one in.
    assert "input_output = 11" in text
    assert "\n" not in text


def test_an_exhausted_space_is_told_apart_from_impossible_limits():
    bounds = genomes.Bounds(
        downsample=(1, 1), num_blocks=(1, 1), num_convs=(1, 1), num_dense=(0, 0),
        conv_kinds=("regular",), kernel=(1, 1), channels=(1, 2), stride=(1, 1),
        batch_norm=(True,), relu=(True,), pool_kinds=("none",), branches=(False,),
        learning_rate=(1e-3, 1e-3), pruning=("none",),
    )  # fmt: skip
    search = dataclasses.replace(_DIGITS, bounds=bounds)
    taken, rng = set(), np.random.default_rng(0)
    for _ in range(2):
        taken.add(draw_feasible(rng, search, taken))
    with pytest.raises(InfeasibleError, match="no new genome .* beside the 2 of"):
        draw_feasible(rng, search, taken)
