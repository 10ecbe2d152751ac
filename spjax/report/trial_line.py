"""The live line of one trial: fixed columns, so that a running log can be read down.

For instance, under a header whose memory model is ``input_output``::

     12  error   3.61 %  size     1,034 B nonzero  input_output     812 B  fits
     13  error   2.50 %  size     1,900 B nonzero  input_output   2,560 B  over: ...
"""

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from spjax.report import figures


def trial_line(row: Mapping[str, Any], header: Mapping[str, Any]) -> Text:
    """Returns the line of one trial.

    Args:
      row: the trial, completed, stopped early or failed.
      header: facts of the run; names the memory and size models and the limits.

    Returns:
      A styled text for ``rich``'s ``print``; ``str(line)`` is the same line without
      colour, with the same columns. It says error, model size and working memory
      with their models' names, whether the trial fits the board and, if not, which
      limits it breaks.
    """
    memory, size = figures.memory_key(header), figures.size_key(header)
    line = Text(f"{row['index']:>4}  ", no_wrap=False)
    if row.get("status") == "stopped":
        line.append("stopped", "yellow").append(f" {row.get('reason')}")
        return _tail(line, row)
    if row.get("status") != "completed":
        reason = " ".join(str(row.get("reason") or "no reason given").split())
        line.append("failed", "bold red").append(f": {reason}")
        return _tail(line, row)
    line.append("error ").append(f"{_percent(row):>7} %", "bold")
    label = size.removeprefix("model_size_")
    line.append("  size ").append(f"{_bytes(row, size):>9} B", "bold")
    line.append(f" {label}  {memory} ")
    line.append(f"{_bytes(row, memory):>7} B", "bold").append("  ")
    style = "green" if row.get("feasible") else "yellow"
    line.append(figures.fit_text(row, header), style)
    return _tail(line, row)


def _percent(row: Mapping[str, Any]) -> str:
    error = row.get("validation_error")
    return f"{100 * error:.2f}" if figures.is_number(error) else "?"


def _bytes(row: Mapping[str, Any], key: str) -> str:
    return f"{row[key]:,}" if figures.is_number(row.get(key)) else "?"


def _tail(line: Text, row: Mapping[str, Any]) -> Text:
    seconds, edit = row.get("seconds"), row.get("edit")
    if figures.is_number(seconds):
        line.append(f"  {seconds:.1f} s", "dim")
    if edit:
        line.append(f"  {edit}", "dim")
    return line
