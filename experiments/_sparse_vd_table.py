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
        "| network | method | epochs | seeds | log alpha from | training error, % | "
        "test error, % | compression | remaining architecture |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (model, method, epochs, _), rows in sorted(groups.items()):
        by_threshold = {}
        for row in rows.values():
            for other in row.get("by_threshold", ()):
                figures = (
                    # Results of earlier versions are without the first and last.
                    100 * other.get("train_error", np.nan),
                    100 * other["test_error"],
                    row["weights"] / max(other["nonzero_weights"], 1),
                    other.get("architecture", "-"),
                )
                by_threshold.setdefault(other["threshold"], []).append(figures)
        for threshold, found in sorted(by_threshold.items()):
            seen, errors, ratios, left = zip(*found, strict=True)
            cells = (model, method, str(epochs), str(len(found)), str(threshold))
            cells += _mean(seen, ".2f"), _mean(errors, ".2f"), _mean(ratios, ".1f")
            cells += (", ".join(left),)
            lines.append(f"| {' | '.join(cells)} |")
    return lines if len(lines) > 3 else []


def _mean(values, form):
    if np.isnan(values).any():
        return "-"
    spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
    return f"{np.mean(values):{form}} +- {spread:{form}}"
