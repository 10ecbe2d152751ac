import os
import re
import subprocess
import sys

import pytest

pytest.importorskip("torch")
_CELL = r"([\d.,]+) \[[\d.,]+, [\d.,]+\]"


def test_three_ways_train_the_same_genomes():
    done = subprocess.run(
        [sys.executable, "-m", "experiments.bench_search"]
        + ["--dataset=digits", "--epochs=1", "--genomes=1", "--repeats=1"]
        + ["--clock=cpu", "--genes=plain"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = {
        way: [float(cell.replace(",", "")) for cell in cells]
        for way, *cells in re.findall(
            rf"\| (\w+) \| {_CELL} \| {_CELL} \| ([\d.]+) \|", done.stdout
        )
    }
    assert list(rows) == ["spjax", "flax", "torch"]
    for rate, ratio, error in rows.values():
        # One genome, one repeat: the ratio of the rates, which are whole numbers.
        assert ratio == pytest.approx(rows["spjax"][0] / rate, rel=0.02)
        assert 0 < error < 100
    shares = re.findall(r"\| [a-z, ]+ \| (\d+) \|", done.stdout)
    assert len(shares) == 3 and sum(map(int, shares)) == pytest.approx(100, abs=2)
