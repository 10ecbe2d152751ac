"""Placements: no clash, never worse than TFLM's greedy, optimal where checkable."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax.analysis.packing import Buffer, clashes
from spjax.analysis.placement import greedy_by_size, place


def _load(buffers):
    """Bytes alive at the fullest step: no arrangement without sharing needs fewer."""
    steps = range(max(b.last for b in buffers) + 1)
    return max(sum(b.size for b in buffers if b.first <= t <= b.last) for t in steps)


def _random(rng, count, steps=6, largest=9):
    buffers = []
    for i in range(count):
        first, last = sorted(int(t) for t in rng.integers(0, steps, 2))
        buffers.append(Buffer(f"b{i}", int(rng.integers(1, largest)), first, last))
    return buffers


def _shared(rng, buffers, chance=0.5):
    """Some pairs in which one buffer dies where the other is born."""
    return {
        (o, i): int(rng.integers(0, buffers[o].size))
        for o, i in itertools.permutations(range(len(buffers)), 2)
        if buffers[i].last == buffers[o].first
        and buffers[i].first < buffers[i].last
        and buffers[o].first < buffers[o].last
        and rng.random() < chance
    }


def _valid(buffers, offsets, shared):
    """No two buffers share a byte at a step, other than allowed: byte by byte."""
    for t in range(max(b.last for b in buffers) + 1):
        owner = {}
        for i, b in enumerate(buffers):
            if not b.first <= t <= b.last:
                continue
            for byte in range(offsets[i], offsets[i] + b.size):
                for j in owner.get(byte, ()):
                    first, second = (i, j) if (i, j) in shared else (j, i)
                    distance = shared.get((first, second))
                    if distance is None:
                        return False
                    if offsets[second] < offsets[first] + distance:
                        return False
                owner.setdefault(byte, []).append(i)
    return True


def _reachable(buffers, shared, arena):
    """Whether some offsets fit an arena: all of them are tried."""
    ranges = [range(arena - b.size + 1) for b in buffers]
    return any(
        _valid(buffers, offsets, shared) for offsets in itertools.product(*ranges)
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_valid_and_between_bound_and_greedy(seed):
    rng = np.random.default_rng(seed)
    buffers = _random(rng, int(rng.integers(1, 14)))
    bound = _load(buffers)
    found = place(buffers, {}, bound)
    assert _valid(buffers, found.offsets, {})
    assert not clashes(buffers, found.offsets, {})
    ends = [o + b.size for o, b in zip(found.offsets, buffers, strict=True)]
    assert found.arena == max(ends)
    assert bound <= found.arena <= greedy_by_size(buffers).arena
    shared = _shared(rng, buffers)
    packed = place(buffers, shared, 0, limit=2000)
    assert _valid(buffers, packed.offsets, shared)
    assert packed.arena <= greedy_by_size(buffers).arena


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_optimal_where_all_offsets_can_be_tried(seed):
    rng = np.random.default_rng(seed)
    buffers = _random(rng, 4, steps=4, largest=5)
    shared = _shared(rng, buffers) if rng.random() < 0.5 else {}
    found = place(buffers, shared, 0)
    assert found.exact
    assert not _reachable(buffers, shared, found.arena - 1)


def test_lower_bound_is_reached_where_greedy_wastes():
    """Largest first puts 6 at 0 and must put 5 on top; 5 below reaches the bound."""
    buffers = [
        Buffer("a", 6, 0, 1),
        Buffer("b", 5, 1, 3),
        Buffer("c", 5, 3, 5),
        Buffer("d", 3, 2, 4),
        Buffer("e", 4, 0, 0),
        Buffer("f", 1, 5, 5),
        Buffer("g", 3, 4, 5),
    ]
    bound = _load(buffers)
    assert place(buffers, {}, bound).arena == bound


def test_equal_lifetimes_never_share_an_address():
    """TinyEngine's first fit puts these two on one address."""
    buffers = [Buffer("a", 100, 0, 1), Buffer("b", 100, 0, 1)]
    found = place(buffers, {}, 200)
    assert found.arena == 200
    assert clashes(buffers, (0, 0), {}) == [("a", "b")]


@pytest.mark.parametrize(
    "offsets, fine", [((0, 3), True), ((0, 2), False), ((5, 0), True), ((4, 0), False)]
)
def test_an_output_may_reach_into_a_dying_input(offsets, fine):
    buffers = [Buffer("out", 8, 1, 2), Buffer("in", 5, 0, 1)]
    assert (clashes(buffers, offsets, {(0, 1): 3}) == []) == fine
    assert _valid(buffers, offsets, {(0, 1): 3}) == fine
    assert place(buffers, {(0, 1): 3}, 0).arena == 8


def test_tflm_rule_by_hand():
    """Biggest first; the tie between b and c goes to the later one."""
    buffers = [Buffer("a", 16, 0, 1), Buffer("b", 32, 1, 2), Buffer("c", 32, 2, 3)]
    found = greedy_by_size(buffers)
    assert found.offsets == (0, 32, 0) and found.arena == 64


def test_no_buffers():
    assert place([], {}, 0).arena == 0
