"""The table of formats: figures are those of the codecs, errors are one line."""

import pathlib
import subprocess
import sys

from spjax.deploy import codecs
from tests.experiments.deployed_run import need

ROOT = pathlib.Path(__file__).parents[2]


def _run(*arguments):
    command = [sys.executable, "-m", "experiments.bench_codecs", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_the_table_of_one_board():
    need("microbit")
    done = _run("--boards=microbit", "--sparsities=0,0.9")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "instructions on microbit" in lines[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]
    by_layer = {}
    for layer, zeros, form, size, share, count, _ in rows:
        figures = int(size.replace(",", "")), float(share), int(count.replace(",", ""))
        by_layer.setdefault((layer, zeros), {})[form] = figures
    assert len(by_layer) == 4
    for (layer, zeros), forms in by_layer.items():
        # Biases, multipliers and shifts: nine bytes for each output.
        outputs = 32 if layer.startswith("dense") else 16
        weights = 256 * 32 if layer.startswith("dense") else 9 * 16 * 16
        dense = forms["dense_int8"] if zeros == "90" else forms["dense_int8 *"]
        assert dense[:2] == (weights + 9 * outputs, 1.0)
        [chosen] = [name for name in forms if name.endswith("*")]
        assert forms[chosen][0] == min(size for size, _, _ in forms.values())
        if zeros == "90":
            # A few of the others are rounded to zero too.
            most = weights - round(0.9 * weights)
            stored = forms["bitmap_int8"][0] - weights // 8 - 9 * outputs
            assert 0.95 * most <= stored <= most
            assert forms["csr8_int8"][2] < dense[2] / 2
    assert {form.rstrip(" *") for forms in by_layer.values() for form in forms} <= {
        form.name for form in codecs.formats()
    }


def test_shares_that_are_none():
    done = _run("--sparsities=half")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --sparsities=half: give numbers from 0")
