"""Exactly the k largest scores, without sorting.

The k-th largest value is found by bisection over the bit pattern of the floats:
IEEE floats map to unsigned integers of the same order, so 32 counts settle all
32 bits of the threshold. Scores equal to the threshold are then taken in index
order by a second bisection, over the index. Everything is elementwise or a
reduction, so it runs under ``jit`` and ``vmap`` and on sharded arrays without
gathering them, and k may be traced. NaN ranks above every number: a diverged
weight stays visible rather than being pruned away.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax


def _ordered_bits(scores: jax.Array) -> jax.Array:
    """Unsigned integers in the order of the scores; 0 and the maximum stay unused."""
    scores = jnp.where(scores == 0, 0.0, scores)  # -0.0 ties with 0.0
    scores = jnp.where(jnp.isnan(scores), jnp.nan, scores)
    uint = jnp.uint64 if scores.dtype == jnp.float64 else jnp.uint32
    bits = lax.bitcast_convert_type(scores, uint)
    sign = jnp.asarray(1, uint) << (8 * bits.dtype.itemsize - 1)
    return jnp.where(bits & sign, ~bits, bits | sign)


def _flat_index(shape: tuple[int, ...], offset: int) -> jax.Array:
    """Row-major position of each element plus ``offset``; no reshape, so it shards."""
    index = jnp.full(shape, offset, jnp.uint32)
    stride = 1
    for axis in reversed(range(len(shape))):
        index += lax.broadcasted_iota(jnp.uint32, shape, axis) * jnp.uint32(stride)
        stride *= shape[axis]
    return index


def _count(hits: Sequence[jax.Array]) -> jax.Array:
    """Number of true elements in several arrays."""
    return sum(jnp.sum(h, dtype=jnp.int32) for h in hits)


def keep_largest(
    scores: Sequence[jax.Array],
    budgets: Sequence[tuple[Sequence[int], jax.Array | int]],
    *,
    alive: Sequence[jax.Array] | None = None,
    spare: Sequence[jax.Array] | None = None,
    champions: bool = False,
) -> list[jax.Array]:
    """Masks of the k largest scores of each budget.

    Args:
      scores: arrays of any shapes and any floating dtype.
      budgets: ``(indices, k)`` pairs: the arrays at ``indices`` compete for the same
        k places. Each array belongs to exactly one budget. k may be traced.
      alive: bool arrays of the shapes of ``scores``. Elements alive come before all
        others: a dead one is kept only if fewer than k are alive.
      spare: scores that rank the dead among themselves; ``scores`` if None.
      champions: whether the largest element of every array is kept whatever the
        others score (k is raised to the number of arrays where it is smaller).

    Returns:
      Bool arrays of the shapes of ``scores``; each budget's number of true elements
      is exactly min(k, elements). Ties go to the lower index.
    """
    budget_of = {i: b for b, (members, _) in enumerate(budgets) for i in members}
    offsets = {}
    for members, _ in budgets:
        offset = 0
        for i in members:
            offsets[i], offset = offset, offset + scores[i].size
    sizes = [sum(scores[i].size for i in members) for members, _ in budgets]
    lowest = [len(m) if champions else 0 for m, _ in budgets]
    k = jnp.stack(
        [
            jnp.clip(jnp.asarray(count, jnp.int32), low, size)
            for (_, count), size, low in zip(budgets, sizes, lowest, strict=True)
        ]
    )
    index = [_flat_index(s.shape, offsets[i]) for i, s in enumerate(scores)]
    wide = any(s.dtype == jnp.float64 for s in scores)
    kind = jnp.float64 if wide else jnp.float32
    keys = [_ordered_bits(s.astype(kind)) for s in scores]
    uint = keys[0].dtype
    bits, top = 8 * uint.itemsize, jnp.asarray(jnp.iinfo(uint).max, uint)
    if alive is not None:
        spare_keys = keys
        if spare is not None:
            spare_keys = [_ordered_bits(s.astype(kind)) for s in spare]
        living = jnp.stack([_count([alive[i] for i in m]) for m, _ in budgets])
        grow = [(living < k)[budget_of[i]] for i in range(len(keys))]
        keys = [
            _alive_first(*each)
            for each in zip(keys, spare_keys, alive, grow, strict=True)
        ]
    if champions:
        keys = [
            jnp.where(x == offsets[i] + jnp.argmax(key).astype(jnp.uint32), top, key)
            for i, (key, x) in enumerate(zip(keys, index, strict=True))
        ]

    def totals(hit: Callable[[int, int], jax.Array]) -> jax.Array:
        # hit(i, b): bool array for array i, which is in budget b
        return jnp.stack(
            [_count([hit(i, b) for i in m]) for b, (m, _) in enumerate(budgets)]
        )

    def raise_threshold(step: jax.Array, low: jax.Array) -> jax.Array:
        trial = low | (jnp.asarray(1, uint) << (bits - 1 - step).astype(uint))
        return jnp.where(totals(lambda i, b: keys[i] >= trial[b]) >= k, trial, low)

    cut = lax.fori_loop(0, bits, raise_threshold, jnp.zeros(len(budgets), uint))
    places = k - totals(lambda i, b: keys[i] > cut[b])  # left for the tied elements
    index_bits = max(sizes).bit_length()

    def raise_index(step: jax.Array, low: jax.Array) -> jax.Array:
        trial = low | (jnp.uint32(1) << (index_bits - 1 - step).astype(jnp.uint32))
        tied = totals(lambda i, b: (keys[i] == cut[b]) & (index[i] < trial[b]))
        return jnp.where(tied <= places, trial, low)

    last = lax.fori_loop(
        0, index_bits, raise_index, jnp.zeros(len(budgets), jnp.uint32)
    )
    return [
        (key > cut[b]) | ((key == cut[b]) & (x < last[b]))
        for key, x, b in zip(
            keys, index, [budget_of[i] for i in range(len(scores))], strict=True
        )
    ]


def _alive_first(
    key: jax.Array, spare: jax.Array, alive: jax.Array, grow: jax.Array
) -> jax.Array:
    """Moves dead elements below the alive ones, whatever their scores.

    Where enough are alive (not ``grow``) the dead sink to key 0, which no score has.
    Otherwise the alive rise to the maximum and the dead compete for what is left.
    """
    top = jnp.asarray(jnp.iinfo(key.dtype).max, key.dtype)
    zero = jnp.zeros((), key.dtype)
    return jnp.where(alive, jnp.where(grow, top, key), jnp.where(grow, spare, zero))


def kept_count(
    size: int, sparsity: jax.Array | float, *, minimum: int = 1
) -> jax.Array:
    """Number of groups kept: ``max(minimum, size - round(sparsity * size))``.

    The product is float32 and rounds half to even, the same for traced and plain
    numbers.

    Args:
      size: number of groups in the tensor.
      sparsity: share to be pruned, scalar; clipped to [0, 1].
      minimum: the least that is kept.

    Returns:
      int32 scalar.
    """
    share = jnp.clip(jnp.asarray(sparsity, jnp.float32), 0.0, 1.0)
    pruned = jnp.round(share * jnp.float32(size)).astype(jnp.int32)
    return jnp.maximum(size - pruned, min(minimum, size))
