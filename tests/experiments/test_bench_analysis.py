"""The analyser's benchmark: its recurrence is right, and both parts run."""

import time

import pytest
from absl import flags
from absl.testing import flagsaver

from experiments import _exhaustive, bench_analysis
from spjax import analysis


@pytest.fixture(autouse=True)
def _parsed():
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["bench_analysis"])


@pytest.mark.parametrize("branches", [2, 3, 4])
def test_recurrence_equals_all_orders(branches):
    program = bench_analysis._branched(branches)
    sizes = analysis.whole(program, sharing="none").sizes
    never = time.process_time() + 1e9
    peak = bench_analysis.recurrence(program, sizes, never)
    assert peak == _exhaustive.least_peak(program, sizes, {})


def test_recurrence_gives_up():
    program = bench_analysis._branched(4)
    sizes = analysis.whole(program, sharing="none").sizes
    assert bench_analysis.recurrence(program, sizes, time.process_time()) is None


def test_times(capsys):
    with flagsaver.flagsaver(genomes=2, branches=["2", "3"]):
        assert bench_analysis.main([]) == 0
    text = capsys.readouterr().out
    assert "2 random genomes" in text and "JAX's tracing is" in text
    last = text.splitlines()[-1].split()
    assert last[:2] == ["3", "10"] and float(last[4]) >= 0


def test_sweep(capsys):
    with flagsaver.flagsaver(sweep=True, sweep_genomes=1, sweep_graphs=0):
        assert bench_analysis.main([]) == 0
    text = capsys.readouterr().out
    assert "genomes: 1 networks" in text and "graphs" not in text
    assert "9 plans verified and simulated" in text
