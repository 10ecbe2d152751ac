"""Which elementwise functions an operation takes in: fusion by dominators.

An anchor writes a tensor ``a``, its *atom*. Everything that is a function of ``a``
alone, element by element, belongs to a's region. Some values of the region are read
from outside it (by another anchor, or as an output): these must exist in memory. Let
d be the last value through which every such value depends on ``a`` (their common
dominator). Then the steps from ``a`` to d are the anchor's epilogue and only d is
written; each further value that must exist becomes an elementwise operation on the
nearest one that exists already.

Where several values on the way to d would do, the one with the narrowest element is
taken, and of these the last: an integer network stores its int8 tensor, not the
int32 copy that the next layer starts from. The steps that widen it again (a cast, a
zero point) become the *prologue* of each operation that reads it, which applies them
to every element that it loads.
"""

import dataclasses
import math

import numpy as np

from spjax.analysis.drafts import Draft, Drafting

_LOADING = (
    "conv2d", "dense", "elementwise", "reduce", "max_pool", "sum_pool",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Fused:
    """An operation with its epilogue.

    Attributes:
      draft: the anchor, or None for an operation that is elementwise as a whole.
      source: value number that the steps start from (the anchor's raw result, or
        the tensor that is read).
      steps: elementwise drafts in program order.
      output: value number that is written.
      prologue: elementwise drafts from the tensors that are read to the anchor's
        inputs, in program order.
      reads: value numbers of the tensors that are read, one for each of the anchor's
        inputs.
    """

    draft: Draft | None
    source: int
    steps: tuple[Draft, ...]
    output: int
    prologue: tuple[Draft, ...] = ()
    reads: tuple[int, ...] = ()


def fuse(drafting: Drafting) -> list[Fused]:
    """Groups drafts into operations, in program order.

    Args:
      drafting: the drafts of a function, with its renamings.

    Returns:
      One entry per operation.
    """
    flat, root = drafting.flat, drafting.root
    position = {d.output: i for i, d in enumerate(drafting.drafts)}
    atom: dict[int, int] = {n: n for n in flat.inputs}
    anchors: dict[int, Draft] = {}
    reads: dict[int, list[int]] = {}
    prologues: dict[int, dict[int, Draft]] = {}
    steps: dict[int, Draft] = {}
    needed: set[int] = {root(n) for n in flat.outputs if n not in drafting.folding}
    for draft in drafting.drafts:
        out = draft.output
        if draft.kind == "elementwise":
            atoms = {atom[root(n)] for n in draft.inputs}
            only = next(iter(atoms))
            same_size = math.prod(drafting.shape(only)) == math.prod(
                drafting.shape(out)
            )
            if len(atoms) == 1 and same_size and _same_elements(drafting, draft):
                atom[out], steps[out] = only, draft
                continue
        atom[out], anchors[out] = out, draft
        reads[out], prologues[out] = [], {}
        for number in draft.inputs:
            narrow = _stored(root(number), atom, steps, drafting, position, draft)
            # A renaming keeps its own number: the shape is read under that name.
            same = narrow == root(number)
            reads[out].append(number if same else narrow)
            needed.add(narrow)
            if not same:
                between = _between(narrow, root(number), steps, drafting, position)
                prologues[out].update({d.output: d for d in between})
    groups: dict[int, list[int]] = {}
    for value in sorted(needed, key=lambda v: position.get(v, -1)):
        groups.setdefault(atom[value], []).append(value)
    fused: list[tuple[int, Fused]] = []
    for source, values in groups.items():
        dominators = _dominators(source, values, steps, drafting)
        exists = source
        if source in anchors:
            common = set.intersection(*(dominators[v] for v in values))
            exists = _narrowest(common, position, flat)
            chosen = _between(source, exists, steps, drafting, position)
            before = prologues[source]
            entry = Fused(
                anchors[source],
                source,
                chosen,
                exists,
                tuple(before[n] for n in sorted(before, key=position.__getitem__)),
                tuple(reads[source]),
            )
            fused.append((position[source], entry))
        existing = {exists}
        for value in values:
            if value in existing:
                continue
            near = dominators[value] & existing
            start = max(near or {source}, key=lambda v: position.get(v, -1))
            chosen = _between(start, value, steps, drafting, position)
            entry = Fused(None, start, chosen, value, reads=(start,))
            fused.append((position[value], entry))
            existing.add(value)
    fused.sort(key=lambda pair: pair[0])
    return [entry for _, entry in fused]


def _same_elements(drafting: Drafting, draft: Draft) -> bool:
    """Whether no activation operand is broadcast by this function."""
    size = math.prod(drafting.shape(draft.output))
    return all(math.prod(drafting.shape(n)) == size for n in draft.inputs)


def _stored(
    value: int,
    atom: dict,
    steps: dict,
    drafting: Drafting,
    position: dict,
    reader: Draft,
) -> int:
    """What is kept in memory for an anchor's input: a narrower value on its way, or it.

    Only steps without per-channel constants can be repeated at every load.
    """
    if value == atom[value] or reader.kind not in _LOADING:
        return value
    ways = _dominators(atom[value], [value], steps, drafting)[value]
    narrow = _narrowest(ways, position, drafting.flat)
    for step in _between(narrow, value, steps, drafting, position):
        for number in step.operands:
            if number in drafting.folding and drafting.folding[number].axes:
                return value
    return narrow


def _dominators(source: int, values: list, steps: dict, drafting: Drafting) -> dict:
    """For each value of a region, the values that every way from the source passes."""
    found: dict[int, set[int]] = {source: {source}}

    def of(value: int) -> set[int]:
        # Iterative: regions are shallow, but an unrolled loop need not be.
        stack = [value]
        while stack:
            top = stack[-1]
            if top in found:
                stack.pop()
                continue
            before = {drafting.root(n) for n in steps[top].inputs}
            missing = [b for b in before if b not in found]
            if missing:
                stack.extend(missing)
                continue
            found[top] = {top} | set.intersection(*(found[b] for b in before))
            stack.pop()
        return found[value]

    for value in values:
        of(value)
    return found


def _narrowest(values: set, position: dict, flat: object) -> int:
    def rank(value: int) -> tuple:
        size = np.dtype(flat.values[value].dtype).itemsize
        return (size, -position.get(value, -1))

    return min(values, key=rank)


def _between(
    start: int, end: int, steps: dict, drafting: Drafting, position: dict
) -> tuple[Draft, ...]:
    """The elementwise drafts that lead from one value to another, in order."""
    chosen: dict[int, Draft] = {}
    stack = [end]
    while stack:
        value = stack.pop()
        if value == start or value in chosen:
            continue
        chosen[value] = steps[value]
        stack.extend(drafting.root(n) for n in steps[value].inputs)
    return tuple(chosen[v] for v in sorted(chosen, key=position.__getitem__))
