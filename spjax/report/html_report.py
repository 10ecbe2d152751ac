"""``report.html``: one run on one self-contained page.

The facts of the run, the pictures of the front and of the progress, the table of the
front, one card per front point (picture of the architecture, learning curves, memory
by layer and over time, links to its files) and the table of all trials, sortable. A
live page reloads itself, and has quick pictures in place of the fine ones: it is
written every few trials, while workers wait.
"""

import base64
import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Any

from spjax.report import figures, style, words
from spjax.report.architecture import describe
from spjax.report.architecture_svg import architecture_svg
from spjax.report.charts_svg import curves_svg, memory_svg
from spjax.report.files import write_text
from spjax.report.front_plot import front_figure
from spjax.report.front_svg import front_svg
from spjax.report.html_page import Cell, escape, facts, page, table
from spjax.report.progress_plot import progress_figure
from spjax.report.table import number_text, trial_columns
from spjax.report.timeline_svg import timeline_svg

Rows = Sequence[Mapping[str, Any]]
Histories = Mapping[Any, Sequence[Mapping[str, Any]]]
Timelines = Mapping[Any, Mapping[str, Any]]


def write_html(
    path: str | os.PathLike,
    rows: Rows,
    header: Mapping[str, Any],
    *,
    history: Histories | None = None,
    layers: Histories | None = None,
    timelines: Timelines | None = None,
    live: bool = False,
    refresh_seconds: int = 15,
) -> None:
    """Writes the report, replacing the file in one step; see `html_report`.

    Raises:
      ReportError: if the header names an unknown model or the file cannot be
        written.
    """
    text = html_report(
        rows,
        header,
        history=history,
        layers=layers,
        timelines=timelines,
        live=live,
        refresh_seconds=refresh_seconds,
    )
    write_text(path, text)


def html_report(
    rows: Rows,
    header: Mapping[str, Any],
    *,
    history: Histories | None = None,
    layers: Histories | None = None,
    timelines: Timelines | None = None,
    live: bool = False,
    refresh_seconds: int = 15,
) -> str:
    """Returns the text of the report.

    Args:
      rows: all trials, failed ones too. A front row's ``files`` are linked.
      header: facts of the run.
      history: of each trial index, the dicts of its epochs; figures whose name has
        ``loss`` or ``error`` are drawn.
      layers: of each trial index, or (index, reading) of a further reading, the rows
        of its layers, each with ``name`` and the memory model of the run in bytes.
      timelines: by the same keys, who occupies the memory when; see `timeline_svg`.
      live: whether the page reloads itself.
      refresh_seconds: how often a live page does.

    Returns:
      An HTML document that needs no other file.
    """
    title = f"spjax: {words.task(header)}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="faint">{escape(words.trial_counts(rows, header))}'
        f"<br>{escape(words.pick_facts(rows, header))}"
        f"{'<br>running; this page reloads itself' if live else ''}</p>",
        f'<div class="row">{front_svg(rows, header)}<div>{_courses(rows)}</div></div>'
        if live
        else _image(front_figure(rows, header), "error against model size"),
        "<h2>Front</h2>",
        _front(rows, header),
    ]
    pick = figures.choose_pick(rows, header)
    for row in figures.front_of(rows, header):
        epochs = (history or {}).get(row["index"], ())
        reading = row.get("reading")
        key = (row["index"], reading) if reading else row["index"]
        parts = (layers or {}).get(key, ())
        times = (timelines or {}).get(key)
        body.append(_card(row, header, epochs, parts, times, row is pick))
    if not live:
        progress = _image(progress_figure(rows, header), "error by trial")
        body += [
            "<h2>Progress</h2>",
            progress,
            f'<div class="row">{_courses(rows)}</div>',
        ]
    body += [
        "<h2>All trials</h2>",
        _trials(rows, header),
        "<h2>Run</h2>",
        _run(header),
    ]
    return page(title, body, refresh_seconds if live else None)


def _courses(rows: Rows) -> str:
    """The hypervolume over trials and over time."""
    steps = [
        {"trial": row["index"], "hypervolume": row.get("hypervolume")}
        | ({"minutes": row["elapsed"] / 60} if row.get("elapsed") is not None else {})
        for row in rows
    ]
    timed = [
        dict(step)
        for step in steps
        if "minutes" in step and figures.is_number(step["hypervolume"])
    ]
    timed.sort(key=lambda step: step["minutes"])
    # Trials may end in another order than they were begun in.
    for before, step in itertools.pairwise(timed):
        step["hypervolume"] = max(step["hypervolume"], before["hypervolume"])
    return "".join(
        f"<div>{curves_svg(course, ['hypervolume'], along)}</div>"
        for course, along in ((steps, "trial"), (timed, "minutes"))
    )


def _image(figure: Any, label: str) -> str:
    data = base64.b64encode(style.png(figure)).decode("ascii")
    width = round(figure.get_figwidth() * 100)
    return (
        f'<img src="data:image/png;base64,{data}" width="{width}" '
        f'alt="{escape(label)}">'
    )


def _front(rows: Rows, header: Mapping[str, Any]) -> str:
    front = figures.front_of(rows, header)
    if not front:
        return "<p>No trial has been completed.</p>"
    pick = figures.choose_pick(rows, header)
    columns = trial_columns(front, header)
    heads = ["trial", *(c.head for c in columns), "fits", "architecture"]
    lines, classes = [], []
    for row in front:
        fits = figures.fit_text(row, header)
        lines.append(
            [
                _name(row),
                *(_figure(row, column) for column in columns),
                Cell("yes" if fits == "fits" else fits),
                Cell(describe(row.get("genome"))),
            ]
        )
        classes.append("pick" if row is pick else "" if fits == "fits" else "dim")
    return table("front", heads, lines, classes)


def _trials(rows: Rows, header: Mapping[str, Any]) -> str:
    if not rows:
        return "<p>No trial has finished yet.</p>"
    columns = trial_columns(rows, header)
    heads = ["trial", *(c.head for c in columns), "on front", "outcome"]
    heads += ["parent", "edit", "seconds", "architecture"]
    lines, classes = [], []
    for row in rows:
        failed = row.get("status") != "completed"
        outcome = figures.fit_text(row, header)
        if failed:
            outcome = f"{row['status']}: {row.get('reason') or 'no reason given'}"
        seconds = row.get("seconds")
        known = figures.is_number(seconds)
        lines.append(
            [
                _name(row),
                *(_figure(row, column) for column in columns),
                Cell("front" if row.get("on_front") else ""),
                Cell(outcome),
                _parent(row.get("parent")),
                Cell(str(row.get("edit") or "")),
                Cell(
                    f"{seconds:.1f}" if known else "", seconds if known else None, True
                ),
                Cell(describe(row.get("genome"))),
            ]
        )
        classes.append("dim" if failed or not row.get("feasible") else "")
    return table("trials", heads, lines, classes)


def _figure(row: Mapping[str, Any], column: Any) -> Cell:
    value = row.get(column.key)
    if not figures.is_number(value):
        return Cell("", None, True)
    return Cell(number_text(row, column), value, True)


def _name(row: Mapping[str, Any]) -> Cell:
    # Further readings of a network come after its own point.
    place = row["index"] + (row.get("reading") or 0) / 1000
    return Cell(figures.label_of(row), place, True)


def _parent(value: int | None) -> Cell:
    """A trial of the run, or, counted down from -1, of the one that it started from."""
    if value is not None and value < 0:
        return Cell(f"earlier {-1 - value}", value, True)
    return Cell("" if value is None else str(value), value, True)


def _card(
    row: Mapping[str, Any],
    header: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    layers: Sequence[Mapping[str, Any]],
    timeline: Mapping[str, Any] | None,
    is_pick: bool,
) -> str:
    """Returns what there is to see of one front point."""
    memory = figures.memory_key(header)
    key_names = sorted({key for epoch in history for key in epoch})
    charts = [
        curves_svg(history, [key for key in key_names if "loss" in key]),
        curves_svg(history, [key for key in key_names if "error" in key]),
        memory_svg(layers, memory, figures.limits(header).ram_bytes),
    ]
    ram = figures.limits(header).ram_bytes if memory == "planned_arena" else None
    over_time = timeline_svg(timeline, ram)
    classes = (header.get("dataset") or {}).get("num_classes")
    numbers = ", ".join(
        f"{column.head} {number_text(row, column)}"
        for column in trial_columns([row], header)
    )
    links = " · ".join(
        f'<a href="{escape(name)}">{escape(kind)}</a>'
        for kind, name in (row.get("files") or {}).items()
        if name and not os.path.isabs(name) and ":" not in name
    )
    fits = bool(row.get("feasible"))
    frame = "card pick" if is_pick else "card"
    return (
        f'<details class="{frame}"{" open" * fits}>'
        f"<summary>trial {figures.label_of(row)}: "
        f"{escape(figures.fit_text(row, header))}</summary>"
        f'<p class="faint">{escape(numbers)}</p>'
        f'<div class="wide">'
        f"{architecture_svg(row.get('genome'), classes, layers)}</div>"
        f'<div class="row">{"".join(charts)}</div>'
        f'<div class="wide">{over_time}</div>'
        f"<p>{links}</p></details>"
    )


def _run(header: Mapping[str, Any]) -> str:
    dataset, board = header.get("dataset") or {}, header.get("board") or {}
    scale = header.get("normalisation") or {}
    pairs = [(f"data set {key}", _plain(value)) for key, value in dataset.items()]
    pairs += [(f"board {key}", _plain(value)) for key, value in board.items()]
    pairs += [(f"normalisation {key}", _plain(value)) for key, value in scale.items()]
    for group in ("flags", "versions"):
        part = header.get(group) or {}
        pairs += [(f"{group[:-1]} {key}", _plain(value)) for key, value in part.items()]
    pairs += [(key, header.get(key)) for key in ("seed", "started", "finished")]
    meaning = facts(list(figures.MODELS.items()))
    return facts(pairs) + "<h2>What the figures mean</h2>" + meaning


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
