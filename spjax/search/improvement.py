"""How much a network would add to the front: the hypervolume improvement.

Of the three objectives two, size and memory, are known before training. With the front
as boxes up to the reference, and errors e_1 < e_2 < .. of its points, a network of
error e, size s and memory m adds

    integral of A(x) over x from e to the reference,

A(x) the area of the box from (s, m) to the reference that no point of an error up to x
dominates: a step function that falls at each e_i. For an uncertain error,

    expected improvement = sum_i A_i (G(x_{i+1}) - G(x_i)),   G(x) = E[max(x - e, 0)],

x_i the steps' ends. It is exact, and has a closed form if log e is Gaussian (Emmerich,
Giannakoglou and Naujoks, IEEE Trans. Evol. Comput. 2006, for the general case):

    G(x) = x Phi(z) - exp(mu + sigma^2 / 2) Phi(z - sigma),  z = (log x - mu) / sigma.
"""

import numpy as np
from scipy import special

from spjax.search import pareto


def expected_improvement(
    front: np.ndarray,
    reference: np.ndarray,
    costs: np.ndarray,
    mean: np.ndarray,
    deviation: np.ndarray,
) -> np.ndarray:
    """The expected growth of the hypervolume by each of several networks alone.

    Args:
      front: [n, 3] error, size and memory of what is there; n may be 0.
      reference: [3] positive, beyond which nothing counts.
      costs: [m, 2] the networks' sizes and memories.
      mean: [m] of the logarithm of their errors.
      deviation: [m] positive, its standard deviation.

    Returns:
      [m], as shares of the box from 0 to the reference.
    """
    front = np.asarray(front, np.float64).reshape(-1, 3) / reference
    front = front[(front < 1).all(axis=1)]
    front = front[pareto.non_dominated(front)]
    front = front[np.argsort(front[:, 0], kind="stable")]
    costs = np.minimum(np.asarray(costs, np.float64) / reference[1:], 1.0)
    mean = np.asarray(mean, np.float64) - np.log(reference[0])
    ends = np.concatenate([[0.0], front[:, 0], [1.0]])
    total = np.zeros(len(costs))
    before = np.zeros(len(costs))
    for i, end in enumerate(ends[1:]):
        after = _mean_below(end, mean, deviation)
        if end > ends[i]:
            total += _free_area(front[:i, 1:], costs) * (after - before)
        before = after
    return total


def _mean_below(x: float, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """E[max(x - e, 0)] for log-normal e."""
    z = (np.log(max(x, 1e-300)) - mean) / deviation
    inside = special.ndtr(z - deviation)
    # The mean is held to what a float can be where none of it counts.
    return (
        x * special.ndtr(z) - np.exp(np.minimum(mean + deviation**2 / 2, 50)) * inside
    )


def _free_area(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Area between each corner and (1, 1) that no point dominates."""
    free = np.prod(1 - corners, axis=1)
    if not len(points):
        return free
    points = points[pareto.non_dominated(points)]
    points = points[np.argsort(points[:, 0], kind="stable")]
    # The staircase as stripes: from one point's size to the next one's.
    right = np.append(points[1:, 0], 1.0)
    left = np.maximum(points[:, 0], corners[:, :1])
    widths = np.maximum(right - left, 0.0)
    heights = 1 - np.maximum(points[:, 1], corners[:, 1:])
    return free - np.sum(widths * heights, axis=1)
