"""Statistics and independence of the initial weights."""

import jax
import numpy as np
import pytest

from spjax import networks
from spjax.genomes import Block, Conv, Genome

SHAPE = (8, 8, 3)
GENOME = Genome(
    blocks=(
        Block(
            convs=(
                Conv(channels=96),
                Conv(kind="separable", channels=64),
                Conv(kind="downsampled", channels=40, batch_norm=False),
            ),
            residual=True,
            branch=80,
        ),
    ),
    input_branch=70,
    dense=(100,),
)


@pytest.fixture(scope="module")
def variables():
    return networks.init_variables(GENOME, SHAPE, 50, seed=3)


@pytest.mark.parametrize(
    ("path", "fan_in", "gain"),
    [
        ("block0_conv0/conv", 27, 2),
        ("block0_conv1/depthwise", 9, 2),
        ("block0_conv1/pointwise", 96, 2),
        ("block0_shortcut", 3, 1),
        ("block0_conv2/reduce", 64, 1),
        ("block0_conv2/conv", 9 * 32, 2),
        ("block0_branch", 64 * 40, 2),
        ("input_branch", 64 * 3, 2),
        ("dense0", 64 * 40, 2),
        ("classifier", 100 + 70 + 80, 1),
    ],
)
def test_kernels_are_normal_with_he_variance(variables, path, fan_in, gain):
    kernel = networks.flatten(variables["params"])[f"{path}/kernel"]
    assert kernel.dtype == np.float32
    z = kernel.ravel() / np.sqrt(gain / fan_in)
    # Five standard errors of the mean, the variance and the share within one sigma.
    n = len(z)
    assert abs(z.mean()) < 5 / np.sqrt(n)
    assert abs(z.var() - 1) < 5 * np.sqrt(2 / n)
    assert abs(np.mean(np.abs(z) < 1) - 0.6827) < 5 * 0.466 / np.sqrt(n)


def test_the_rest_starts_at_the_identity(variables):
    leaves = networks.flatten(variables["params"])
    leaves |= networks.flatten(variables["batch_stats"])
    for path, value in leaves.items():
        name = path.rpartition("/")[2]
        if name != "kernel":
            assert (value == {"scale": 1, "var": 1}.get(name, 0)).all(), path


def test_shapes_are_those_of_the_module(variables):
    drawn = jax.tree.map(np.shape, variables)
    shapes = networks.variable_shapes(GENOME, SHAPE, 50)
    assert drawn == jax.tree.map(lambda leaf: leaf.shape, shapes)


def test_seed_decides():
    again = networks.init_variables(GENOME, SHAPE, 50, seed=3)
    other = networks.init_variables(GENOME, SHAPE, 50, seed=4)
    first = networks.init_variables(GENOME, SHAPE, 50, seed=3)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    kernels = (v["params"]["dense0"]["kernel"] for v in (first, other))
    assert not np.array_equal(*kernels)


def test_a_layer_does_not_depend_on_the_others():
    small = Genome(blocks=(Block(convs=(Conv(channels=4),)),))
    deep = Genome(blocks=(Block(convs=(Conv(channels=4), Conv())),), input_branch=5)
    kernels = [
        networks.init_variables(g, SHAPE, 2, 0)["params"]["block0_conv0"]["conv"]
        for g in (small, deep)
    ]
    np.testing.assert_array_equal(kernels[0]["kernel"], kernels[1]["kernel"])


def test_without_batch_norm_there_are_no_statistics():
    genome = Genome(blocks=(Block(convs=(Conv(batch_norm=False),)),))
    assert networks.init_variables(genome, SHAPE, 2, 0)["batch_stats"] == {}
