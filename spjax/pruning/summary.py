"""How sparse a parameter tree is, in numbers and as a table."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from spjax.pruning.grains import Channel
from spjax.pruning.leaves import Where, default_where, leaf_paths, select

PyTree = Any


@dataclasses.dataclass(frozen=True)
class LeafSummary:
    """One pruned leaf.

    Attributes:
      path: the leaf's path.
      shape: its shape.
      weights: number of weights.
      nonzero: number of weights that are not zero.
      channels: size of the channel axis.
      live_channels: number of channels with a weight that is not zero.
    """

    path: str
    shape: tuple[int, ...]
    weights: int
    nonzero: int
    channels: int
    live_channels: int

    @property
    def sparsity(self) -> float:
        """Share of zeros."""
        return 1 - self.nonzero / self.weights


def sparsity(params: PyTree, *, where: Where = default_where) -> jax.Array:
    """Share of weights that are exactly zero among the pruned leaves.

    Args:
      params: tree of arrays.
      where: tells which leaves count.

    Returns:
      float32 scalar in [0, 1]; works under jit.
    """
    leaves = jax.tree.leaves(params)
    chosen = select(params, where)
    zeros = sum(jnp.sum(leaves[i] == 0, dtype=jnp.int32) for i in chosen)
    return zeros / sum(jnp.size(leaves[i]) for i in chosen)


def summarise(
    params: PyTree, *, where: Where = default_where, axis: int = -1
) -> tuple[LeafSummary, ...]:
    """Counts of every pruned leaf.

    Args:
      params: tree of concrete arrays.
      where: tells which leaves count.
      axis: the channel axis.

    Returns:
      One entry per pruned leaf, in tree order.
    """
    paths, leaves = leaf_paths(params), jax.tree.leaves(params)
    rows = []
    for i in select(params, where):
        x = np.asarray(leaves[i])
        live = x != 0
        if x.ndim:
            Channel(axis).check(paths[i], x.shape)
            axes = tuple(a for a in range(x.ndim) if a != axis % x.ndim)
            channels, alive = x.shape[axis], int(live.any(axis=axes).sum())
        else:
            channels, alive = 1, int(live)
        rows.append(
            LeafSummary(paths[i], x.shape, x.size, int(live.sum()), channels, alive)
        )
    return tuple(rows)


def summary(params: PyTree, *, where: Where = default_where, axis: int = -1) -> str:
    """A readable table of ``summarise``, one line per leaf and a total.

    Args:
      params: tree of concrete arrays.
      where: tells which leaves count.
      axis: the channel axis.

    Returns:
      Text of several lines, plain ASCII, aligned columns.
    """
    rows = summarise(params, where=where, axis=axis)
    cells = [("leaf", "shape", "weights", "nonzero", "sparsity", "channels")]
    for r in rows:
        shape = "x".join(map(str, r.shape)) or "scalar"
        live = f"{r.live_channels}/{r.channels}"
        counts = (f"{r.weights}", f"{r.nonzero}", f"{r.sparsity:.4f}")
        cells.append((r.path, shape, *counts, live))
    weights, nonzero = sum(r.weights for r in rows), sum(r.nonzero for r in rows)
    share = f"{1 - nonzero / weights:.4f}"
    cells.append(("total", "", f"{weights}", f"{nonzero}", share, ""))
    width = [max(len(row[c]) for row in cells) for c in range(len(cells[0]))]
    lines = []
    for row in cells:
        left = [row[c].ljust(width[c]) for c in (0, 1)]
        right = [row[c].rjust(width[c]) for c in range(2, len(row))]
        lines.append("  ".join(left + right).rstrip())
    rule = "-" * max(map(len, lines))
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])
