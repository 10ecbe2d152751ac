"""A sweep: the product of flag values, as cells.

``dataset=digits,mnist;seed=0,1,2`` means six cells, in the order in which nested
loops would visit them (the last flag fastest). A value that holds ``,`` or ``;`` is
quoted: ``dataset='folder:/my,images',digits``; within quotes everything counts, so a
value cannot hold its own kind of quote. Space around names and values is dropped.

Everything here is pure: text in, frozen dataclasses out.
"""

import dataclasses
import hashlib
import itertools
import json
import re
from collections.abc import Sequence

from launch.errors import LaunchError

Settings = tuple[tuple[str, str], ...]

# The launcher sets these for each cell itself.
_RESERVED = ("run_dir", "resume")
_NAME_LENGTH = 80


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of an experiment.

    Attributes:
      name: readable and fit for a folder; the same for the same experiment, settings
        and extra flags, and another for any others.
      experiment: module to run, such as ``experiments.search``.
      settings: the swept flags with this cell's values, in the sweep's order.
      extra: flags that all cells share, as they were given.
    """

    name: str
    experiment: str
    settings: Settings
    extra: tuple[str, ...] = ()

    def command(
        self, python: str, run_dir: str, more: Sequence[str] = ()
    ) -> tuple[str, ...]:
        """Returns the words of the command that runs this cell."""
        swept = (f"--{flag}={value}" for flag, value in self.settings)
        shared = (*self.extra, f"--run_dir={run_dir}", *more)
        return (python, "-m", self.experiment, *swept, *shared)


def make_cells(
    sweep: str, experiment: str, extra: Sequence[str] = ()
) -> tuple[Cell, ...]:
    """Returns the cells of a sweep.

    Args:
      sweep: see the module.
      experiment: module to run.
      extra: flags for every cell, such as ``--trials=30``.

    Raises:
      LaunchError: if the sweep cannot be read, or an extra flag is no flag, is set
        by the launcher, or is swept as well.
    """
    extra = tuple(extra)
    parsed = parse_sweep(sweep)
    swept = {flag for flag, _ in parsed}
    for word in extra:
        match = re.match(r"--?([A-Za-z]\w*)(?:=|$)", word)
        if match is None:
            raise LaunchError(f"{word!r} after --: not a flag of the form --name=value")
        bare = match[1].removeprefix("no")
        for flag in {match[1], bare} & {*_RESERVED, *swept}:
            why = "swept as well" if flag in swept else "set by the launcher"
            raise LaunchError(f"{word!r} after --: --{flag} is {why}; remove one")
    grids = ([(flag, value) for value in values] for flag, values in parsed)
    return tuple(
        Cell(_name(experiment, settings, extra), experiment, settings, extra)
        for settings in itertools.product(*grids)
    )


def parse_sweep(text: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Reads ``flag=value,value;flag=value`` into (flag, values) pairs.

    Raises:
      LaunchError: naming what is wrong and where.
    """
    parsed: dict[str, tuple[str, ...]] = {}
    for part in _split(text, ";"):
        flag, equals, rest = part.partition("=")
        flag = flag.strip()
        if not re.fullmatch(r"[A-Za-z]\w*", flag) or not equals:
            raise LaunchError(
                f"--sweep={text}: {part.strip()!r} is not of the form flag=value,value "
                "(without dashes)"
            )
        if flag in _RESERVED:
            raise LaunchError(
                f"--sweep={text}: --{flag} is set by the launcher; sweep another flag"
            )
        if flag in parsed:
            raise LaunchError(
                f"--sweep={text}: {flag} comes twice; list all its values once"
            )
        values = tuple(_unquote(value, text) for value in _split(rest, ","))
        twice = [v for k, v in enumerate(values) if v in values[:k]]
        if twice:
            raise LaunchError(f"--sweep={text}: {flag}={twice[0]} comes twice")
        parsed[flag] = values
    return tuple(parsed.items())


def _split(text: str, separator: str) -> list[str]:
    """Splits at separators that stand outside quotes."""
    parts, quote = [""], ""
    for char in text:
        # A quote opens only where a value starts: it's may stand in a value.
        opens = char in "'\"" and re.search(r"(^|[=,])\s*$", parts[-1])
        if not quote and char == separator:
            parts.append("")
            continue
        if char == quote:
            quote = ""
        elif not quote and opens:
            quote = char
        parts[-1] += char
    if quote:
        raise LaunchError(f"--sweep={text}: the quote {quote} is not closed")
    return parts


def _unquote(value: str, text: str) -> str:
    value = value.strip()
    if value[:1] in ("'", '"') and value[:1]:
        quote, inner = value[0], value[1:-1]
        if len(value) < 2 or value[-1] != quote or quote in inner:
            raise LaunchError(
                f"--sweep={text}: {value} goes on after its quote is closed; quote the "
                "whole value"
            )
        return inner
    if not value:
        raise LaunchError(
            f"--sweep={text}: a value is empty; write '' if an empty value is meant"
        )
    return value


def _name(experiment: str, settings: Settings, extra: tuple[str, ...]) -> str:
    """Returns a readable name with a hash of everything that makes the cell."""
    readable = ",".join(f"{flag}={value}" for flag, value in settings)
    readable = re.sub(r"[^A-Za-z0-9._+=,-]+", "-", readable)[:_NAME_LENGTH]
    text = json.dumps([experiment, settings, extra])
    return f"{readable}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
