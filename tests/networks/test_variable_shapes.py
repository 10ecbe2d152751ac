"""The shapes written down against those that the Flax module initialises."""

import dataclasses

import jax
import numpy as np
import pytest

from spjax import genomes, networks

SHAPE, CLASSES = (12, 11, 2), 5


def of_module(genome, shape):
    module = networks.build(genome, CLASSES)
    x = jax.ShapeDtypeStruct((1, *shape), np.float32)
    tree = jax.eval_shape(lambda x: module.init(jax.random.key(0), x), x)
    return jax.tree.map(lambda leaf: leaf.shape, dict(tree))


@pytest.mark.parametrize("seed", range(40))
def test_random_genomes(seed):
    rng = np.random.default_rng(seed)
    genome = genomes.random_genome(rng, SHAPE, genomes.Bounds())
    deployed = genomes.deployed_shape(genome, SHAPE)
    found = networks.variable_shapes(genome, deployed, CLASSES)
    assert jax.tree.map(lambda leaf: leaf.shape, found) == of_module(genome, deployed)
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {np.dtype("float32")}


def test_every_part_at_once():
    conv = genomes.Conv(kind="downsampled", channels=6, reduction=0.5)
    separable = dataclasses.replace(conv, kind="separable", batch_norm=False, stride=2)
    genome = genomes.Genome(
        blocks=(genomes.Block((conv, separable, conv), residual=True, branch=3),),
        input_branch=4,
        dense=(7, 8),
    )
    found = networks.variable_shapes(genome, SHAPE, CLASSES)
    assert jax.tree.map(lambda leaf: leaf.shape, found) == of_module(genome, SHAPE)
    assert found["params"]["classifier"]["kernel"].shape == (8 + 4 + 3, CLASSES)
    assert found["params"]["block0_shortcut"]["kernel"].shape == (1, 1, 2, 6)
