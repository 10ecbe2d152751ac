"""Plans executed over one byte array: random functions, float32 and int8."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments._random_graphs import random_function
from spjax import analysis
from spjax.analysis.plan import plan, tflm_head
from spjax.analysis.reference import evaluate
from spjax.analysis.schedule import SHARINGS, whole
from spjax.analysis.simulate import CorruptedPlan, simulate


def _agrees(values, program, fn, params, x):
    """Activations at the outputs equal the JAX function's; exactly for integers."""
    wanted = jax.tree.leaves(fn(params, x))
    for name, want in zip(program.outputs, wanted, strict=True):
        got = values[program.storage(name)].reshape(want.shape)
        if np.issubdtype(got.dtype, np.integer):
            np.testing.assert_array_equal(got, want)
        else:
            scale = max(1.0, float(np.abs(want).max()))
            np.testing.assert_allclose(got / scale, want / scale, atol=1e-4)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_random_functions_survive_their_plans(seed, int8):
    rng = np.random.default_rng(seed)
    fn, params, x = random_function(
        rng, int8=int8, branches=int(rng.integers(1, 7)), side=5,
        outputs=int(rng.integers(1, 3)),
    )  # fmt: skip
    program = analysis.trace(fn, params, x)
    if int8:  # requantisation is fused: nothing wide is ever stored
        assert {t.dtype for t in program.tensors.values()} == {"int8"}
    expected = evaluate(program, {"input": x})
    head = tflm_head(whole(program, sharing="none", bytes_per_element=None))
    bounds = []
    for sharing in SHARINGS:
        schedule = whole(program, sharing=sharing, bytes_per_element=None)
        for order in ("program", "best"):
            made = plan(schedule, order=order)
            values = simulate(made, {"input": x}, seed)
            _agrees(values, program, fn, params, x)
            for name, value in values.items():
                want = expected[name].astype(np.float64)
                scale = np.abs(want).max(initial=1.0)
                np.testing.assert_allclose(value / scale, want / scale, atol=1e-4)
            assert made.planned_arena >= made.lower_bound
        bounds.append(made.lower_bound)
        assert plan(schedule, alignment=16).planned_arena <= head
    assert bounds == sorted(bounds, reverse=True)  # more sharing never needs more


@pytest.fixture(scope="module")
def twelve():
    """The 12x12 example in int8: conv 3x3x8 VALID, ReLU, max pool 2, dense 10."""
    rng = np.random.default_rng(0)
    params = {
        "conv": rng.integers(-127, 128, (3, 3, 1, 8)).astype(np.int8),
        "dense": rng.integers(-127, 128, (200, 10)).astype(np.int8),
    }

    def narrow(y, factor):
        y = jnp.round(y.astype(jnp.float32) * factor)
        return jnp.clip(y, -128, 127).astype(jnp.int8)

    def fn(p, x):
        y = jax.lax.conv_general_dilated(
            x, p["conv"], (1, 1), "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            preferred_element_type=jnp.int32,
        )  # fmt: skip
        y = narrow(jnp.maximum(y, 0), 2e-3)
        y = nn.max_pool(y, (2, 2), (2, 2)).reshape(1, -1)
        y = jax.lax.dot(y, p["dense"], preferred_element_type=jnp.int32)
        return narrow(y, 1e-4)

    x = rng.integers(-128, 128, (1, 12, 12, 1)).astype(np.int8)
    return fn, params, x, analysis.trace(fn, params, x)


def test_input_outside_of_the_arena(twelve):
    fn, params, x, program = twelve
    made = plan(whole(program, count_input=False))
    assert made.planned_arena == 800
    _agrees(simulate(made, {"input": x}), program, fn, params, x)


def test_a_plan_that_is_off_by_one_is_caught(twelve):
    """Activations differ even where the logits might not."""
    _, _, x, program = twelve
    made = plan(whole(program, sharing="overlap"))
    assert made.offset("input") - made.offset("conv") == 682
    offsets = list(made.offsets)
    offsets[0] -= 1
    with pytest.raises(CorruptedPlan, match="'conv' overwrites an input"):
        simulate(dataclasses.replace(made, offsets=tuple(offsets)), {"input": x})


def test_reading_the_dead_is_caught(twelve):
    _, _, x, program = twelve
    made = plan(whole(program, sharing="none"))
    short = [
        dataclasses.replace(b, last=b.first) if b.name == "max_pool" else b
        for b in made.buffers
    ]
    with pytest.raises(CorruptedPlan, match="'max_pool' was overwritten before"):
        simulate(dataclasses.replace(made, buffers=tuple(short)), {"input": x})


def test_writing_outside_is_caught(twelve):
    _, _, x, program = twelve
    made = plan(whole(program, sharing="none"))
    low = dataclasses.replace(made, planned_arena=made.planned_arena - 1)
    with pytest.raises(CorruptedPlan, match="outside of its arena|overwritten"):
        simulate(low, {"input": x})


def test_elements_must_fit_their_bytes():
    program = analysis.trace(
        lambda _, x: jnp.tanh(x), (), jax.ShapeDtypeStruct((1, 4), np.float32)
    )
    with pytest.raises(analysis.AnalysisError, match="bytes_per_element=None"):
        simulate(plan(whole(program)), {"input": np.zeros((1, 4), np.float32)})


@pytest.mark.parametrize(
    "options, message",
    [({"order": "worst"}, "order is 'worst'"), ({"alignment": 0}, "alignment is 0")],
)
def test_refused_options(twelve, options, message):
    with pytest.raises(analysis.AnalysisError, match=message):
        plan(whole(twelve[3]), **options)
    with pytest.raises(analysis.AnalysisError, match="sharing is 'all'"):
        whole(twelve[3], sharing="all")
