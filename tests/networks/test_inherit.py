"""Inheritance of overlapping slices."""

import jax
import numpy as np

from spjax import networks
from spjax.genomes import Block, Conv, Genome


def variables(channels, kernel=3, seed=0, dense=()):
    convs = tuple(Conv(channels=c, kernel=kernel) for c in channels)
    genome = Genome(blocks=(Block(convs=convs),), dense=dense)
    return networks.init_variables(genome, (6, 6, 1), 3, seed)


def test_copies_the_overlap_and_nothing_else():
    parent = {"a": {"kernel": np.full((3, 4), 7.0)}}
    child = {"a": {"kernel": np.zeros((2, 6))}}
    got = networks.inherit(parent, child)["a"]["kernel"]
    want = np.zeros((2, 6))
    want[:2, :4] = 7
    np.testing.assert_array_equal(got, want)
    assert not child["a"]["kernel"].any(), "the child's own arrays must not change"


def test_other_names_and_ranks_keep_their_fresh_values():
    parent = {"a": np.ones(3), "b": np.ones((3, 3)), "c": {"d": np.ones(2)}}
    child = {"b": np.zeros(3), "c": np.zeros(2), "e": {"d": np.zeros(2)}}
    got = networks.inherit(parent, child)
    jax.tree.map(np.testing.assert_array_equal, got, child)


def test_equal_networks_inherit_everything():
    parent, child = variables((4, 5), seed=1), variables((4, 5), seed=2)
    got = networks.inherit(parent, child)
    jax.tree.map(np.testing.assert_array_equal, got, parent)


def test_wider_deeper_child():
    parent, child = variables((4, 5), seed=1), variables((6, 5, 2), seed=2)
    parent["batch_stats"]["block0_conv0"]["norm"]["mean"][:] = 9.0
    got = networks.inherit(parent, child)
    kernel = got["params"]["block0_conv1"]["conv"]["kernel"]
    assert kernel.shape == (3, 3, 6, 5) and kernel.dtype == np.float32
    old = parent["params"]["block0_conv1"]["conv"]["kernel"]
    fresh = child["params"]["block0_conv1"]["conv"]["kernel"]
    np.testing.assert_array_equal(kernel[:, :, :4], old)
    np.testing.assert_array_equal(kernel[:, :, 4:], fresh[:, :, 4:])
    mean = got["batch_stats"]["block0_conv0"]["norm"]["mean"]
    np.testing.assert_array_equal(mean, [9, 9, 9, 9, 0, 0])
    new = got["params"]["block0_conv2"]["conv"]["kernel"]
    np.testing.assert_array_equal(
        new, child["params"]["block0_conv2"]["conv"]["kernel"]
    )
