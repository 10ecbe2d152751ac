"""The results of ``experiments.sparse_vd`` as Markdown tables."""

import json
import pathlib

import numpy as np


def table(path: str) -> str:
    """The results of a JSON-lines file as a Markdown table, means over seeds."""
    groups = {}
    for line in pathlib.Path(path).read_text().splitlines():
        row = json.loads(line)
        key = row["model"], row["method"], row["epochs"], json.dumps(row["flags"])
        groups.setdefault(key, {})[row["seed"]] = row  # a repeated seed counts once
    lines = [
        "| network | method | epochs | seeds | test error, % | compression, "
        "weights / nonzero weights | live weights | remaining architecture |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (model, method, epochs, _), rows in sorted(groups.items()):
        rows = [rows[seed] for seed in sorted(rows)]
        cells = (
            model,
            method,
            str(epochs),
            str(len(rows)),
            _mean([100 * r["test_error"] for r in rows], ".2f"),
            _mean([r["compression"] for r in rows], ".1f"),
            _mean([r["live_weights"] for r in rows], ".0f"),
            ", ".join(r["architecture"] for r in rows),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines + _thresholds(groups))


def _thresholds(groups):
    """The same trainings read at other thresholds, if there are any."""
    lines = [
        "",
        "| network | method | epochs | seeds | log alpha from | test error, % | "
        "compression |",
        "|---|---|---|---|---|---|---|",
    ]
    for (model, method, epochs, _), rows in sorted(groups.items()):
        by_threshold = {}
        for row in rows.values():
            for other in row.get("by_threshold", ()):
                ratio = row["weights"] / max(other["nonzero_weights"], 1)
                error = 100 * other["test_error"]
                by_threshold.setdefault(other["threshold"], []).append((error, ratio))
        for threshold, found in sorted(by_threshold.items()):
            errors, ratios = zip(*found, strict=True)
            cells = (model, method, str(epochs), str(len(found)), str(threshold))
            cells += _mean(errors, ".2f"), _mean(ratios, ".1f")
            lines.append(f"| {' | '.join(cells)} |")
    return lines if len(lines) > 3 else []


def _mean(values, form):
    spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
    return f"{np.mean(values):{form}} +- {spread:{form}}"
