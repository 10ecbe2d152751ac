"""Counts and the table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spjax import pruning

PARAMS = {
    "conv": {
        "kernel": jnp.ones((2, 2, 1, 3)).at[..., 0].set(0).at[0, 0, 0, 1].set(0),
        "bias": jnp.zeros(3),
    },
    "dense": {"kernel": jnp.zeros((4, 2)).at[0, 0].set(-2.0)},
}


def test_sparsity_counts_zeros_of_pruned_leaves_only():
    want = (5 + 7) / (12 + 8)
    assert float(pruning.sparsity(PARAMS)) == pytest.approx(want)
    assert float(jax.jit(pruning.sparsity)(PARAMS)) == pytest.approx(want)
    everything = pruning.sparsity(PARAMS, where=lambda path, leaf: True)
    assert float(everything) == pytest.approx((5 + 7 + 3) / 23)


def test_summarise():
    conv, dense = pruning.summarise(PARAMS)
    assert conv == pruning.LeafSummary("conv/kernel", (2, 2, 1, 3), 12, 7, 3, 2)
    assert dense == pruning.LeafSummary("dense/kernel", (4, 2), 8, 1, 2, 1)
    assert conv.sparsity == pytest.approx(5 / 12)
    assert pruning.summarise(PARAMS, axis=-2)[1].channels == 4


def test_the_table_reads_back():
    lines = pruning.summary(PARAMS).splitlines()
    assert lines[0].split() == [
        "leaf", "shape", "weights", "nonzero", "sparsity", "channels",
    ]  # fmt: skip
    assert lines[2].split() == ["conv/kernel", "2x2x1x3", "12", "7", "0.4167", "2/3"]
    assert lines[3].split() == ["dense/kernel", "4x2", "8", "1", "0.8750", "1/2"]
    assert lines[-1].split() == ["total", "20", "8", "0.6000"]
    column = [
        line.index(word) for line, word in zip(lines[2:4], ("2x2", "4x2"), strict=True)
    ]
    assert len(set(column)) == 1


def test_a_wrong_axis_names_the_leaf():
    with pytest.raises(pruning.PruningError, match="leaf dense/kernel .* no axis 2"):
        pruning.summarise(PARAMS, axis=2)


def test_scalars_can_be_summarised():
    (row,) = pruning.summarise({"x": np.float32(3)}, where=lambda path, leaf: True)
    assert (row.weights, row.nonzero, row.channels) == (1, 1, 1)
