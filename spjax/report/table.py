"""The front as a table: for the terminal (rich) and for documents (Markdown)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich import box
from rich.table import Table
from rich.text import Text

from spjax.report import figures, words
from spjax.report.architecture import describe


class _Column(NamedTuple):
    head: str
    key: str
    scale: float
    form: str


_TEXT = ("pick", "architecture", "fits")
_SHOWN = ("validation_error", "test_error")  # On narrow screens too.


def trial_columns(
    rows: Sequence[Mapping[str, Any]], header: Mapping[str, Any]
) -> list[_Column]:
    """Returns the columns of numbers that a table of these rows has.

    The test error has a column only if a row has one; the working memory is the
    header's model, under its name.
    """
    memory = figures.memory_key(header)
    columns = [_Column("error %", "validation_error", 100, ".2f")]
    if any(figures.is_number(row.get("test_error")) for row in rows):
        columns.append(_Column("test error %", "test_error", 100, ".2f"))
    sizes = {
        f"model_size_{name}": _Column(f"{name} size B", f"model_size_{name}", 1, ",")
        for name in figures.SIZE_MODELS
    }
    return [
        *columns,
        sizes.pop(figures.size_key(header)),
        _Column(f"{memory} B", memory, 1, ","),
        *sizes.values(),
        _Column("MACs", "macs", 1, ","),
        _Column("sparsity", "sparsity", 1, ".2f"),
    ]


def number_text(row: Mapping[str, Any], column: _Column) -> str:
    """Returns a row's cell under a column of numbers; ``?`` if it has none."""
    value = row.get(column.key)
    if not figures.is_number(value):
        return "?"
    return format(value * column.scale, column.form)


def front_cells(
    rows: Sequence[Mapping[str, Any]],
    header: Mapping[str, Any],
    *,
    details: bool = True,
) -> tuple[list[str], list[list[str]]]:
    """Returns the heads and the cells of the table of the front.

    Args:
      rows: trials; those on the front are shown, lowest validation error first.
      header: facts of the run.
      details: whether dense size, MACs and sparsity have columns.

    Returns:
      ``(heads, lines)``; every line has one text per head. The heads of the figures
      that the board limits carry the limit, as in ``input_output B (max 2,048)``;
      ``fits`` says ``yes`` or ``no``; the pick for the board is marked ``★``.
    """
    front = figures.front_of(rows, header)
    pick = figures.choose_pick(rows, header)
    columns = trial_columns(front, header)
    if not details:
        shown = {*_SHOWN, figures.size_key(header), figures.memory_key(header)}
        columns = [c for c in columns if c.key in shown]
    heads = [_head_with_limit(column, header) for column in columns]
    heads = ["pick", "trial", *heads, "fits", "architecture"]
    lines = [
        ["★" if row is pick else "", figures.label_of(row)]
        + [number_text(row, column) for column in columns]
        + ["yes" if row.get("feasible") else "no", describe(row.get("genome"))]
        for row in front
    ]
    return heads, lines


def front_table(
    rows: Sequence[Mapping[str, Any]],
    header: Mapping[str, Any],
    *,
    width: int | None = None,
) -> Table:
    """Returns the front as a `rich.table.Table`; see `front_cells`.

    Args:
      rows: trials.
      header: facts of the run.
      width: characters that a line may have. Under 120, dense size, MACs and
        sparsity are left out and the architecture is cut to what fits on a line.
    """
    narrow = width is not None and width < 120
    heads, lines = front_cells(rows, header, details=not narrow)
    table = Table(
        title=Text(
            f"Front of {len(figures.trials_of(rows))} trials on {words.task(header)}",
            "bold",
        ),
        title_justify="left",
        caption=Text(
            "nonzero size: 1 byte per nonzero value, sparse indices not counted; "
            "encoded size: in flash, indices counted\n"
            + (
                "★ pick: the lowest error that fits the board"
                if any(line[0] for line in lines)
                else "no trial on the front fits the board"
            )
        ),
        caption_justify="left",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for place, head in enumerate(heads):
        # Short lines keep the numbers narrow and leave room to the architecture.
        name = "" if head == "pick" else head.replace(" (", "\n(")
        cells = [*name.split("\n"), *(line[place] for line in lines)]
        numbers = head != "architecture"
        table.add_column(
            Text(name),
            justify="left" if head in _TEXT else "right",
            overflow="ellipsis" if narrow else "fold",
            no_wrap=narrow or numbers,
            # Only the architecture gives way.
            min_width=max(map(len, cells)) if numbers else 12,
        )
    for line in lines:
        fits = line[heads.index("fits")] == "yes"
        style = "bold green" if line[0] else ("" if fits else "dim")
        # As `Text`, so that square brackets are no markup.
        table.add_row(*map(Text, line), style=style)
    return table


def front_markdown(rows: Sequence[Mapping[str, Any]], header: Mapping[str, Any]) -> str:
    """Returns the front as a Markdown table, for a README; see `front_cells`."""
    heads, lines = front_cells(rows, header)
    rule = [":--" if head in _TEXT else "--:" for head in heads]
    return "".join(
        "| " + " | ".join(_markdown(cell) for cell in line) + " |\n"
        for line in (heads, rule, *lines)
    )


def _head_with_limit(column: _Column, header: Mapping[str, Any]) -> str:
    limits = figures.limits(header)
    bounds = {
        figures.memory_key(header): limits.ram_bytes,
        figures.size_key(header): limits.flash_bytes,
    }
    bound = bounds.get(column.key)
    return column.head if bound is None else f"{column.head} (max {bound:,})"


def _markdown(cell: str) -> str:
    return " ".join(cell.replace("|", "\\|").split())
