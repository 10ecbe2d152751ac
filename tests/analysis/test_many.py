"""A small part of the sweep over random networks, and the sweep's own judgement.

The full one, whose figures docs/benchmarks.md gives, is
``python -m experiments.bench_analysis --sweep``.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import _exhaustive, _sweep
from spjax import analysis
from tests.analysis import graphs


def test_genomes():
    tally = _sweep.run(_sweep.random_genomes(6, seed=2019), _sweep.Tally("genomes"))
    assert len(tally.operations) == 6 and tally.plans == 54
    assert tally.exhaustive == tally.orders == 18
    assert "54 plans" in "\n".join(tally.lines())


@pytest.mark.parametrize("int8", [False, True])
def test_graphs(int8):
    found = _sweep.random_graphs(3, seed=16 + int8, int8=int8)
    tally = _sweep.run(found, _sweep.Tally("graphs"))
    assert tally.plans == 27 and tally.unproved == 0 and tally.exhaustive > 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(analysis.SHARINGS))
def test_exhaustive_search_equals_enumeration(seed, sharing):
    rng = np.random.default_rng(seed)
    program = graphs.random_program(rng, int(rng.integers(1, 7)))
    schedule = analysis.whole(program, sharing=sharing)
    overlaps = {(t.name, s): d for t in schedule.tasks for s, d in t.overlap}
    least = min(
        max(graphs.transients(program, order, schedule.sizes, overlaps))
        for order in graphs.orders(program)
    )
    assert _exhaustive.least_peak(program, schedule.sizes, overlaps) == least
    assert _exhaustive.least_peak(program, schedule.sizes, overlaps, limit=1) is None


def _network():
    return next(_sweep.random_genomes(1, seed=0))


def _broken(monkeypatch, name, change):
    """The sweep with one function of the analyser spoilt."""
    honest = getattr(analysis, name)
    monkeypatch.setattr(analysis, name, lambda *a, **k: change(honest(*a, **k)))
    with pytest.raises(AssertionError, match="spoilt, genome 0: ") as caught:
        _sweep.run([_network()], _sweep.Tally("spoilt"))
    return str(caught.value)


def test_a_worse_order_is_found_out(monkeypatch):
    def longer(order):
        return dataclasses.replace(order, peak=order.peak + 1)

    assert "least over all orders" in _broken(monkeypatch, "best_order", longer)


def test_a_larger_arena_is_found_out(monkeypatch):
    def smaller(head):
        return 16

    assert "TFLM's 16" in _broken(monkeypatch, "tflm_head", smaller)


def test_other_numbers_than_jax_s_are_found_out(monkeypatch):
    def shifted(values):
        return {name: value + 1 for name, value in values.items()}

    assert "not what JAX computes" in _broken(monkeypatch, "evaluate", shifted)
    monkeypatch.undo()
    assert "of a plan" in _broken(monkeypatch, "simulate", shifted)
