"""A benchmark's figure as its tables print it: the median, and the spread beside it."""

from collections.abc import Sequence

import numpy as np


def quartiles(values: Sequence[float] | np.ndarray, form: str, unit: str = "") -> str:
    """Returns ``median [lower quartile, upper quartile]``, e.g. ``0.61 [0.57, 0.62]``.

    Args:
      values: one per round.
      form: how a number is formatted, as in ``format``.
      unit: put behind the median.
    """
    low, middle, high = (format(q, form) for q in np.percentile(values, [25, 50, 75]))
    return f"{middle}{unit} [{low}, {high}]"
