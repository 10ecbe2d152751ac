"""The grain of pruning: what is kept or removed as one.

A grain turns the scores of single weights into scores of groups (``pool``) and a
mask of groups into a mask of weights (``expand``). Named grains, for short:
``"weight"``, ``"channel"``, ``"2:4"`` (two of every four consecutive weights) and
``"4x8"`` (blocks of 4 by 8 on the last two axes).
"""

import dataclasses
import re

import jax
import jax.numpy as jnp

from spjax.pruning.errors import PruningError


@dataclasses.dataclass(frozen=True)
class Weight:
    """Single weights."""

    def check(self, path: str, shape: tuple[int, ...]) -> None:
        """Every shape will do."""

    def groups(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the array of groups."""
        return tuple(shape)

    def pool(self, scores: jax.Array) -> jax.Array:
        """Scores of the groups, each the mean over its weights."""
        return scores

    def expand(self, kept: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """Mask of the weights from the mask of the groups."""
        return kept


@dataclasses.dataclass(frozen=True)
class Channel:
    """Whole slices along one axis: output channels for the default, the last.

    Flax and Haiku keep output channels last; for Equinox and PyTorch layouts use
    ``Channel(axis=0)``.

    Attributes:
      axis: the axis whose slices are kept or removed.
    """

    axis: int = -1

    def check(self, path: str, shape: tuple[int, ...]) -> None:
        """Raises PruningError where the leaf has no such axis."""
        if not -len(shape) <= self.axis < len(shape):
            raise PruningError(
                f"leaf {path} of shape {shape} has no axis {self.axis}: choose another "
                "Channel(axis) or make where return False for it"
            )

    def groups(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the array of groups."""
        return (shape[self.axis],)

    def pool(self, scores: jax.Array) -> jax.Array:
        """Scores of the groups, each the mean over its weights."""
        axis = self.axis % scores.ndim
        others = tuple(a for a in range(scores.ndim) if a != axis)
        return jnp.mean(scores, axis=others)

    def expand(self, kept: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """Mask of the weights from the mask of the groups."""
        return jnp.broadcast_to(
            jax.lax.broadcast_in_dim(
                kept, _ones_but(shape, self.axis), (self.axis % len(shape),)
            ),
            shape,
        )


def _ones_but(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    axis %= len(shape)
    return tuple(n if a == axis else 1 for a, n in enumerate(shape))


@dataclasses.dataclass(frozen=True)
class Block:
    """Dense blocks on the last axes.

    Attributes:
      shape: sides of a block on the last ``len(shape)`` axes; each must divide.
    """

    shape: tuple[int, ...] = (4, 4)

    def check(self, path: str, shape: tuple[int, ...]) -> None:
        """Raises PruningError where the blocks do not tile the leaf."""
        tail = shape[len(shape) - len(self.shape) :]
        if len(self.shape) > len(shape) or any(
            n % b for n, b in zip(tail, self.shape, strict=True)
        ):
            raise PruningError(
                f"leaf {path} of shape {shape} is not tiled by blocks of {self.shape} "
                "on its last axes: choose block sides that divide, or make where "
                "return False for it"
            )

    def _split(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        lead = len(shape) - len(self.shape)
        out = list(shape[:lead])
        for n, b in zip(shape[lead:], self.shape, strict=True):
            out += [n // b, b]
        return tuple(out)

    def groups(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the array of groups."""
        lead = len(shape) - len(self.shape)
        tail = (n // b for n, b in zip(shape[lead:], self.shape, strict=True))
        return (*shape[:lead], *tail)

    def pool(self, scores: jax.Array) -> jax.Array:
        """Scores of the groups, each the mean over its weights."""
        lead = scores.ndim - len(self.shape)
        inner = tuple(lead + 2 * i + 1 for i in range(len(self.shape)))
        return jnp.mean(scores.reshape(self._split(scores.shape)), axis=inner)

    def expand(self, kept: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """Mask of the weights from the mask of the groups."""
        lead = len(shape) - len(self.shape)
        for i, side in enumerate(self.shape):
            kept = jnp.repeat(kept, side, axis=lead + i)
        return kept


@dataclasses.dataclass(frozen=True)
class NofM:
    """At most n of every m consecutive weights along an axis.

    The default axis is the one before the last, which kernels of Flax and Haiku sum
    over: the layout that 2:4 sparse hardware expects. For gradual pruning a group
    keeps ``max(n, m - round(sparsity * m))`` weights, so the pattern is complete once
    the sparsity reaches 1 - n/m.

    Attributes:
      n: weights kept of each group.
      m: size of a group.
      axis: the axis that is cut into groups; its size must be a multiple of m.
    """

    n: int = 2
    m: int = 4
    axis: int = -2

    def __post_init__(self):
        if not 0 < self.n < self.m:
            raise PruningError(f"{self.n}:{self.m} sparsity needs 0 < n < m, as in 2:4")

    @property
    def sparsity(self) -> float:
        """Share of zeros in the finished pattern, 1 - n/m."""
        return 1 - self.n / self.m

    def check(self, path: str, shape: tuple[int, ...]) -> None:
        """Raises PruningError where groups of m do not divide the axis."""
        if not -len(shape) <= self.axis < len(shape) or shape[self.axis] % self.m:
            raise PruningError(
                f"leaf {path} of shape {shape}: {self.n}:{self.m} sparsity needs axis "
                f"{self.axis} to be a multiple of {self.m}; choose another axis with "
                f"NofM({self.n}, {self.m}, axis=...) or make where return False for it"
            )

    def groups(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the array of scores: one per weight."""
        return tuple(shape)

    def pool(self, scores: jax.Array) -> jax.Array:
        """Scores of single weights, as they are."""
        return scores

    def expand(self, kept: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """Mask of single weights, as it is."""
        return kept

    def keep(
        self, scores: jax.Array, alive: jax.Array | None, sparsity: jax.Array | float
    ) -> jax.Array:
        """Mask of the best of each group.

        Args:
          scores: array of a leaf's shape.
          alive: bool array of the same shape, or None: those alive come first.
          sparsity: scalar, may be traced.

        Returns:
          Bool array of the same shape. Ties go to the lower index.
        """
        share = jnp.clip(jnp.asarray(sparsity, jnp.float32), 0.0, 1.0)
        kept = self.m - jnp.round(share * self.m).astype(jnp.int32)
        kept = jnp.maximum(kept, self.n)
        cut = lambda x: _cut(x, self.axis, self.m)  # noqa: E731
        s = cut(scores)
        one, other = s[..., :, None], s[..., None, :]
        order = jnp.arange(self.m)
        earlier = order[None, :] < order[:, None]
        beats = (other > one) | ((other == one) & earlier)
        if alive is not None:
            a = cut(alive)
            one, other = a[..., :, None], a[..., None, :]
            beats = (other & ~one) | ((other == one) & beats)
        rank = jnp.sum(beats, axis=-1)
        return _uncut(rank < kept, scores.shape, self.axis)


def _cut(x: jax.Array, axis: int, m: int) -> jax.Array:
    x = jnp.moveaxis(x, axis, -1)
    return x.reshape(*x.shape[:-1], x.shape[-1] // m, m)


def _uncut(x: jax.Array, shape: tuple[int, ...], axis: int) -> jax.Array:
    x = x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])
    return jnp.moveaxis(x, -1, axis).reshape(shape)


Grain = Weight | Channel | Block | NofM


def as_grain(grain: str | Grain) -> Grain:
    """Turns a grain's short name into the grain.

    Args:
      grain: ``"weight"``, ``"channel"``, ``"N:M"``, ``"RxC"``, or a grain.

    Returns:
      The grain.

    Raises:
      PruningError: if the name is unknown.
    """
    if not isinstance(grain, str):
        return grain
    if grain == "weight":
        return Weight()
    if grain == "channel":
        return Channel()
    if match := re.fullmatch(r"(\d+):(\d+)", grain):
        return NofM(int(match[1]), int(match[2]))
    if re.fullmatch(r"[1-9]\d*(x[1-9]\d*)+", grain):
        return Block(tuple(int(side) for side in grain.split("x")))
    raise PruningError(
        f"grain={grain!r} is unknown: use 'weight', 'channel', 'N:M' as in '2:4', "
        "'RxC' as in '4x4', or a grain such as Channel(axis=0)"
    )
