import numpy as np
import pytest
from jax import lax

from spjax.analysis import Operation, Program, Tensor, Weight
from spjax.deploy import geometry


def _operation(kind, kernel=None, **attributes):
    weights = (Weight("op/kernel", kernel, "float32", None, ()),) if kernel else ()
    return Operation(
        "op", kind, ("x",), "y", tuple(sorted(attributes.items())), weights
    )


@pytest.mark.parametrize(
    ("size", "strides", "padding", "groups", "dilation", "outputs"),
    [
        ((3, 3), (1, 1), ((1, 1), (1, 1)), 1, (1, 1), 5),
        ((2, 4), (2, 1), ((0, 1), (3, 0)), 1, (1, 1), 4),
        ((3, 2), (1, 3), ((0, 0), (2, 2)), 6, (2, 1), 12),
        ((2, 3), (2, 2), ((1, 2), (0, 1)), 3, (1, 2), 6),
        ((1, 1), (1, 1), ((0, 0), (0, 0)), 2, (1, 1), 2),
    ],
)
def test_convolve_is_xla_s(size, strides, padding, groups, dilation, outputs):
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 9, (3, 7, 9, 6)).astype(np.float32)
    shape = (*size, 6 // groups, outputs)
    kernel = rng.integers(-9, 9, shape).astype(np.float32)
    operation = _operation(
        "conv2d",
        shape,
        strides=strides,
        padding=padding,
        groups=groups,
        dilation=dilation,
    )
    expected = lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )
    np.testing.assert_array_equal(geometry.convolve(operation, kernel, x), expected)


@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((1, 1), (0, 2))])
def test_pools_are_xla_s(padding):
    rng = np.random.default_rng(1)
    x = rng.integers(-128, 128, (2, 7, 8, 3)).astype(np.int32)
    size, strides = (1, 3, 2, 1), (1, 2, 3, 1)
    pads = ((0, 0), *padding, (0, 0))
    given = {"window": (3, 2), "strides": (2, 3), "padding": padding}
    lowest = np.iinfo(np.int32).min
    np.testing.assert_array_equal(
        geometry.max_pool(_operation("max_pool", **given), x),
        lax.reduce_window(x, lowest, lax.max, size, strides, pads),
    )
    total, count = geometry.sum_pool(_operation("average_pool", **given), x, np.int64)
    for made, array in ((total, x), (count, np.ones_like(x))):
        expected = lax.reduce_window(array, 0, lax.add, size, strides, pads)
        np.testing.assert_array_equal(np.broadcast_to(made, expected.shape), expected)


def test_reductions_cover_the_whole_map():
    x = np.random.default_rng(2).integers(-128, 128, (2, 4, 5, 3)).astype(np.int8)
    mean = _operation("reduce", function="mean", axes=(1, 2))
    total, count = geometry.sum_pool(mean, x, np.int64)
    assert count == 20 and (total == x.astype(int).sum((1, 2))).all()
    largest = _operation("reduce", function="max", axes=(1, 2))
    assert (geometry.max_pool(largest, x) == x.max((1, 2))).all()
    assert geometry.is_maximum(largest) and not geometry.is_maximum(mean)


def test_work_counts_the_windows():
    operation = _operation("conv2d", (3, 3, 4, 8), groups=1)

    def tensor(name, shape):
        return Tensor(name, shape, "float32", "activation", None, ())

    program = Program(
        (operation,),
        {"x": tensor("x", (1, 7, 7, 4)), "y": tensor("y", (1, 5, 5, 8))},
        ("x",),
        ("y",),
    )
    windows = 5 * 5 * 3 * 3 * 4
    made = geometry.work(program, operation)
    assert windows <= made <= 2 * windows
