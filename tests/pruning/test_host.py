"""The host's masks against the jitted selection: two implementations, one rule."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import pruning


def tree(seed, ties_in_values):
    rng = np.random.default_rng(seed)

    def draw(*shape):
        values = rng.normal(size=shape).astype(np.float32)
        return np.round(values) if ties_in_values else values

    return {
        "conv": {"kernel": draw(3, 3, 2, 5), "bias": draw(5)},
        "norm": {"scale": draw(5)},
        "dense": {"kernel": draw(20, 7), "bias": draw(7)},
    }


def ties(path, leaf):
    del leaf
    return {
        "conv/bias": "conv/kernel",
        "norm/scale": "conv/kernel",
        "dense/bias": "dense/kernel",
    }.get(path)


def assert_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 99),
    st.floats(0, 0.99),
    st.sampled_from(["uniform", "erk"]),
    st.booleans(),
)
def test_weights_as_the_jitted_selection(seed, sparsity, distribution, equal_values):
    params = tree(seed, equal_values)
    options = {"distribution": distribution}
    host = pruning.host_masks(params, sparsity, **options)
    assert_equal(host, pruning.compute_masks(params, sparsity, **options))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 99), st.floats(0, 0.99))
def test_channels_and_what_is_tied_to_them(seed, sparsity):
    params = tree(seed, False)
    options = {"grain": "channel", "ties": ties}
    host = pruning.host_masks(params, sparsity, **options)
    assert_equal(host, pruning.compute_masks(params, sparsity, **options))
    alive = host["conv"]["kernel"].all((0, 1, 2))
    np.testing.assert_array_equal(host["conv"]["bias"], alive)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 99), st.floats(0, 0.5), st.floats(0.5, 0.95))
def test_what_was_removed_stays_removed(seed, first, second):
    params = tree(seed, False)
    before = pruning.host_masks(params, first)
    # Values that were removed are large now: they must not come back.
    grown = jax.tree.map(lambda p, m: np.where(m, p, 99.0), params, before)
    after = pruning.host_masks(grown, second, previous=before)
    kept = jax.tree.map(lambda a, b: bool(np.all(a <= b)), after, before)
    assert all(jax.tree.leaves(kept))
    assert_equal(after, pruning.compute_masks(grown, second, previous=before))


def test_counts_by_hand():
    params = {"a": np.arange(10.0).reshape(2, 5)}
    masks = pruning.host_masks(params, 0.73)
    # 10 - round(7.3) = 3 of the largest stay.
    assert masks["a"].tolist() == [[False] * 5, [False, False, True, True, True]]
    assert pruning.host_masks(params, 0.99)["a"].sum() == 1


def test_the_shares_of_the_erdos_renyi_rule_add_up():
    shapes = {"a": (3, 3, 1, 8), "b": (100, 30), "c": (30, 10)}
    shares = pruning.erk_sparsities(shapes, 0.8)
    sizes = {name: np.prod(shape) for name, shape in shapes.items()}
    kept = sum(sizes[n] * (1 - shares[n]) for n in shapes)
    assert kept == pytest.approx(0.2 * sum(sizes.values()), rel=1e-5)
    assert shares["a"] < shares["c"] < shares["b"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grain": "2:4"}, "grain='2:4' is not for the host"),
        ({"distribution": "global"}, "distribution='global' is not for the host"),
        ({"sparsity": 1.0}, "sparsity=1.0 is outside"),
        ({"where": lambda path, leaf: False}, "where selects none"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(pruning.PruningError, match=message):
        pruning.host_masks(tree(0, False), **{"sparsity": 0.5, **options})


def test_nan_is_named():
    params = tree(0, False)
    params["dense"]["kernel"][3, 2] = np.nan
    with pytest.raises(pruning.PruningError, match="dense/kernel holds NaN"):
        pruning.host_masks(params, 0.5)
