"""A tree of arrays as one vector, padded to one of few lengths.

An optimiser's update of one vector is the same program for every architecture whose
parameters fit the same length: it is compiled once for a search, not once for each
genome. Lengths are powers of two from 1,024 up; the padding is zero and stays so.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_LEAST = 1024


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a tree lies in a vector: leaf after leaf, in the tree's order.

    Attributes:
      structure: of the tree.
      shapes: of its leaves.
    """

    structure: Any
    shapes: tuple[tuple[int, ...], ...]

    @property
    def count(self) -> int:
        """Values in all leaves."""
        return sum(int(np.prod(shape)) for shape in self.shapes)

    @property
    def length(self) -> int:
        """The vector's: the least power of two of at least ``count`` and 1,024."""
        return max(_LEAST, 1 << max(self.count - 1, 0).bit_length())


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Packed:
    """A tree as a vector; a pytree itself, whose only leaf is the vector.

    Attributes:
      vector: [layout.length].
      layout: static under `jax.jit`.
    """

    vector: jax.Array
    layout: Layout = dataclasses.field(metadata={"static": True})

    def tree(self) -> Any:
        """The tree; its leaves are NumPy views where the vector is not traced."""
        vector = self.vector
        if not isinstance(vector, jax.core.Tracer):
            vector = np.asarray(vector)
        leaves, start = [], 0
        for shape in self.layout.shapes:
            size = int(np.prod(shape))
            leaves.append(vector[start : start + size].reshape(shape))
            start += size
        return self.layout.structure.unflatten(leaves)


def layout_of(tree: Any) -> Layout:
    """The layout of a tree of arrays or shapes."""
    leaves, structure = jax.tree.flatten(tree)
    return Layout(structure, tuple(np.shape(leaf) for leaf in leaves))


def pack(tree: Any, fill: float | bool = 0.0) -> Packed:
    """Packs a tree.

    Args:
      tree: arrays of one dtype, float32 or bool; traced ones give a traced vector.
      fill: what the padding holds; its type gives the dtype.

    Returns:
      The packed tree.
    """
    layout = layout_of(tree)
    leaves = jax.tree.leaves(tree)
    xp = jnp if any(isinstance(x, jax.core.Tracer) for x in leaves) else np
    dtype = bool if isinstance(fill, bool) else np.float32
    rest = xp.full(layout.length - layout.count, fill, dtype)
    parts = [*(xp.ravel(leaf) for leaf in leaves), rest]
    return Packed(xp.concatenate(parts), layout)
