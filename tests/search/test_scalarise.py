import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from spjax.search import pareto, scalarise


def test_reciprocal_weights_are_uniform_between_zero_and_the_soft_bounds():
    rng, bounds = np.random.default_rng(0), np.array([0.2, 2048.0, 32768.0])
    shares = np.array(
        [1 / scalarise.random_weights(rng, bounds) / bounds for _ in range(4000)]
    )
    assert (shares > 0).all() and (shares <= 1).all()
    for column in shares.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-3
    # Independent of one another.
    assert np.abs(np.corrcoef(shares.T) - np.eye(3)).max() < 0.06


def test_chebyshev_by_hand():
    values = np.array([[0.1, 1000.0, 500.0], [0.3, 100.0, 500.0]])
    weights = np.array([10.0, 1 / 2000, 1 / 1000])
    # Row 0: 1.0, 0.5, 0.5; row 1: 3.0, 0.05, 0.5.
    np.testing.assert_allclose(scalarise.chebyshev(values, weights), [1.0, 3.0])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(1, 9)] * 3), min_size=1, max_size=10),
    st.integers(0, 10_000),
)
def test_a_dominated_point_never_wins_alone(points, seed):
    points = np.array(points, dtype=float)
    weights = scalarise.random_weights(np.random.default_rng(seed), [9, 9, 9])
    values = scalarise.chebyshev(points, weights)
    winners = np.flatnonzero(values == values.min())
    assert pareto.non_dominated(points)[winners].any()


def test_every_part_of_a_front_is_aimed_at():
    # On the front x * y = 1, far apart points must each win for some weights.
    x = np.geomspace(0.1, 10, 9)
    front = np.stack([x, 1 / x], axis=1)
    rng, wins = np.random.default_rng(0), set()
    for _ in range(500):
        weights = scalarise.random_weights(rng, [10, 10])
        wins.add(int(np.argmin(scalarise.chebyshev(front, weights))))
    assert wins == set(range(9))


def test_soft_bounds_are_the_limit_or_the_corner_of_the_front():
    values = np.array([[0.1, 5000.0, 800.0], [0.4, 1000.0, 100.0]])
    bounds = scalarise.soft_bounds(values, [np.inf, 2048.0, 32768.0])
    np.testing.assert_allclose(bounds, [0.4, 2048.0, 800.0])
    nothing = scalarise.soft_bounds(np.empty((0, 3)), [np.inf, 2048.0, np.inf])
    np.testing.assert_allclose(nothing, [1.0, 2048.0, 1.0])
    zero = scalarise.soft_bounds(np.zeros((1, 2)), [np.inf, np.inf])
    np.testing.assert_allclose(zero, [1.0, 1.0])


@pytest.mark.parametrize("bad", [0.0, -1.0, np.inf, np.nan])
def test_useless_soft_bounds_are_refused(bad):
    with pytest.raises(ValueError, match="soft bounds"):
        scalarise.random_weights(np.random.default_rng(0), [1.0, bad])
