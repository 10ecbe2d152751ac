"""Made-up runs for the tests of this room."""

import numpy as np

HEADER = {
    "dataset": {
        "name": "digits",
        "notes": ["real handwriting, 8x8"],
        "split_sizes": {"train": 1198, "validation": 239, "test": 360},
        "seed": 0,
        "fingerprint": "9f2c",
    },
    "normalisation": {"mean": [77.8], "std": [95.9]},
    "board": {"name": "uno", "ram_bytes": 2048, "flash_bytes": 32768},
    "memory_model": "input_output",
    "size_model": "nonzero",
    "flags": {"trials": 60, "workers": 2},
    "versions": {"python": "3.11", "jax": "0.10.2", "spjax": "0.1.0"},
    "seed": 0,
    "started": "2025-11-23T01:00:00+00:00",
    "finished": "2025-11-23T01:04:10+00:00",
}

GENOME = {
    "version": 1,
    "downsample": 2,
    "blocks": [
        {
            "convs": [
                {
                    "kind": "regular",
                    "kernel": 5,
                    "channels": 12,
                    "stride": 2,
                    "padding": "SAME",
                    "batch_norm": True,
                    "relu": True,
                    "reduction": 0.5,
                }
            ],
            "residual": False,
            "pool": {"kind": "max", "window": 2},
            "branch": 0,
        }
    ],
    "input_branch": 0,
    "dense": [32],
    "training": {"learning_rate": 0.003, "pruning": "weight", "sparsity": 0.5},
}


def row(index, **changes):
    """One completed trial; ``changes`` replace its keys."""
    base = {
        "index": index,
        "status": "completed",
        "reason": None,
        "genome_id": f"{index:08x}",
        "genome": GENOME,
        "parent": None,
        "edit": "random",
        "validation_error": 0.05,
        "model_size_nonzero": 1000,
        "model_size_dense": 4000,
        "model_size_encoded": 1300,
        "input_output": 800,
        "input_weights": 1500,
        "live_bytes": 900,
        "best_order": 850,
        "planned_arena": 860,
        "macs": 50_000,
        "sparsity": 0.75,
        "feasible": True,
        "seconds": 2.5,
        "on_front": False,
    }
    return base | changes


def failed(index, reason="loss became NaN at epoch 3"):
    """One failed trial, without figures."""
    gone = ("validation_error", "model_size_nonzero", "model_size_dense")
    gone += ("input_output", "input_weights", "live_bytes", "macs", "sparsity")
    gone += ("best_order", "planned_arena", "model_size_encoded")
    changes = dict.fromkeys(gone) | {"status": "failed", "reason": reason}
    return row(index, feasible=False, **changes)


def study(count, seed=0, *, ram=2048, flash=32768, size_log2=(7, 15), fail=0.08):
    """A run of ``count`` trials that look like a search that gets better.

    The front is found by comparing all pairs.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        if rng.random() < fail:
            rows.append(failed(index))
            continue
        skill = index / max(count - 1, 1)
        size = int(2 ** rng.uniform(*size_log2))
        memory = int(2 ** rng.uniform(7.5, 12.5))
        floor = 0.02 + 0.5 * np.exp(-np.log2(size) / 2.2)
        error = floor * (1 + 2 * rng.exponential() * (1.2 - skill))
        error = min(0.9, error * (1 + 150 / memory))
        rows.append(
            row(
                index,
                parent=int(rng.integers(index)) if index else None,
                edit="channels" if index > 8 else "random",
                validation_error=float(np.round(error * 360) / 360),
                model_size_nonzero=size,
                model_size_dense=size * 4,
                model_size_encoded=size + size // 3,
                input_output=memory,
                input_weights=memory + size // 3,
                live_bytes=int(memory * 1.1),
                best_order=int(memory * 1.05),
                planned_arena=int(memory * 1.06),
                macs=size * 40,
                feasible=memory <= ram and size <= flash,
                seconds=float(rng.uniform(1, 5)),
            )
        )
    return mark_front(rows)


def mark_front(rows):
    """Sets ``on_front`` by brute force."""

    def point(r):
        return r["validation_error"], r["model_size_nonzero"], r["input_output"]

    done = [r for r in rows if r["status"] == "completed"]
    for r in done:
        r["on_front"] = not any(
            all(a <= b for a, b in zip(point(o), point(r), strict=True))
            and point(o) != point(r)
            for o in done
        )
    return rows


def stopped(index, predicted=0.5):
    """One trial that was stopped early."""
    reason = f"after 10 of 30 epochs: predicted validation error {100 * predicted} %"
    return failed(index, reason) | {
        "status": "stopped",
        "predicted_error": predicted,
        "validation_curve": [0.9, 0.6],
    }
