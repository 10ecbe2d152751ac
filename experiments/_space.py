"""The text of --space: another range or other choices for some genes.

``downsample=2;kernel=1..5;conv_kinds=regular,separable`` names attributes of
`genomes.Bounds`: a range by its ends or by its only value, choices with commas.
"""

import dataclasses
from typing import Any

from experiments import _cli
from spjax import genomes

_BOOLEANS = {"true": True, "false": False}


def parse_space(text: str) -> dict[str, Any]:
    """Reads what stands in --space.

    Args:
      text: as above; may be empty.

    Returns:
      Arguments of `genomes.Bounds`, which are yet to be checked by it.

    Raises:
      UsageError: if a gene is unknown or given twice, or a value cannot be read.
    """
    fields = {f.name: f.default for f in dataclasses.fields(genomes.Bounds)}
    known, found = ", ".join(sorted(set(fields) - {"pruning"})), {}
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not equals or name not in fields or name == "pruning" or name in found:
            raise _cli.UsageError(
                f"--space={text}: {part!r} should be GENE=VALUES, each gene once, of: "
                f"{known}. Kinds of pruning are given by --pruning"
            )
        try:
            found[name] = _values(value, fields[name])
        except ValueError as error:
            raise _cli.UsageError(f"--space={text}: {name}={value}: {error}") from error
    return found


def _values(text, default):
    kind = type(default[0])
    if kind in (bool, str):
        words = [word.strip() for word in text.split(",")]
        return tuple(_choice(word, default) for word in words)
    if len(default) != 2:  # The shares to choose from; all else is a range.
        return tuple(_number(word, kind) for word in text.split(","))
    low, _, high = text.partition("..")
    return _number(low, kind), _number(high or low, kind)


def _choice(word, default):
    boolean = type(default[0]) is bool
    known = _BOOLEANS if boolean else {name.lower(): name for name in default}
    if word.lower() not in known:
        raise ValueError(f"{word!r} is none of {', '.join(known)}")
    return known[word.lower()]


def _number(word, kind):
    try:
        return kind(word.strip())
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"{word!r} is not {what}; a range is LOW..HIGH") from None
