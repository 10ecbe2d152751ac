"""The plan of masks against the cubic schedule as an optax schedule."""

import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import pruning, training


@settings(max_examples=60, deadline=None)
@given(
    steps=st.integers(1, 2000),
    sparsity=st.floats(0.01, 0.99),
    begin=st.floats(0, 0.6),
    length=st.floats(0.05, 0.4),
    updates=st.integers(1, 40),
)
def test_plan_ends_at_the_full_sparsity_within_the_run(
    steps, sparsity, begin, length, updates
):
    config = training.TrainConfig(
        prune_begin=begin, prune_end=begin + length, prune_updates=updates
    )
    plan = training.prune_plan(config, steps, sparsity)
    at, shares = list(plan), list(plan.values())
    assert at == sorted(set(at))
    assert 0 <= at[0] and at[-1] < steps
    assert shares[-1] == sparsity
    assert all(0 < share <= sparsity for share in shares)
    assert shares == sorted(shares)
    assert len(plan) <= updates


def test_values_are_the_cubic_schedules():
    config = training.TrainConfig(prune_begin=0.2, prune_end=0.7, prune_updates=10)
    plan = training.prune_plan(config, 1000, 0.9)
    schedule = pruning.cubic(0.9, begin=200, end=700)
    assert list(plan) == [250, 300, 350, 400, 450, 500, 550, 600, 650, 700]
    for step, share in plan.items():
        assert share == pytest.approx(float(schedule(jnp.int32(step))), abs=1e-6)


def test_nothing_is_planned_for_a_dense_network():
    assert training.prune_plan(training.TrainConfig(), 100, 0.0) == {}


def test_a_run_of_one_step_is_pruned():
    assert training.prune_plan(training.TrainConfig(), 1, 0.5) == {0: 0.5}
