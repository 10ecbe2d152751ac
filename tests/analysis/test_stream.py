"""Fused, row-streamed and channel-streamed tasks: sizes by hand, data by simulation."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments._random_graphs import random_function
from spjax import analysis
from spjax.analysis import split
from spjax.analysis.plan import plan
from spjax.analysis.schedule import SHARINGS, whole
from spjax.analysis.simulate import CorruptedPlan, simulate
from spjax.analysis.split import fused, need, streamed
from tests.analysis.int8 import (
    check,
    conv,
    dense,
    global_pool,
    kernel,
    narrow,
    pool,
    traced,
    twelve_by_twelve,
)


@pytest.fixture(scope="module")
def twelve():
    return twelve_by_twelve()


@pytest.mark.parametrize("sharing", ["none", "overlap"])
def test_channels_of_the_twelve_by_twelve(twelve, sharing):
    """Image 144, one 10x10 plane, pooled map 200; then the dense layer."""
    program, x = twelve
    schedule = streamed(program, sharing=sharing, modes=["channels"])
    assert [task.mode for task in schedule.tasks] == ["channels", "whole"]
    assert check(schedule, x).planned_arena == 144 + 100 + 200


def _loses_data(made):
    """Whether some image shows that a plan is wrong: not all of them need to."""
    program = made.schedule.program
    shape = program.tensors["input"].shape
    for seed in range(20):
        x = np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)
        try:
            simulate(made, {"input": x})
        except CorruptedPlan:
            return True
    return False


def test_one_byte_less_loses_data(twelve):
    program, _ = twelve
    made = plan(fused(program, sharing="overlap"))
    offsets = list(made.offsets)
    assert made.offset("input") - made.offset("max_pool") == 95
    assert not _loses_data(made)
    offsets[0] -= 1
    assert _loses_data(dataclasses.replace(made, offsets=tuple(offsets)))


def _deep(x):
    x = conv(x, kernel(3, 3, 2, 4), "SAME")
    x = conv(x, kernel(5, 5, 4, 4, seed=1), "SAME")
    return pool(conv(x, kernel(3, 3, 4, 2, seed=2), "SAME"))


def test_rings_hold_the_rows_that_are_needed():
    """A kernel of k rows and columns on w columns needs (k - 1) w + k pixels.

    Padding at the bottom and right takes nothing away: the ring is fullest inside.
    """
    program, x = traced(_deep, 1, 12, 9, 2)
    schedule = streamed(program, sharing="none", modes=["rows"])
    (task,) = schedule.tasks
    assert task.mode == "rows" and task.extra_macs == 0
    # Fusing the pooling would make the second ring one row and pixel longer.
    assert task.stream.rings == (4 * 9 + 5, 2 * 9 + 3, 1 * 9 + 2)
    assert task.scratch == 4 * (4 * 9 + 5) + 4 * (2 * 9 + 3) + 2 * (9 + 2)
    check(schedule, x)


def test_scratch_does_not_grow_with_height():
    sizes = set()
    for height in (12, 24, 48):
        program, _ = traced(_deep, 1, height, 9, 2)
        schedule = streamed(program, sharing="none", modes=["rows"])
        sizes.add(schedule.tasks[0].scratch)
    assert len(sizes) == 1


def test_a_ring_that_is_a_pixel_short_loses_data():
    program, _ = traced(_deep, 1, 12, 9, 2)
    made = plan(streamed(program, sharing="none", modes=["rows"]))
    (task,) = made.steps
    assert not _loses_data(made)
    for i in range(3):
        rings = list(task.stream.rings)
        rings[i] -= 1
        stream = dataclasses.replace(task.stream, rings=tuple(rings))
        broken = dataclasses.replace(task, stream=stream)
        assert _loses_data(dataclasses.replace(made, steps=(broken,)))


def test_pooling_in_registers_repeats_where_windows_overlap():
    """conv 3x3 on 8x8 -> 6x6, then 2x2 windows at stride 1: 5x5 of 4 values each."""

    def fn(x):
        return pool(conv(x, kernel(3, 3, 1, 2)), 2, 1)

    program, x = traced(fn, 1, 8, 8, 1)
    assert fused(program).extra_macs == 0  # not fused
    assert [task.mode for task in fused(program).tasks] == ["whole", "whole"]
    schedule = streamed(program, modes=["fused"], recompute=True, sharing="none")
    assert [task.mode for task in schedule.tasks] == ["fused"]
    assert schedule.extra_macs == (25 * 4 - 36) * 9 * 2
    check(schedule, x)
    kept = streamed(program, modes=["rows"], sharing="none")
    assert kept.extra_macs == 0 and kept.tasks[0].stream.rings == (6 + 2,)
    check(kept, x)


def test_one_channel_at_a_time():
    """The topology of BitNetMCU: 16x16, a depthwise chain to 2x2 of 16 channels."""

    def fn(x):
        x = conv(x, kernel(3, 3, 1, 16))  # 14
        x = pool(conv(x, kernel(3, 3, 1, 16, seed=1), groups=16))  # 12, 6
        x = pool(conv(x, kernel(3, 3, 1, 16, seed=2), groups=16))  # 4, 2
        return dense(x, kernel(64, 10))

    program, x = traced(fn, 1, 16, 16, 1)
    schedule = streamed(program, modes=["channels"])
    assert [task.mode for task in schedule.tasks] == ["channels", "whole"]
    # VALID planes overlap themselves from the start: one of 14 x 14 is enough.
    assert schedule.tasks[0].scratch == 14 * 14
    assert check(schedule, x).planned_arena == 16 * 16 + 14 * 14 + 2 * 2 * 16
    assert plan(whole(program)).planned_arena == 14 * 14 * 16 + 12 * 12 * 16


def test_accumulated_mean():
    def fn(x):
        x = conv(x, kernel(3, 3, 1, 6), "SAME").astype(jnp.int32)
        return narrow(x.sum((1, 2)), 0.05)

    program, x = traced(fn, 1, 10, 10, 1)
    schedule = streamed(program, modes=["rows"], sharing="none")
    assert schedule.tasks[0].stream.accumulate == "reduce_sum"
    assert check(schedule, x).planned_arena == 100 + 6 + 4 * 6


@pytest.mark.parametrize("kind", ["max", "average"])
def test_a_global_pooling_is_accumulated(kind):
    """Two convolutions; the second one's map never exists, nor a ring of its rows."""

    def fn(x):
        x = conv(x, kernel(3, 3, 1, 5), "SAME")
        return global_pool(conv(x, kernel(3, 3, 5, 6, seed=1), "SAME"), kind)

    program, x = traced(fn, 1, 10, 10, 1)
    schedule = streamed(program, modes=["rows"], sharing="none")
    (task,) = schedule.tasks
    assert task.stream.accumulate == program.operations[-1].name
    assert program.operations[-1].kind in ("max_pool", "sum_pool", "average_pool")
    # The image, two rows and three pixels of 5, one pixel of 6 and its sums.
    wanted = 100 + 5 * (2 * 10 + 3) + 6 + 4 * 6
    assert check(schedule, x).planned_arena == wanted


def test_a_pooling_that_is_not_global_is_not_accumulated():
    def fn(x):
        return pool(conv(x, kernel(3, 3, 1, 5)), 4, 4)

    program, x = traced(fn, 1, 10, 10, 1)
    schedule = streamed(program, modes=["rows"], sharing="none")
    assert all(t.stream is None or not t.stream.accumulate for t in schedule.tasks)
    check(schedule, x)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from(SHARINGS))
def test_random_chains_survive(seed, int8, sharing):
    rng = np.random.default_rng(seed)
    fn, params, x = random_function(
        rng, int8=int8, branches=int(rng.integers(1, 3)), depth=5, side=6
    )
    program = analysis.trace(fn, params, x)
    options = {"sharing": sharing, "bytes_per_element": None}
    plain = whole(program, **options)
    for make, more in [
        (fused, {}),
        (streamed, {}),
        (streamed, {"modes": ["rows"], "recompute": True}),
        (streamed, {"modes": ["channels"]}),
    ]:
        schedule = make(program, **options, **more)
        names = [name for task in schedule.tasks for name in task.operations]
        assert sorted(names) == sorted(op.name for op in program.operations)
        check(schedule, x)
        if make is streamed:
            worst = max((need(schedule, t) for t in schedule.tasks), default=0)
            assert worst <= max((need(plain, t) for t in plain.tasks), default=0)


def test_depthwise_in_place_through_a_row_buffer():
    """3x3 on 10x7x4: 2 rows and 3 pixels are copied; no second map is needed.

    With overlap allowed, shifting the map by one row and pixel does with less.
    """

    def fn(x):
        return conv(x, kernel(3, 3, 1, 4), "SAME", groups=4)

    program, x = traced(fn, 1, 10, 7, 4)
    schedule = streamed(program, sharing="in_place")
    assert [task.mode for task in schedule.tasks] == ["row_buffer"]
    assert check(schedule, x).planned_arena == 280 + (2 * 7 + 3) * 4
    assert plan(whole(program, sharing="in_place")).planned_arena == 560
    shifted = whole(program, sharing="overlap")
    assert check(shifted, x).planned_arena == 280 + (1 * 7 + 1) * 4


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_row_buffer_never_needs_fewer_bytes_than_overlap(seed):
    rng = np.random.default_rng(seed)
    size, stride = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    channels, out = int(rng.integers(1, 4)), int(rng.integers(1, 5))
    height, width = (int(n) for n in rng.integers(3, 7, 2))

    def fn(x):
        padding = ["SAME", "VALID"][seed % 2]
        return conv(x, kernel(size, size, channels, out), padding, (stride, stride))

    program, x = traced(fn, 1, height, width, channels)
    (plain,) = whole(program, sharing="overlap").tasks
    schedule = whole(program, sharing="overlap")
    (name,) = plain.operations
    buffered = split._streamed(schedule, [[], [name]], None)
    one = dataclasses.replace(schedule, tasks=(buffered,))
    # Whole pixels are written at once behind a ring: that alone may save channels - 1.
    assert need(schedule, plain) <= need(one, buffered) + out - 1
    check(one, x)
