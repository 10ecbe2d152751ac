"""How chains are divided, and inputs that are taken as they arrive."""

import dataclasses
import itertools
import re

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
from spjax.analysis.simulate import CorruptedPlan
from spjax.analysis.split import need, streamed
from spjax.analysis.stream_run import run_stream
from tests.analysis.int8 import (
    check,
    conv,
    dense,
    image,
    kernel,
    pool,
    traced,
    twelve_by_twelve,
)


@pytest.fixture(scope="module")
def twelve():
    return twelve_by_twelve()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(SHARINGS))
def test_division_equals_enumeration(seed, sharing):
    """Every way to cut a chain, every task for every stretch: none needs less."""
    rng = np.random.default_rng(seed)

    def fn(x):
        for i in range(5):
            c, out = x.shape[-1], int(rng.integers(1, 5))
            kind = rng.integers(4)
            if kind == 0 and min(x.shape[1:3]) > 1:
                x = pool(x, 2, int(rng.integers(1, 3)))
            elif kind == 1:
                x = conv(x, kernel(3, 3, 1, c, seed=i), "SAME", groups=c)
            else:
                x = conv(x, kernel(3, 3, c, out, seed=i), "SAME")
        return x

    x = image(1, 7, 7, 2)
    program = analysis.trace(lambda _, x: fn(x), (), x)
    plain = whole(program, sharing=sharing)
    (chain,) = split._chains(program)
    single = {task.name: task for task in plain.tasks}
    least = None
    for cuts in itertools.product((False, True), repeat=len(chain) - 1):
        ends = [i + 1 for i, cut in enumerate(cuts) if cut] + [len(chain)]
        stretches = zip([0, *ends], ends, strict=False)
        worst = 0
        for start, end in stretches:
            tasks = split._tasks(
                plain, chain[start:end], single, frozenset(split.MODES)
            )
            needs = [need(plain, t) for t in tasks if not t.extra_macs]
            worst = max(worst, min(needs, default=1 << 30))
        least = worst if least is None else min(least, worst)
    schedule = streamed(program, sharing=sharing)
    assert max(need(schedule, task) for task in schedule.tasks) == least
    assert check(schedule, x).lower_bound <= least


def test_unknown_mode(twelve):
    program, _ = twelve
    with pytest.raises(analysis.AnalysisError, match="mode 'columns' is unknown"):
        streamed(program, modes=["columns"])


def test_input_that_arrives(twelve):
    """12x12, never in memory: the rows that a 4x4 window needs, a pixel, the sums."""
    program, x = twelve
    schedule = streamed(program, input_rows=True)
    (task,) = schedule.tasks
    assert task.mode == "rows" and task.stream.units[0] == ()
    assert task.stream.rings == (3 * 12 + 4, 1)
    assert schedule.sizes["input"] == 0 and schedule.extra_macs == 0
    assert check(schedule, x).planned_arena == 3 * 12 + 4 + 8 + 4 * 10


def test_input_that_arrives_into_accumulators():
    def fn(x):
        return dense(dense(x, kernel(36, 20)), kernel(20, 3, seed=1))

    program, x = traced(fn, 1, 6, 6, 1)
    schedule = streamed(program, input_rows=True)
    first = schedule.tasks[0]
    assert first.mode == "rows" and first.stream.units == ((),)
    assert first.scratch == 1 + 4 * 20
    check(schedule, x)


def test_each_pixel_arrives_once(twelve):
    program, x = twelve
    made = plan(streamed(program, input_rows=True))
    (task,) = made.steps
    direct = dataclasses.replace(task.stream, units=task.stream.units[1:], rings=(1,))
    broken = dataclasses.replace(task, stream=direct)
    scratch, out = np.zeros(made.planned_arena, np.uint8), np.zeros((1, 10), np.int8)
    with pytest.raises(CorruptedPlan, match="of 'input' has gone by"):
        run_stream(program, broken, x, scratch, out, once=True)


@pytest.mark.parametrize(
    "fn, message",
    [
        (lambda x: (pool(x), pool(x, 3)), "is read by max_pool, max_pool_1;"),
        (lambda x: (x, pool(x)), "needs one input"),
        (lambda x: x[..., :1] + x[..., 1:], "is read by slice, slice_1;"),
        (lambda x: jnp.transpose(x, (0, 2, 1, 3)), "(transpose) cannot take"),
    ],
)
def test_inputs_that_must_stay(fn, message):
    program, _ = traced(fn, 1, 4, 4, 2)
    with pytest.raises(analysis.AnalysisError, match=re.escape(message)):
        streamed(program, input_rows=True)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_random_chains_take_an_input_that_arrives(seed, int8):
    rng = np.random.default_rng(seed)
    fn, params, x = random_function(rng, int8=int8, branches=1, depth=4, side=6)
    program = analysis.trace(fn, params, x)
    if not program.operations or program.operations[0].kind == "concatenate":
        return  # a stage of no operations is added to itself
    schedule = streamed(program, bytes_per_element=None, input_rows=True)
    assert schedule.tasks[0].stream.units[0] == ()
    made = check(schedule, x)
    outside = streamed(program, bytes_per_element=None, count_input=False)
    assert plan(outside).planned_arena <= made.planned_arena
