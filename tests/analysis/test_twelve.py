"""The 12x12 example that was measured on boards: every figure, in int8 and float32.

Convolution 3x3x8 VALID with ReLU, max pooling 2, dense layer 10: maps of 144, 800 and
200 elements. On a Cortex-M and an AVR the static arrays took 1000 bytes with every map
apart, 944 with the pooling in place, and 344 with it fused. Each plan is simulated and
its activations compared with JAX's.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spjax import analysis
from tests.analysis import int8


def _float32():
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(3, 3, 1, 8)).astype(np.float32)
    weights = rng.normal(size=(200, 10)).astype(np.float32)

    def fn(_, x):
        y = jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        y = jax.lax.reduce_window(
            jnp.maximum(y, 0), -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1),
            "VALID",
        )  # fmt: skip
        return y.reshape(1, -1) @ weights

    return fn, rng.normal(size=(1, 12, 12, 1)).astype(np.float32)


def _int8():
    def fn(_, x):
        y = int8.pool(int8.conv(x, int8.kernel(3, 3, 1, 8)))
        return int8.dense(y, int8.kernel(200, 10))

    return fn, int8.image(1, 12, 12, 1)


@pytest.fixture(scope="module", params=["int8", "float32"])
def example(request):
    """(program, image, result of JAX, bytes of an element)."""
    fn, x = _int8() if request.param == "int8" else _float32()
    return analysis.trace(fn, (), x), x, np.asarray(fn((), x)), x.dtype.itemsize


def _arenas(make, example, **options):
    """(planned_arena at one byte per element, at the type's), the latter simulated."""
    program, x, wanted, _ = example
    small = analysis.plan(make(program, **options))
    made = analysis.plan(make(program, bytes_per_element=None, **options))
    got = analysis.simulate(made, {"input": x})[program.outputs[0]]
    if got.dtype == np.int8:
        np.testing.assert_array_equal(got, wanted)
    else:
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
    for plan in (small, made):
        assert plan.planned_arena == plan.lower_bound  # no plan needs less
        assert plan.schedule.extra_macs == 0
    return small.planned_arena, made.planned_arena


@pytest.mark.parametrize(
    "sharing, arena", [("none", 1000), ("in_place", 944), ("overlap", 682 + 144)]
)
def test_whole_maps(example, sharing, arena):
    size = example[3]
    small, full = _arenas(analysis.whole, example, sharing=sharing)
    assert (small, full) == (arena, size * arena)


def test_how_far_the_convolution_may_reach_into_its_input(example):
    """675 bytes apart if whole pixels are written, 682 if single bytes are.

    The pixel that is written whole takes 8 bytes, so that single bytes need one less:
    682 + 144 = 826 against 675 + 144 + 8 = 827.
    """
    program = example[0]
    conv = program.operations[0]
    for temporary, distance in ((True, 675), (False, 682)):
        bound = analysis.overlap_bound(
            program, conv, "input", pixel_temporary=temporary
        )
        assert bound == distance


@pytest.mark.parametrize(
    "sharing, arena", [("none", 144 + 200), ("in_place", 344), ("overlap", 95 + 144)]
)
def test_fused_pooling(example, sharing, arena):
    size = example[3]
    small, full = _arenas(analysis.fused, example, sharing=sharing)
    assert (small, full) == (arena, size * arena)


def test_streamed_by_rows(example):
    """The image, one pooled pixel of 8, ten accumulators of 4 bytes."""
    size = example[3]
    small, full = _arenas(analysis.streamed, example)
    assert (small, full) == (144 + 8 + 40, size * (144 + 8) + 40)


def test_streamed_from_an_image_that_arrives(example):
    """Three rows and four pixels of the image instead of all of it."""
    size = example[3]
    small, full = _arenas(analysis.streamed, example, input_rows=True)
    assert (small, full) == (40 + 8 + 40, size * (40 + 8) + 40)


def test_tflm_needs_sixteen_byte_blocks(example):
    schedule = analysis.whole(example[0], sharing="none")
    assert analysis.tflm_head(schedule) == 800 + 208
