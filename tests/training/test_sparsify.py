"""What the pruning gene removes, and that a dead channel emits zero."""

import jax
import numpy as np
import pytest

from spjax import genomes, networks, training
from spjax.genomes import Block, Conv, Genome, Training
from spjax.training.sparsify import channel_ties, prunable_channels

SHAPE = (8, 8, 2)
CLASSES = 3
RESIDUAL = Genome(
    blocks=(
        Block(
            convs=(Conv(channels=4), Conv(kind="separable", channels=6)),
            residual=True,
            branch=5,
        ),
        Block(convs=(Conv(kind="downsampled", channels=3, batch_norm=False),)),
    ),
    dense=(7,),
    training=Training(pruning="channel", sparsity=0.5),
)


@pytest.fixture(scope="module")
def params():
    return networks.init_variables(RESIDUAL, SHAPE, CLASSES, 0)["params"]


def paths(tree):
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(k, simple=True, separator="/"): x for k, x in flat}


def test_which_kernels_have_channels_of_their_own(params):
    chosen = {
        path for path, leaf in paths(params).items() if prunable_channels(path, leaf)
    }
    assert chosen == {
        "block0_conv0/conv/kernel",
        "block0_conv1/pointwise/kernel",
        "block0_branch/kernel",
        "block1_conv0/conv/kernel",
        "dense0/kernel",
    }


def test_what_follows_which_kernel(params):
    ties = channel_ties(params)
    tied = {p: ties(p, x) for p, x in paths(params).items() if ties(p, x)}
    assert tied == {
        "block0_conv0/norm/scale": "block0_conv0/conv/kernel",
        "block0_conv0/norm/bias": "block0_conv0/conv/kernel",
        "block0_conv1/norm/scale": "block0_conv1/pointwise/kernel",
        "block0_conv1/norm/bias": "block0_conv1/pointwise/kernel",
        "block0_shortcut/kernel": "block0_conv1/pointwise/kernel",
        "block0_shortcut/bias": "block0_conv1/pointwise/kernel",
        "block0_branch/bias": "block0_branch/kernel",
        "block1_conv0/conv/bias": "block1_conv0/conv/kernel",
        "dense0/bias": "dense0/kernel",
    }


def test_removed_channels_emit_zero_and_are_cut_out():
    variables = networks.init_variables(RESIDUAL, SHAPE, CLASSES, 1)
    rng = np.random.default_rng(0)
    # Weights as after training: nothing is zero by itself.
    variables = jax.tree.map(
        lambda x: (np.abs(rng.normal(size=x.shape)) + 0.1).astype(np.float32), variables
    )
    masks = training.genome_masks(RESIDUAL.training, variables["params"], 0.5)
    small = networks.compact(RESIDUAL, variables, masks, SHAPE)
    first, second = small.genome.blocks
    assert [c.channels for c in first.convs] == [2, 3]
    assert first.branch == 3  # 5 - round(2.5), which rounds to even
    assert second.convs[0].channels == 1
    assert small.genome.dense == (3,)


def test_weights_are_shared_out_and_counted(params):
    genes = Training(pruning="weight", sparsity=0.8)
    masks = training.genome_masks(genes, params, 0.8)
    kernels = {p: m for p, m in paths(masks).items() if p.endswith("kernel")}
    total = sum(m.size for m in kernels.values())
    kept = sum(int(m.sum()) for m in kernels.values())
    assert kept == pytest.approx(0.2 * total, abs=len(kernels))
    others = [m for p, m in paths(masks).items() if not p.endswith("kernel")]
    assert all(m.all() for m in others)
    shapes = jax.tree.map(np.shape, params)
    assert jax.tree.map(np.shape, masks) == shapes


def test_a_dense_gene_removes_nothing(params):
    masks = training.genome_masks(Training(pruning="none"), params, 0.9)
    assert all(m.all() for m in jax.tree.leaves(masks))


def test_the_genome_of_these_tests_is_valid():
    genomes.validate(RESIDUAL, SHAPE)
