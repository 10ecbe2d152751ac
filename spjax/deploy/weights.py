r"""Weights as small integers: one scale for each output channel.

With s_o the scale of output channel o, its weights become the values of a precision
that are nearest to ``w / s_o``. A weight of exactly 0 (pruned) stays 0 at every
precision. ``int2`` has no other zeros: its values are -3, -1, 1, 3, half steps of a
symmetric grid, so that two bits hold four of them.

The scale is ``max|w| / 127`` for ``int8``; for the others it is that of a search over
fractions of ``max|w| / largest value`` with the smallest squared error, channel by
channel.
"""

import numpy as np

from spjax.deploy.quantised import PRECISIONS, QuantisationError

_FRACTIONS = tuple(np.linspace(0.1, 1.0, 91))


def check_precision(precision: str, where: str) -> None:
    """Refuses an unknown precision.

    Raises:
      QuantisationError: naming the precision and where it was asked for.
    """
    if precision not in PRECISIONS:
        raise QuantisationError(
            f"the precision of {where} is '{precision}'; use one of "
            f"{', '.join(PRECISIONS)}."
        )


def to_levels(weights: np.ndarray, scales: np.ndarray, precision: str) -> np.ndarray:
    """Rounds weights to the values of a precision.

    Args:
      weights: float [.., outputs].
      scales: float [outputs].
      precision: key of `PRECISIONS`.

    Returns:
      int8, of the shape of the weights.
    """
    largest = PRECISIONS[precision][-1]
    ratio = np.asarray(weights, np.float64) / scales
    if precision == "int2":
        odd = np.clip(2 * np.floor(ratio / 2) + 1, -largest, largest)
        return np.where(weights == 0, 0, odd).astype(np.int8)
    return np.clip(np.rint(ratio), -largest, largest).astype(np.int8)


def weight_scales(weights: np.ndarray, precision: str) -> np.ndarray:
    """Chooses the scales of output channels.

    Args:
      weights: float [.., outputs].
      precision: key of `PRECISIONS`.

    Returns:
      float64 [outputs]; 0 where all weights of a channel are 0.
    """
    flat = np.asarray(weights, np.float64).reshape(-1, weights.shape[-1])
    widest = np.abs(flat).max(0, initial=0.0) / PRECISIONS[precision][-1]
    if precision == "int8":
        return widest
    best, errors = widest, np.full(len(widest), np.inf)
    for fraction in _FRACTIONS:
        scales = np.where(widest > 0, widest * fraction, 1.0)
        error = np.square(to_levels(flat, scales, precision) * scales - flat).sum(0)
        best = np.where(error < errors, widest * fraction, best)
        errors = np.minimum(error, errors)
    return best
