"""keep_largest against a stable sort in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax.pruning.topk import keep_largest, kept_count

FEW = settings(max_examples=25, deadline=None)


def oracle(values, k):
    """Mask of the k largest by a stable sort: ties go to the lower index."""
    order = np.argsort(-np.asarray(values, np.float64), kind="stable")
    mask = np.zeros(len(values), bool)
    mask[order[:k]] = True
    return mask


# A few sizes only, so that few programs are compiled; values with many ties,
# signs, zeros of both signs, infinities and denormals.
numbers = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, np.inf, -np.inf, 1e-40, -1e-40]),
    st.floats(-100, 100, width=32),
)
jitted = jax.jit(lambda s, k: keep_largest([s], [([0], k)])[0])


@given(st.sampled_from([1, 7, 64]), st.data())
@FEW
def test_matches_a_stable_sort(size, data):
    values = data.draw(st.lists(numbers, min_size=size, max_size=size))
    values = np.asarray(values, np.float32)
    # XLA on CPU flushes denormals to zero, so the oracle does as well.
    values = np.where(np.abs(values) < 1e-37, np.float32(0), values)
    k = data.draw(st.integers(0, size))
    np.testing.assert_array_equal(jitted(values, k), oracle(values, k))


@given(st.integers(0, 2**32 - 1), st.integers(0, 60))
@FEW
def test_one_budget_over_several_arrays(seed, k):
    rng = np.random.default_rng(seed)
    parts = [rng.integers(-3, 4, size=s).astype(np.float32) for s in ((4, 5), (40,))]
    got = keep_largest([jnp.asarray(p) for p in parts], [([0, 1], k)])
    want = oracle(np.concatenate([p.ravel() for p in parts]), k)
    np.testing.assert_array_equal(np.concatenate([g.ravel() for g in got]), want)


@given(st.integers(0, 2**32 - 1), st.integers(0, 50))
@FEW
def test_alive_come_first_then_the_spare_order(seed, k):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-3, 4, 50).astype(np.float32)
    spare = rng.integers(0, 4, 50).astype(np.float32)
    alive = rng.random(50) < 0.5
    got = keep_largest(
        [jnp.asarray(scores)],
        [([0], k)],
        alive=[jnp.asarray(alive)],
        spare=[jnp.asarray(spare)],
    )[0]
    order = sorted(
        range(50),
        key=lambda i: (0, -scores[i], i) if alive[i] else (1, -spare[i], i),
    )
    if k > alive.sum():  # every live one is in, so only the dead are in order
        assert set(np.flatnonzero(got)) == set(order[:k])
    else:
        np.testing.assert_array_equal(np.flatnonzero(got), sorted(order[:k]))


@given(st.integers(0, 2**32 - 1), st.integers(0, 30))
@FEW
def test_champions_are_kept(seed, k):
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=10) * scale for scale in (1e-6, 1.0, 1e6)]
    parts = [jnp.asarray(p, jnp.float32) for p in parts]
    got = keep_largest(parts, [([0, 1, 2], k)], champions=True)
    assert sum(int(g.sum()) for g in got) == max(k, 3)
    for g, p in zip(got, parts, strict=True):
        assert bool(g[int(jnp.argmax(p))])


def test_separate_budgets_do_not_compete():
    a, b = jnp.arange(6.0), 100 + jnp.arange(6.0)
    got = keep_largest([a, b], [([0], 2), ([1], 4)])
    assert [int(g.sum()) for g in got] == [2, 4]


def test_nan_ranks_above_every_number():
    got = keep_largest([jnp.array([1.0, jnp.nan, jnp.inf, -jnp.nan])], [([0], 2)])[0]
    np.testing.assert_array_equal(got, [False, True, False, True])


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_narrow_floats(dtype):
    values = jnp.asarray(np.random.default_rng(0).normal(size=200), dtype)
    got = keep_largest([values], [([0], 31)])[0]
    np.testing.assert_array_equal(got, oracle(np.asarray(values, np.float64), 31))


def test_float64_is_ranked_in_full():
    with jax.enable_x64(True):
        values = jnp.asarray([1.0, 1.0 + 1e-12, 1.0 - 1e-12], jnp.float64)
        for mixed in ([values], [values, jnp.zeros(2, jnp.float32)]):
            got = keep_largest(mixed, [(range(len(mixed)), 1)])[0]
            np.testing.assert_array_equal(got, [False, True, False])


def test_vmap_gives_each_row_its_own_count():
    rows = jnp.asarray(np.random.default_rng(1).integers(0, 5, (4, 30)), jnp.float32)
    counts = jnp.array([0, 3, 17, 30])
    got = jax.vmap(jitted)(rows, counts)
    for row, k, mask in zip(rows, counts, got, strict=True):
        np.testing.assert_array_equal(mask, oracle(row, int(k)))


@given(st.integers(1, 5000), st.floats(0, 0.999))
@FEW
def test_kept_count_is_pythons_rounding(size, sparsity):
    share = np.float32(sparsity) * np.float32(size)
    assert int(kept_count(size, sparsity)) == max(1, size - round(float(share)))


def test_kept_count_is_the_same_under_jit():
    sparsities = np.linspace(0, 0.999, 40)
    for size in (1, 10, 777):
        traced = jax.jit(jax.vmap(lambda s, n=size: kept_count(n, s)))(sparsities)
        assert [int(kept_count(size, s)) for s in sparsities] == traced.tolist()
