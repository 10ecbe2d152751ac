"""Merges an explicit pad into the convolution or pooling that alone reads it."""

import math

from spjax.analysis.drafts import Draft, Drafting

_NEUTRAL = {"conv2d": 0.0, "sum_pool": 0.0, "max_pool": -math.inf}


def merge_pads(drafting: Drafting) -> None:
    """Rewrites the drafts in place: pad + conv2d -> conv2d with padding.

    A pad is merged if its value is neutral (zero, or minus infinity before a maximum),
    it pads height and width only, and nothing else reads the padded tensor.
    """
    readers: dict[int, list[Draft]] = {}
    for draft in drafting.drafts:
        for number in set(draft.inputs):
            readers.setdefault(drafting.root(number), []).append(draft)
    outputs = {drafting.root(n) for n in drafting.flat.outputs}
    renamed = set(drafting.alias.values())
    for pad in [d for d in drafting.drafts if d.kind == "pad"]:
        users = readers.get(pad.output, [])
        if len(users) != 1 or pad.output in outputs | renamed:
            continue
        user, spatial = users[0], pad.attributes["padding"]
        rank = len(spatial)
        neutral = _NEUTRAL.get(user.kind)
        plain = rank in (3, 4) and spatial[0] == (0, 0) and spatial[-1] == (0, 0)
        if neutral != pad.attributes["value"] or not plain:
            continue
        before = user.attributes["padding"]
        added = spatial[1:-1] if rank == 4 else ((0, 0), spatial[1])
        user.attributes["padding"] = tuple(
            (low + more_low, high + more_high)
            for (low, high), (more_low, more_high) in zip(before, added, strict=True)
        )
        user.inputs = pad.inputs
        drafting.drafts.remove(pad)
