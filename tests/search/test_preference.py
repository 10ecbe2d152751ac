import dataclasses

import numpy as np
import pytest

from spjax.search import preference
from spjax.search.errors import SearchError
from spjax.search.settings import Settings

_SETTINGS = Settings(
    input_shape=(8, 8, 1),
    num_classes=10,
    limits=(("planned_arena", 2048), ("model_size_nonzero", 32768)),
)
# The last one is smallest, and guesses.
_VALUES = np.array([[0.02, 5000.0, 900.0], [0.1, 800.0, 300.0], [0.88, 10.0, 20.0]])


def _bounds(values=_VALUES, **changes):
    return preference.soft_bounds(dataclasses.replace(_SETTINGS, **changes), values)


def test_balanced_is_the_error_of_guessing_and_the_board():
    np.testing.assert_allclose(_bounds(), [0.9, 32768, 2048])


def test_a_preference_draws_one_bound_in_to_four_times_the_least():
    np.testing.assert_allclose(_bounds(prefer="error"), [0.08, 65536, 4096])
    np.testing.assert_allclose(_bounds(prefer="size"), [0.9, 3200, 2048])
    np.testing.assert_allclose(_bounds(prefer="memory"), [0.9, 32768, 1200])
    # Never beyond the limit, and never to nothing.
    large = np.array([[0.4, 20000.0, 1500.0]])
    np.testing.assert_allclose(_bounds(large, prefer="memory"), [0.9, 32768, 2048])
    exact = np.array([[0.0, 20000.0, 1500.0]])
    np.testing.assert_allclose(_bounds(exact, prefer="error"), [0.02, 65536, 4096])


def test_the_users_bounds_come_first_but_not_beyond_the_limits():
    found = _bounds(prefer="error", error_bound=0.03, size_bound=700, memory_bound=9999)
    np.testing.assert_allclose(found, [0.03, 700, 2048])


def test_before_the_first_result_there_are_bounds_too():
    np.testing.assert_allclose(_bounds(np.zeros((0, 3)), prefer="size"),
                               [0.9, 32768, 2048])  # fmt: skip


def test_without_limits_the_front_says_how_large_the_box_is():
    np.testing.assert_allclose(_bounds(limits=()), [0.9, 5000, 900])


def test_what_does_little_better_than_guessing_is_of_no_use():
    def useful(values=_VALUES, **changes):
        settings = dataclasses.replace(_SETTINGS, **changes)
        return preference.useful_bounds(settings, values)

    # A third of the way from guessing, 0.9, to the best, 0.02.
    np.testing.assert_allclose(useful(), [0.9 - 0.88 / 3, 32768, 2048])
    # Where all do badly, what would be bad elsewhere is good.
    poor = np.array([[0.44, 9.0, 9.0], [0.47, 8.0, 8.0]])
    np.testing.assert_allclose(useful(poor, num_classes=2)[0], 0.5 - 0.06 / 3)
    np.testing.assert_allclose(useful(np.zeros((0, 3)))[0], 0.9)
    # A narrower corner stays, and so does the user's own.
    np.testing.assert_allclose(useful(prefer="error"), [0.08, 65536, 4096])
    np.testing.assert_allclose(useful(error_bound=0.8)[0], 0.8)
    np.testing.assert_allclose(useful(error_bound=0.03)[0], 0.03)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prefer": "ram"}, "prefer = 'ram' is unknown: use one of error, size"),
        ({"size_bound": 0.0}, "size_bound = 0.0 must be above 0"),
        ({"memory_bound": -5.0}, "memory_bound = -5.0"),
        ({"stage_starts": (5, 4)}, r"stage_starts = \(5, 4\)"),
    ],
)
def test_wrong_wishes_are_refused_by_name(changes, message):
    with pytest.raises(SearchError, match=message):
        dataclasses.replace(_SETTINGS, **changes)
