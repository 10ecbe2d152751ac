"""The overlap bound against trying every distance, element by element."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments._random_graphs import DIMENSIONS
from spjax import analysis
from spjax.analysis.elements import elements
from spjax.analysis.overlap import overlap_bound
from spjax.analysis.reference import run

_LIFT = 1_000_000  # no output looks like an input: a lost value shows


def _survives(program, operation, storage, distance, seeds=3, group=1):
    """Whether the output at 0 and the input at ``distance`` give the right output."""
    out = program.tensors[operation.output]
    into = program.tensors[storage]
    for seed in range(seeds):
        x = np.random.default_rng(seed).integers(1, 10_000, into.shape)
        memory = np.full(max(out.elements, distance + into.elements), 99, np.int32)
        view = memory[distance : distance + into.elements].reshape(into.shape)
        view[...] = x
        arguments = [view.reshape(program.tensors[n].shape) for n in operation.inputs]
        right = run(program, operation, [np.array(a) for a in arguments]).reshape(-1)
        element = elements(program, operation, arguments)
        for u in range(0, out.elements, group):
            memory[u : u + group] = [element(v) for v in range(u, u + group)]
        if not np.array_equal(memory[: out.elements], right):
            return False
    return True


def _conv(x, shape, strides, padding, dilation=1, groups=1):
    kernel = np.arange(1, 1 + np.prod(shape), dtype=np.int32).reshape(shape)
    return jax.lax.conv_general_dilated(
        x, kernel, strides, padding, rhs_dilation=(dilation, dilation),
        dimension_numbers=DIMENSIONS, feature_group_count=groups,
    )  # fmt: skip


def _pool(x, window, strides, padding):
    low = np.iinfo(np.int32).min
    return jax.lax.reduce_window(
        x, np.int32(low), jax.lax.max, (1, *window, 1), (1, *strides, 1), padding
    )


def _one(fn, shape):
    x = jax.ShapeDtypeStruct(shape, np.int32)
    program = analysis.trace(lambda _, x: fn(x) + _LIFT, (), x)
    (operation,) = program.operations
    return program, operation


@pytest.mark.parametrize("temporary, bound", [(True, 675), (False, 682)])
def test_twelve_by_twelve_is_exact(temporary, bound):
    """Measured on a microcontroller: right at the bound, wrong one byte below."""
    program, operation = _one(
        lambda x: _conv(x, (3, 3, 1, 8), (1, 1), "VALID"), (1, 12, 12, 1)
    )
    assert (
        overlap_bound(program, operation, "input", pixel_temporary=temporary) == bound
    )
    group = 8 if temporary else 1
    assert _survives(program, operation, "input", bound, 1, group)
    assert not _survives(program, operation, "input", bound - 1, 1, group)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 3)),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from(["SAME", "VALID", ((2, 0), (0, 1))]),
    st.sampled_from(["conv", "depthwise", "pool", "dilated"]),
    st.integers(1, 4),
)
def test_windows_are_exact(shape, size, stride, padding, kind, out):
    height, width, channels = shape
    strides = (stride, stride)
    if kind == "pool":
        fn = lambda x: _pool(  # noqa: E731
            x, (size, size), strides,
            padding if isinstance(padding, str) else ((0, 0), *padding, (0, 0)),
        )  # fmt: skip
    else:
        groups = channels if kind == "depthwise" else 1
        kernel = (size, size, channels // groups, groups * out)
        dilation = 2 if kind == "dilated" else 1
        fn = lambda x: _conv(x, kernel, strides, padding, dilation, groups)  # noqa: E731
    x = jax.ShapeDtypeStruct((1, *shape), np.int32)
    if 0 in jax.eval_shape(fn, x).shape:
        return
    program, operation = _one(fn, (1, *shape))
    _is_exact(program, operation)


def _is_exact(program, operation):
    bound = overlap_bound(program, operation, "input")
    out = program.tensors[operation.output].elements
    assert bound <= out
    assert _survives(program, operation, "input", max(bound, 0))
    if 0 < bound:
        assert not _survives(program, operation, "input", bound - 1, seeds=9)


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: jnp.maximum(x, 7),
        lambda x: x.sum((1, 2)),
        lambda x: x.max((1, 2)),
        lambda x: x.argmax(-1),
        lambda x: x[:, 1:, ::2],
        lambda x: x.transpose(0, 2, 1, 3),
        lambda x: jnp.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0))),
        lambda x: jnp.broadcast_to(x[..., None], (1, 4, 6, 2, 3)),
        lambda x: x.reshape(1, -1) @ np.arange(1, 145, dtype=np.int32).reshape(48, 3),
    ],
)
def test_other_kinds_are_exact(fn):
    program, operation = _one(fn, (1, 4, 6, 2))
    _is_exact(program, operation)


def test_what_may_run_in_place():
    """The rule of thumb: poolings whose windows do not overlap, one-to-one maps."""
    for size, stride in itertools.product((1, 2, 3), (1, 2, 3)):
        program, operation = _one(
            lambda x, size=size, stride=stride: _pool(
                x, (size, size), (stride, stride), "VALID"
            ),
            (1, 6, 6, 2),
        )
        in_place = overlap_bound(program, operation, "input") <= 0
        # With windows that overlap, the rows shrink enough in some cases; never the
        # other way round.
        assert in_place or stride < size


def test_concatenation_is_free_where_parts_lie_in_order():
    program = analysis.trace(
        lambda _, x, y: jnp.concatenate([x, y], -1),
        (),
        jax.ShapeDtypeStruct((1, 4), np.int8),
        jax.ShapeDtypeStruct((1, 6), np.int8),
    )
    (op,) = program.operations
    assert overlap_bound(program, op, "input_0") == 0
    assert overlap_bound(program, op, "input_1") == 4


def test_wider_output_elements():
    """int8 read, int32 written: element u ends at 4 (u + 1), reads go on at u + 1."""
    program = analysis.trace(
        lambda _, x: x.astype(jnp.int32), (), jax.ShapeDtypeStruct((1, 10), np.int8)
    )
    (op,) = program.operations
    assert overlap_bound(program, op, "input", 1, 4) == 4 * 9 - 9
