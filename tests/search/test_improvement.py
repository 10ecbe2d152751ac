import numpy as np
import pytest

from spjax.search import pareto
from spjax.search.improvement import expected_improvement

_REFERENCE = np.array([0.9, 32768.0, 2048.0])


def _volume(points):
    return pareto.hypervolume(np.asarray(points) / _REFERENCE, np.ones(3))


def _gain(front, error, size, memory):
    return _volume(np.vstack([front, [[error, size, memory]]])) - _volume(front)


def _random(rng, count):
    # Some points lie beyond the reference.
    return rng.random((count, 3)) * _REFERENCE * 1.1


@pytest.mark.parametrize("count", [0, 1, 14])
def test_a_sure_error_gains_the_hypervolume_that_the_point_adds(count):
    rng = np.random.default_rng(count)
    front, new = _random(rng, count), _random(rng, 30)
    found = expected_improvement(
        front, _REFERENCE, new[:, 1:], np.log(new[:, 0]), np.full(30, 1e-7)
    )
    expected = [_gain(front, *point) for point in new]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert max(expected) > 0.01


def test_the_expectation_is_that_of_many_draws():
    rng = np.random.default_rng(0)
    front, costs = _random(rng, 8), rng.random((6, 2)) * _REFERENCE[1:]
    mean, deviation = rng.normal(-1.2, 0.5, 6), rng.uniform(0.2, 0.8, 6)
    found = expected_improvement(front, _REFERENCE, costs, mean, deviation)
    for i in range(6):
        errors = np.exp(mean[i] + deviation[i] * rng.standard_normal(3000))
        gains = [_gain(front, error, *costs[i]) for error in errors]
        within = 5 * np.std(gains) / np.sqrt(len(gains)) + 1e-9
        assert found[i] == pytest.approx(np.mean(gains), abs=within)


def test_equal_points_and_an_error_of_zero_do_no_harm():
    front = np.array([[0.0, 100.0, 100.0]] * 2 + [[0.5, 50.0, 200.0]] * 2)
    costs = np.array([[100.0, 100.0], [50.0, 150.0]])
    found = expected_improvement(front, _REFERENCE, costs, np.full(2, -9.0), np.ones(2))
    assert found[0] == pytest.approx(0, abs=1e-12)
    # What only the second cost can add: thin slabs beside the boxes that are there.
    assert 0 < found[1] < (50 / 32768)


def test_a_doubtful_error_is_worth_more_where_the_front_is_far_below():
    front = np.array([[0.05, 1000.0, 500.0]])
    costs, mean = np.full((2, 2), 2000.0) / 2, np.log([0.2, 0.2])
    sure, doubtful = expected_improvement(
        front, _REFERENCE, costs, mean, np.array([0.01, 1.0])
    )
    assert sure == pytest.approx(0, abs=1e-9)
    assert doubtful > 1e-4
