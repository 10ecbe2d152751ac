"""The frame of the HTML report: style, the few lines of script, and small elements.

Everything that comes from a run passes through `escape`; nothing is loaded from
outside the page.
"""

import html
from collections.abc import Sequence
from typing import NamedTuple

_STYLE = """
:root { color: #1f2933; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 1180px; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { margin: 2.4rem 0 .6rem; font-size: 1.2rem; }
h3 { margin: 0 0 .4rem; font-size: 1rem; } .faint { color: #616e7c; }
img { max-width: 100%; height: auto; } svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-size: .86rem; }
.wide { overflow-x: auto; }
th { text-align: left; cursor: pointer; border-bottom: 2px solid #9aa5b1;
  vertical-align: bottom; white-space: pre-line; }
th, td { padding: .25rem .6rem; } td { border-bottom: 1px solid #e4e7eb; }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th.n { text-align: right; } th[data-sort]::after { content: " ▴"; }
th[data-sort="-1"]::after { content: " ▾"; }
tr.pick td { background: #e6f4ea; font-weight: 600; } tr.dim td { color: #7b8794; }
.card { border: 1px solid #cbd2d9; border-radius: 8px; padding: .9rem 1.1rem;
  margin: .8rem 0; } .card.pick { border: 2px solid #2f855a; }
circle:hover { stroke: #1f2933; stroke-width: 2; }
.row { display: flex; flex-wrap: wrap; gap: 1.2rem; align-items: flex-start; }
dl { display: grid; grid-template-columns: max-content 1fr; margin: 0;
  gap: .15rem 1rem; }
dt { color: #616e7c; } dd { margin: 0; overflow-wrap: anywhere; }
summary { cursor: pointer; font-weight: 600; margin: .6rem 0; }
"""

# Sorts a table by a column; the choice outlives the reloads of a live page.
_SCRIPT = """
for (const table of document.querySelectorAll("table[id]")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const sort = (column, way) => {
    const key = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent;
    const order = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const difference = x - y;
      return way * (isNaN(difference) ? x.localeCompare(y) : difference);
    };
    body.append(...[...body.rows].sort(order));
    heads.forEach((h) => h.removeAttribute("data-sort"));
    heads[column].dataset.sort = way;
    sessionStorage.setItem(table.id, JSON.stringify([column, way]));
  };
  heads.forEach((head, column) => head.addEventListener("click", () =>
    sort(column, head.dataset.sort === "1" ? -1 : 1)));
  const kept = JSON.parse(sessionStorage.getItem(table.id) ?? "null");
  if (kept && kept[0] < heads.length) sort(...kept);
}
"""


class Cell(NamedTuple):
    """A table's cell: what is shown, and the number by which it is sorted."""

    text: str
    value: float | None = None
    numeric: bool = False


def escape(text: object) -> str:
    """Returns text that is safe inside an element or a quoted attribute."""
    return html.escape(str(text), quote=True)


def page(title: str, body: Sequence[str], refresh_seconds: int | None) -> str:
    """Returns the whole document.

    Args:
      title: of the page.
      body: elements, already escaped.
      refresh_seconds: the browser reloads the page so often; None for never.
    """
    refresh = (
        f'<meta http-equiv="refresh" content="{refresh_seconds}">\n'
        if refresh_seconds
        else ""
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{refresh}<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        "<body>\n"
        + "\n".join(body)
        + f"\n<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )


def table(
    name: str,
    heads: Sequence[str],
    lines: Sequence[Sequence[Cell]],
    classes: Sequence[str] | None = None,
) -> str:
    """Returns a sortable table.

    Args:
      name: the element's id.
      heads: one per column.
      lines: cells, one per head.
      classes: CSS class of each line.
    """
    numeric = [any(line[c].numeric for line in lines) for c in range(len(heads))]
    top = "".join(
        f"<th{' class=n' * number}>{escape(head)}</th>"
        for head, number in zip(heads, numeric, strict=True)
    )
    body = []
    for line, kind in zip(lines, classes or [""] * len(lines), strict=True):
        cells = "".join(
            f"<td{' class=n' * cell.numeric}{_value(cell)}>{escape(cell.text)}</td>"
            for cell in line
        )
        body.append(
            f'<tr class="{escape(kind)}">{cells}</tr>' if kind else f"<tr>{cells}</tr>"
        )
    return (
        f'<div class="wide"><table id="{escape(name)}"><thead><tr>{top}</tr></thead>\n'
        "<tbody>\n" + "\n".join(body) + "\n</tbody></table></div>"
    )


def facts(pairs: Sequence[tuple[str, object]]) -> str:
    """Returns a list of names and values; pairs without a value are left out."""
    items = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
        for name, value in pairs
        if value not in (None, "", [], {})
    )
    return f"<dl>{items}</dl>"


def _value(cell: Cell) -> str:
    if not cell.numeric:
        return ""
    # An empty value sorts last, whichever way the column is sorted.
    return f' data-v="{"" if cell.value is None else repr(float(cell.value))}"'
