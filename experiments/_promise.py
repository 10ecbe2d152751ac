"""Promise against measurement: the table that a deployment ends with, and its JSON."""

from typing import Any

import numpy as np

from experiments import _firmware
from spjax import deploy
from spjax.deploy import emit

_NONE = "-"


def rows(
    measured: _firmware.Measured, model: emit.Model, schedule: str
) -> list[tuple[str, str, str, str]]:
    """The table: what, promised, measured, and a note.

    Args:
      measured: the firmware.
      model: the network's C.
      schedule: name of its schedule.
    """
    board, size, run = measured.firmware.board, measured.footprint, measured.run
    arena, encoded = f"{model.arena_bytes:,}", f"{model.encoded_bytes:,}"
    counted = "values, indices, biases, multipliers, shifts; in flash"
    table = [
        ("planned_arena, bytes", arena, f"{size.arena_bytes:,}", f"plan: {schedule}"),
        ("encoded weights, bytes", encoded, f"{size.weight_bytes:,}", counted),
    ]
    if run.stack_bytes is None:
        return table  # on the computer the rest is the computer's own
    static = _firmware.static_ram_bytes(measured, model)
    beside = static - model.arena_bytes
    static_note = "planned_arena" + (f" + {beside} to a whole word" if beside else "")
    used = size.static_ram_bytes + run.stack_bytes
    support = "start-up, harness, compiler's helpers; in flash"
    table[1:1] = [
        ("static RAM, bytes", f"{static:,}", f"{size.static_ram_bytes:,}", static_note),
        ("stack, bytes", _NONE, f"{run.stack_bytes:,}", "high-water mark"),
        ("RAM in all, bytes", f"<= {board.ram_bytes:,}", f"{used:,}", "static + stack"),
    ]
    limit = f"<= {board.flash_bytes:,}"
    table += [
        ("network's tables, bytes", _NONE, f"{size.constant_bytes:,}", "in flash"),
        ("network's code, bytes", _NONE, f"{size.code_bytes:,}", "in flash"),
        ("support, bytes", _NONE, f"{size.support_bytes:,}", support),
        ("flash in all, bytes", limit, f"{size.flash_bytes:,}", ""),
    ]
    return table + _times(measured)


def _times(measured: _firmware.Measured) -> list[tuple[str, str, str, str]]:
    board, run = measured.firmware.board, measured.run
    table = []
    note = "a cycle per instruction and data access, two per taken branch"
    if run.cycles is not None:
        least, most = run.cycles.min(), run.cycles.max()
        note = f"simavr, {least:,} to {most:,}; the wait for the line not counted"
        table.append(("cycles an image", _NONE, f"{run.cycles.mean():,.0f}", note))
        with_line = 1000 * run.cycles_with_line.mean() / board.clock_hz
        note = f"without the wait for the line; {with_line:,.0f} ms with it"
    if run.instructions is not None:
        mean = f"{run.instructions.mean():,.0f}"
        counted = f"QEMU, on {len(run.instructions)} images"
        table.append(("instructions an image", _NONE, mean, counted))
    seconds = deploy.estimated_seconds(run, board.clock_hz)
    if seconds is not None:
        clock = f"at {board.clock_hz / 1e6:g} MHz, {note}"
        table.append(("latency, ms (estimate)", _NONE, f"{1000 * seconds:,.1f}", clock))
    return table


def as_json(
    measured: _firmware.Measured, model: emit.Model, schedule: str
) -> dict[str, Any]:
    """The same figures for machines; bytes unless the name says otherwise."""
    size, run = measured.footprint, measured.run
    figures = {
        "board": measured.firmware.board.name,
        "schedule": schedule,
        "formats": dict(model.formats),
        "promised": {
            "planned_arena": model.arena_bytes,
            "static_ram": _firmware.static_ram_bytes(measured, model),
            "encoded_weights": model.encoded_bytes,
        },
        "measured": {
            "planned_arena": size.arena_bytes,
            "static_ram": size.static_ram_bytes,
            "stack": run.stack_bytes,
            "encoded_weights": size.weight_bytes,
            "tables": size.constant_bytes,
            "code": size.code_bytes,
            "support": size.support_bytes,
            "flash": size.flash_bytes,
        },
        "images": len(run.outputs),
    }
    for name in ("cycles", "cycles_with_line", "instructions"):
        counts = getattr(run, name)
        if counts is not None:
            figures["measured"][f"{name}_per_image"] = float(np.mean(counts))
    seconds = deploy.estimated_seconds(run, measured.firmware.board.clock_hz)
    if seconds is not None:
        figures["estimated_latency_seconds"] = seconds
    return figures


def text(table: list[tuple[str, str, str, str]]) -> str:
    """The table as text, columns aligned."""
    lines = [("", "promised", "measured", ""), *table]
    widths = [max(len(line[i]) for line in lines) for i in range(3)]
    return "\n".join(
        "  ".join(
            (
                what.ljust(widths[0]),
                promised.rjust(widths[1]),
                found.rjust(widths[2]),
                note,
            )
        ).rstrip()
        for what, promised, found, note in lines
    )
