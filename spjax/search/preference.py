"""Which part of the front the search aims at: the soft bounds.

The soft bounds b are the corner of the box (error, size, memory) in which the search
wants points: reference of the hypervolume for the default algorithm, range of the
random weights (1 / lambda_k ~ U[0, b_k]) for the scalarising ones.

The user's own bounds come first. Otherwise, ``balanced`` takes the error of guessing
(the default algorithm somewhat less, see `useful_bounds`) and the board's limits.
``error``, ``size`` and ``memory`` draw the bound of that one objective in, to a
multiple of the least value so far: what is far from the best there then counts for
nothing, however good it is otherwise. A network that takes up all of the board would
add no volume to a box that ends at the limits; for ``error``, which wants such
networks, the box of size and memory is twice as long.
"""

import numpy as np

from spjax.search import scalarise
from spjax.search.settings import PREFERENCES, Settings

_FACTOR = 4.0
_LEAST_ERROR = 0.005
_ROOM = 2.0
# The smallest networks of all only guess: they say nothing of what can be had.
_USEFUL = 0.5
_USEFUL_GAIN = 1 / 3


def soft_bounds(settings: Settings, values: np.ndarray) -> np.ndarray:
    """The corner of the box that the search aims at.

    Args:
      settings: the search.
      values: [n, 3] objective values of the trials so far; n may be 0.

    Returns:
      [3] positive, none beyond the limits, but for ``error``.
    """
    values = np.asarray(values, np.float64).reshape(-1, 3)
    limits = settings.objective_limits()
    limits[0] = settings.chance_error
    corner = scalarise.soft_bounds(values, limits)
    corner = np.where(np.isfinite(limits), limits, corner)
    bounds = corner.copy()
    useful = values[values[:, 0] <= _USEFUL * settings.chance_error]
    if settings.prefer != "balanced" and len(useful):
        k = PREFERENCES.index(settings.prefer)
        least = max(useful[:, k].min(), _LEAST_ERROR if k == 0 else 1.0)
        bounds[k] = min(_FACTOR * least, corner[k])
    if settings.prefer == "error":
        bounds[1:] *= _ROOM
    # The user's own come before the preference.
    given = np.array([bound is not None for bound in settings.soft_bounds])
    return within_given(settings, np.where(given, corner, bounds))


def useful_bounds(settings: Settings, values: np.ndarray) -> np.ndarray:
    """The same corner without networks that do little better than guessing.

    Up to the error of guessing there is always volume to be won by smaller networks
    that misread most images, and many trials of a search would win next to nothing.
    The corner's error is that of a network which does better than guessing by a third
    of what the best one does, unless the user gave a bound.

    Args:
      settings: the search.
      values: [n, 3] objective values of the trials so far; n may be 0.

    Returns:
      [3] positive, none beyond `soft_bounds`.
    """
    bounds = soft_bounds(settings, values)
    if settings.error_bound is not None:
        return bounds
    chance = settings.chance_error
    best = np.min(np.asarray(values).reshape(-1, 3)[:, 0], initial=chance)
    bounds[0] = min(bounds[0], chance - _USEFUL_GAIN * (chance - best))
    return bounds


def within_given(settings: Settings, bounds: np.ndarray) -> np.ndarray:
    """Bounds [3], none beyond those that the user gave."""
    given = [np.inf if bound is None else bound for bound in settings.soft_bounds]
    return np.minimum(bounds, given)
