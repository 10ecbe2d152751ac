"""Grains against loops in numpy."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax.pruning import Block, Channel, NofM, PruningError, Weight
from spjax.pruning.grains import as_grain

FEW = settings(max_examples=15, deadline=None)


@pytest.mark.parametrize(
    ("name", "grain"),
    [
        ("weight", Weight()),
        ("channel", Channel()),
        ("2:4", NofM(2, 4)),
        ("4x8", Block((4, 8))),
        ("2x3x1", Block((2, 3, 1))),
        (Channel(0), Channel(axis=0)),
    ],
)
def test_names(name, grain):
    assert as_grain(name) == grain


@pytest.mark.parametrize("name", ["row", "4:", "0x2", "x", "4:2", "0:4"])
def test_unknown_names(name):
    with pytest.raises(PruningError):
        as_grain(name)


@pytest.mark.parametrize("axis", [-1, 0, 2])
def test_channel(axis):
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    grain = Channel(axis)
    slices = [np.take(x, c, axis) for c in range(x.shape[axis])]
    np.testing.assert_allclose(
        grain.pool(jnp.asarray(x)), [s.mean() for s in slices], rtol=1e-5, atol=1e-6
    )
    kept = np.arange(x.shape[axis]) % 2 == 0
    mask = np.asarray(grain.expand(jnp.asarray(kept), x.shape))
    assert mask.shape == x.shape
    for c, keep in enumerate(kept):
        assert (np.take(mask, c, axis) == keep).all()


@pytest.mark.parametrize(
    ("block", "shape"), [((2, 3), (4, 9)), ((2, 2), (3, 4, 6)), ((1, 2, 3), (2, 4, 6))]
)
def test_block(block, shape):
    x = np.random.default_rng(1).normal(size=shape)
    grain = Block(block)
    full = (1,) * (len(shape) - len(block)) + block
    groups = tuple(n // b for n, b in zip(shape, full, strict=True))
    assert grain.groups(shape) == groups
    pooled = np.asarray(grain.pool(jnp.asarray(x)))
    kept = np.random.default_rng(2).random(groups) < 0.5
    mask = np.asarray(grain.expand(jnp.asarray(kept), shape))
    for at in itertools.product(*map(range, groups)):
        window = tuple(slice(i * b, i * b + b) for i, b in zip(at, full, strict=True))
        np.testing.assert_allclose(pooled[at], x[window].mean(), rtol=1e-4, atol=1e-6)
        assert (mask[window] == kept[at]).all()


@given(
    st.sampled_from([(2, 4, -2, (8, 3)), (1, 4, 0, (4, 2, 3)), (3, 8, -1, (2, 16))]),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.3, 0.5, 0.9]),
)
@FEW
def test_n_of_m(case, seed, sparsity):
    n, m, axis, shape = case
    scores = np.random.default_rng(seed).integers(0, 4, shape).astype(np.float32)
    mask = NofM(n, m, axis).keep(jnp.asarray(scores), None, sparsity)
    rows = np.moveaxis(scores, axis, -1).reshape(-1, m)
    got = np.moveaxis(np.asarray(mask), axis, -1).reshape(-1, m)
    kept = max(n, m - round(float(np.float32(sparsity) * m)))
    for row, keep in zip(rows, got, strict=True):
        best = sorted(range(m), key=lambda i, row=row: (-row[i], i))[:kept]
        assert set(np.flatnonzero(keep)) == set(best)


def test_n_of_m_prefers_the_alive():
    scores = jnp.array([[9.0], [1.0], [2.0], [8.0]])
    alive = jnp.array([[False], [True], [True], [True]])
    mask = NofM(2, 4).keep(scores, alive, 0.5)
    np.testing.assert_array_equal(mask[:, 0], [False, False, True, True])


@pytest.mark.parametrize(
    ("grain", "shape", "message"),
    [
        (Channel(2), (3, 3), "leaf k of shape .3, 3. has no axis 2"),
        (Block((2, 2)), (4, 3), "leaf k of shape .4, 3. is not tiled"),
        (Block((2, 2)), (4,), "not tiled"),
        (NofM(2, 4), (6, 8), "leaf k .* needs axis -2 to be a multiple of 4"),
        (NofM(2, 4), (8,), "needs axis -2"),
    ],
)
def test_shapes_that_do_not_fit(grain, shape, message):
    with pytest.raises(PruningError, match=message):
        grain.check("k", shape)
