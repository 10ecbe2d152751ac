"""How one overall sparsity is shared out among the leaves.

* ``uniform``: every leaf gets the overall sparsity.
* ``erk``: Erdos-Renyi kernel (Mocanu et al. 2018; Evci et al. 2020, section 3): the
  density of a leaf is in proportion to sum(axes) / product(axes) of its shape, at
  most 1, and the weights kept add up to the overall density.
* ``global``: all leaves compete under one threshold.
* A function ``distribution(shapes, sparsity)`` of ``{path: shape}`` and the overall
  sparsity gives ``{path: sparsity}``; leaves it leaves out get the overall one.
"""

import math
from collections.abc import Callable, Mapping
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np

from spjax.pruning.errors import PruningError

Distribution = Callable[
    [Mapping[str, tuple[int, ...]], jax.Array], Mapping[str, jax.Array | float]
]
NAMES = ("uniform", "erk", "global")


def erk(
    shapes: Mapping[str, tuple[int, ...]],
    sparsity: jax.Array | float,
    *,
    numpy: ModuleType = jnp,
) -> dict[str, jax.Array]:
    """Sparsity of each leaf under the Erdos-Renyi kernel rule.

    With the leaves sorted by density, the first j full and the others at
    ``eps * sum(axes) / product(axes)``, eps follows from the number of weights to
    keep; the smallest j for which no density exceeds 1 is taken. The order depends
    on shapes only, so ``sparsity`` may be traced.

    Args:
      shapes: shape of each leaf, by path.
      sparsity: overall share of zeros in [0, 1), scalar.
      numpy: the module that computes: ``jax.numpy``, or ``numpy`` on the host.

    Returns:
      float32 scalar sparsity by path.
    """
    paths = list(shapes)
    size = np.array([math.prod(shapes[p]) for p in paths], np.float64)
    raw = np.array([sum(shapes[p]) for p in paths], np.float64) / size
    order = np.argsort(-raw, kind="stable")
    size, raw = size[order], raw[order]
    full = np.concatenate([[0.0], np.cumsum(size)[:-1]])  # weights of the first j
    rest = np.cumsum((size * raw)[::-1])[::-1]  # sum of size * raw from j on
    full, rest, raw = (x.astype(np.float32) for x in (full, rest, raw))
    density = 1 - numpy.clip(numpy.asarray(sparsity, np.float32), 0.0, 1.0)
    eps = (density * np.float32(size.sum()) - full) / rest
    fits = eps * raw <= 1
    j = numpy.where(numpy.any(fits), numpy.argmax(fits), len(paths) - 1)
    shares = numpy.where(numpy.arange(len(paths)) < j, np.float32(1), eps[j] * raw)
    shares = numpy.clip(shares, 0.0, 1.0)
    return {paths[i]: 1 - shares[rank] for rank, i in enumerate(order)}


def leaf_sparsities(
    distribution: str | Distribution,
    shapes: Mapping[str, tuple[int, ...]],
    sparsity: jax.Array | float,
) -> dict[str, jax.Array | float]:
    """Sparsity of each leaf.

    Args:
      distribution: a name other than ``global``, or a function.
      shapes: shape of each leaf, by path.
      sparsity: overall share of zeros, scalar.

    Returns:
      Scalar sparsity by path.

    Raises:
      PruningError: if the function names an unknown leaf.
    """
    if distribution == "erk":
        return erk(shapes, sparsity)
    if not callable(distribution):
        return {path: sparsity for path in shapes}
    given = dict(distribution(shapes, sparsity))
    unknown = sorted(set(given) - set(shapes))
    if unknown:
        raise PruningError(
            f"distribution gives a sparsity for {unknown[0]}, which is not a pruned "
            f"leaf: the pruned leaves are {', '.join(shapes)}"
        )
    return {path: given.get(path, sparsity) for path in shapes}


def check_distribution(distribution: str | Distribution) -> None:
    """Raises PruningError for an unknown name."""
    if not callable(distribution) and distribution not in NAMES:
        raise PruningError(
            f"distribution={distribution!r} is unknown: use one of {', '.join(NAMES)} "
            "or a function of ({path: shape}, sparsity)"
        )
