"""Exactly the k largest scores, without sorting.

The k-th largest value is found by bisection over the bit pattern of the floats:
IEEE floats map to unsigned integers of the same order, so 32 counts settle all
32 bits of the threshold. Scores equal to the threshold are then taken in index
order by a second bisection, over the index, which is skipped where every one of them
has a place. Everything is elementwise or a reduction, so it runs under ``jit`` and
``vmap`` and on sharded arrays without gathering them, and k may be traced. NaN ranks
above every number: a diverged weight stays visible rather than being pruned away.

Small arrays are laid out as rows of one table, because compilation costs about 0.2 s
per array otherwise. Large ones stay as they are, so that their sharding does.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_SMALL = 2**16  # elements; arrays up to this size share a table


@dataclasses.dataclass(frozen=True)
class _Table:
    """Arrays laid out with one row each; ``members`` are their indices."""

    members: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        if len(self.members) == 1:
            return (1, *self.shapes[0])
        return (len(self.members), max(math.prod(s) for s in self.shapes))

    def stack(self, arrays: Sequence[jax.Array]) -> jax.Array:
        """The members of a list as a table; rows are padded with zeros."""
        if len(self.members) == 1:
            return arrays[self.members[0]][None]
        width = self.shape[1]
        rows = [
            jnp.pad(arrays[i].ravel(), (0, width - math.prod(s)))
            for i, s in zip(self.members, self.shapes, strict=True)
        ]
        return jnp.stack(rows)

    def unstack(self, table: jax.Array) -> list[jax.Array]:
        """The members of a table, in their own shapes."""
        if len(self.members) == 1:
            return [table[0]]
        return [
            row[: math.prod(s)].reshape(s)
            for row, s in zip(table, self.shapes, strict=True)
        ]

    def index(self) -> jax.Array:
        """Row-major position of every element in its row; no reshape, so it shards."""
        index, stride = jnp.zeros(self.shape, jnp.uint32), 1
        for axis in reversed(range(1, len(self.shape))):
            step = lax.broadcasted_iota(jnp.uint32, self.shape, axis)
            index += step * jnp.uint32(stride)
            stride *= self.shape[axis]
        return index

    def column(self, per_array: jax.Array | np.ndarray) -> jax.Array:
        """One number per array, shaped to broadcast over the table's rows."""
        rows = jnp.asarray(per_array)[np.array(self.members)]
        return rows.reshape(-1, *[1] * (len(self.shape) - 1))

    def reduce(self, reducer: Callable, values: jax.Array, **options: Any) -> jax.Array:
        """One number per row."""
        return reducer(values, axis=tuple(range(1, len(self.shape))), **options)


def _tables(arrays: Sequence[jax.Array]) -> list[_Table]:
    """Small arrays together, each of the others alone."""
    shapes = [tuple(a.shape) for a in arrays]
    small = [i for i, a in enumerate(arrays) if a.size <= _SMALL]
    tables = [_Table((i,), (shapes[i],)) for i in range(len(arrays)) if i not in small]
    if small:
        tables.append(_Table(tuple(small), tuple(shapes[i] for i in small)))
    return tables


def _ordered_bits(scores: jax.Array) -> jax.Array:
    """Unsigned integers in the order of the scores; 0 and the maximum stay unused."""
    scores = jnp.where(scores == 0, 0.0, scores)  # -0.0 ties with 0.0
    scores = jnp.where(jnp.isnan(scores), jnp.nan, scores)
    uint = jnp.uint64 if scores.dtype == jnp.float64 else jnp.uint32
    bits = lax.bitcast_convert_type(scores, uint)
    sign = jnp.asarray(1, uint) << (8 * bits.dtype.itemsize - 1)
    return jnp.where(bits & sign, ~bits, bits | sign)


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
    members = tuple(tuple(m) for m, _ in budgets)
    counts = jnp.stack([jnp.asarray(count, jnp.int32) for _, count in budgets])
    return _solve(list(scores), counts, alive, spare, members, champions)


@functools.partial(jax.jit, static_argnames=("budgets", "champions"))
def _solve(
    scores: list[jax.Array],
    k: jax.Array,
    alive: list[jax.Array] | None,
    spare: list[jax.Array] | None,
    budgets: tuple[tuple[int, ...], ...],
    champions: bool,
) -> list[jax.Array]:
    """``keep_largest`` with k as an array; compiled once per set of shapes."""
    kind = jnp.result_type(jnp.float32, *(s.dtype for s in scores))
    scores = [s.astype(kind) for s in scores]
    sizes = np.array([s.size for s in scores])
    owner = np.zeros(len(scores), int)  # the budget of each array
    offset = np.zeros(len(scores), np.uint32)  # of each array within its budget
    for b, members in enumerate(budgets):
        members = list(members)
        owner[members] = b
        offset[members] = np.cumsum([0, *sizes[members][:-1]])
    totals = np.bincount(owner, sizes, len(budgets)).astype(int)
    least = np.bincount(owner, minlength=len(budgets)) if champions else 0
    k = jnp.clip(k, least, totals)

    tables = _tables(scores)
    index = [t.index() for t in tables]
    laid_out = np.array([i for t in tables for i in t.members])
    member_of = owner[laid_out] == np.arange(len(budgets))[:, None]

    def count(hits: Sequence[jax.Array]) -> jax.Array:
        """Number of true elements in each budget, from one bool array per table."""
        rows = [
            t.reduce(jnp.sum, h, dtype=jnp.int32)
            for t, h in zip(tables, hits, strict=True)
        ]
        return jnp.sum(jnp.where(member_of, jnp.concatenate(rows), 0), axis=1)

    def spread(per_budget: jax.Array) -> list[jax.Array]:
        """One number per budget, shaped to broadcast over the rows of each table."""
        return [t.column(per_budget[owner]) for t in tables]

    keys = [_ordered_bits(t.stack(scores)) for t in tables]
    if alive is not None:
        live = [t.stack(alive) for t in tables]
        extra = keys
        if spare is not None:
            spare = [s.astype(kind) for s in spare]
            extra = [_ordered_bits(t.stack(spare)) for t in tables]
        grow = spread(count(live) < k)
        keys = [_alive_first(*x) for x in zip(keys, extra, live, grow, strict=True)]
    keys = [  # the padding sinks to 0
        jnp.where(i < t.column(sizes).astype(jnp.uint32), x, jnp.zeros_like(x))
        for t, x, i in zip(tables, keys, index, strict=True)
    ]
    if champions:
        keys = [_crown(t, x, i) for t, x, i in zip(tables, keys, index, strict=True)]
    index = [i + t.column(offset) for t, i in zip(tables, index, strict=True)]
    cut, places, tied = _threshold(keys, k, count, spread)
    last = _tie_break(keys, index, cut, places, tied, int(totals.max()), count, spread)
    out = [None] * len(scores)
    for t, x, i, c, e in zip(
        tables, keys, index, spread(cut), spread(last), strict=True
    ):
        mask = (x > c) | ((x == c) & (i < e))
        for member, array in zip(t.members, t.unstack(mask), strict=True):
            out[member] = array
    return out


def _threshold(
    keys: list[jax.Array], k: jax.Array, count: Callable, spread: Callable
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The k-th largest key of each budget, the places left for ties, and the ties."""
    uint = keys[0].dtype
    bits = 8 * uint.itemsize

    def compare(operation: Callable, word: jax.Array) -> jax.Array:
        return count([operation(x, w) for x, w in zip(keys, spread(word), strict=True)])

    def raise_bit(carry: tuple) -> tuple:
        step, low, exact = carry
        trial = low | (jnp.asarray(1, uint) << (bits - 1 - step).astype(uint))
        found = compare(jnp.greater_equal, trial)
        low = jnp.where((found >= k) & ~exact, trial, low)
        return step + 1, low, exact | (found == k)

    def unsettled(carry: tuple) -> jax.Array:
        step, _, exact = carry
        return (step < bits) & ~jnp.all(exact)

    start = (jnp.int32(0), jnp.zeros(k.shape, uint), jnp.zeros(k.shape, bool))
    _, cut, _ = lax.while_loop(unsettled, raise_bit, start)
    return cut, k - compare(jnp.greater, cut), compare(jnp.equal, cut)


def _tie_break(
    keys: list[jax.Array],
    index: list[jax.Array],
    cut: jax.Array,
    places: jax.Array,
    tied: jax.Array,
    total: int,
    count: Callable,
    spread: Callable,
) -> jax.Array:
    """Index below which elements equal to the threshold are kept, per budget."""
    bits = total.bit_length()
    ties = [x == c for x, c in zip(keys, spread(cut), strict=True)]

    def raise_bit(step: jax.Array, low: jax.Array) -> jax.Array:
        trial = low | (jnp.uint32(1) << (bits - 1 - step).astype(jnp.uint32))
        below = zip(ties, index, spread(trial), strict=True)
        return jnp.where(
            count([t & (i < e) for t, i, e in below]) <= places, trial, low
        )

    # With a place for every tied element there is nothing to search for.
    all_in = tied <= places
    start = jnp.where(all_in, jnp.uint32(2**bits - 1), jnp.uint32(0))
    return lax.fori_loop(0, jnp.where(jnp.all(all_in), 0, bits), raise_bit, start)


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


def _crown(table: _Table, key: jax.Array, index: jax.Array) -> jax.Array:
    """Raises the largest element of each row to the maximum key."""
    best = table.reduce(jnp.max, key, keepdims=True)
    none = jnp.uint32(2**32 - 1)
    first = jnp.where(key == best, index, none)
    first = table.reduce(jnp.min, first, keepdims=True)
    top = jnp.asarray(jnp.iinfo(key.dtype).max, key.dtype)
    return jnp.where(index == first, top, key)


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
