"""The pruning programs from the command line, small."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np

ROOT = pathlib.Path(__file__).parents[2]


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )


def test_the_benchmark_prints_its_table():
    done = run("experiments.bench_pruning", "--repeats=3", "--steps=1")
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert [r.split("|")[1].strip() for r in rows] == [
        "step", "update alone", "training, batch 128",
    ]  # fmt: skip
    assert "1,001,840 parameters" in done.stdout
    for row in rows[1:]:
        ratio = float(row.split("|")[3].split()[0])
        assert 0.2 < ratio < 5


def test_sparse_vd_trains_prunes_and_tabulates(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 10
    images = rng.integers(0, 40, (600, 28, 28)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 8] += 200  # a bar whose place is the class
    np.savez(
        tmp_path / "bars.npz",
        x_train=images[:500],
        y_train=labels[:500],
        x_test=images[500:],
        y_test=labels[500:],
    )
    out = tmp_path / "results" / "rows.jsonl"
    for method in ("--method=magnitude", "--method=sparse_vd", "--finish=0.5"):
        done = run(
            "experiments.sparse_vd",
            f"--dataset=npz:{tmp_path}/bars.npz",
            method,
            "--epochs=4",
            "--batch_size=20",
            "--sparsity=0.9",
            f"--out={out}",
        )
        assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [r["method"] for r in rows] == ["magnitude", "sparse_vd", "sparse_vd"]
    for row in rows:
        assert row["weights"] == 266_200
        assert row["nonzero_weights"] == sum(row["nonzero_by_layer"].values())
        assert row["live_weights"] <= row["nonzero_weights"]
        assert row["live_test_error"] == row["test_error"]
    assert rows[0]["nonzero_weights"] == 26_620 and rows[0]["test_error"] < 0.5
    # Of so few images the prior leaves little; that it acts is what shows here.
    assert rows[1]["nonzero_weights"] < 0.9 * rows[1]["weights"]
    # With --finish exactly the share that is asked for is left.
    assert rows[2]["nonzero_weights"] == 26_620 and rows[2]["test_error"] < 0.5
    out.write_text("".join(json.dumps(row) + "\n" for row in rows[:2]))
    table = run("experiments.sparse_vd", "--table", f"--out={out}").stdout.splitlines()
    assert "magnitude" in table[2] and "| 10.0 +- 0.0 |" in table[2]
    # The variational training is read at other thresholds, 3 among them.
    assert table[4] == "" and len(table) == 7 + len(rows[1]["by_threshold"])
    readings = {r["threshold"]: r for r in rows[1]["by_threshold"]}
    assert readings[3.0]["nonzero_weights"] == rows[1]["nonzero_weights"]
    assert readings[3.0]["test_error"] == rows[1]["test_error"]
    counts = [readings[t]["nonzero_weights"] for t in sorted(readings)]
    assert counts == sorted(counts)
    ratio = 266_200 / counts[0]
    assert table[7].split(" | ")[-2] == f"{ratio:.1f} +- 0.0"
    assert readings[3.0]["train_error"] == rows[1]["train_error"]
    assert readings[3.0]["architecture"] == rows[1]["architecture"]


def test_what_is_wrong_is_said_in_one_line(tmp_path):
    done = run("experiments.sparse_vd", "--table")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: --table needs --out")
    images = np.zeros((40, 28, 28), np.uint8)
    labels = np.arange(40) % 10
    np.savez(
        tmp_path / "x.npz", x_train=images, y_train=labels, x_test=images, y_test=labels
    )
    few = ("--epochs=1", "--finish=0.9", f"--dataset=npz:{tmp_path}/x.npz")
    done = run("experiments.sparse_vd", *few)
    assert done.returncode == 2
    assert "--finish=0.9 leaves none of --epochs=1" in done.stderr.splitlines()[-1]
