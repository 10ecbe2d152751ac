"""Random Chebyshev scalarisation: many objectives made one, differently each time.

    g(f) = max_k lambda_k f_k,      1 / lambda_k = u_k,  u_k ~ U(0, b_k]

(Paria, Kandasamy and Poczos, UAI 2019; SpArSe, Fedorov et al., NeurIPS 2019.) The
smallest g prefers points inside the box [0, u]; since u is drawn uniformly inside the
box of the soft bounds b, the search aims at every part of the front within them.
"""

from collections.abc import Sequence

import numpy as np


def random_weights(rng: np.random.Generator, bounds: Sequence[float]) -> np.ndarray:
    """Draws the weights lambda of one scalarisation.

    Args:
      rng: source of randomness.
      bounds: [k] positive soft bounds b, in the objectives' units.

    Returns:
      [k] weights, ``1 / u`` with u uniform in (0, b].

    Raises:
      ValueError: if a bound is not positive and finite.
    """
    bounds = np.asarray(bounds, dtype=np.float64)
    if not (np.isfinite(bounds) & (bounds > 0)).all():
        raise ValueError(f"soft bounds must be positive and finite, not {bounds}")
    # 1 - random() lies in (0, 1]: no weight is infinite.
    return 1.0 / (bounds * (1.0 - rng.random(bounds.shape)))


def chebyshev(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns ``max_k weights_k values_k`` along the last axis.

    Args:
      values: [..., k] nonnegative objective values, minimised.
      weights: [k] positive weights.
    """
    return np.max(np.asarray(values) * weights, axis=-1)


def soft_bounds(values: np.ndarray, limits: Sequence[float]) -> np.ndarray:
    """Soft bounds from what was found so far: the corner that the front spans.

    Args:
      values: [n, k] objective values of the present front, minimised; n may be 0.
      limits: [k] the board's limits, ``inf`` where there is none.

    Returns:
      [k] ``min(limit, largest value on the front)``, and 1 where neither is known or
      the front is at zero: the scale of an objective without spread does not matter.
    """
    limits = np.asarray(limits, dtype=np.float64)
    values = np.asarray(values, dtype=np.float64).reshape(-1, len(limits))
    corner = values.max(axis=0) if len(values) else np.full(len(limits), np.inf)
    bounds = np.minimum(limits, corner)
    return np.where(np.isfinite(bounds) & (bounds > 0), bounds, 1.0)
