"""Genomes as JSON text, and their short names.

The text is an object with ``"version": 1`` and the fields of the dataclasses, nested
as they are. Every field must be there and none may be unknown: a text that was cut,
or that a later version wrote, is refused rather than guessed at. Integers stay
integers, and floats come back bit for bit (Python writes the shortest decimal that
reads back as the same double).
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping

from spjax.genomes.canonical import canonical
from spjax.genomes.errors import GenomeError, show
from spjax.genomes.genome import Block, Conv, Genome, Pool, Training
from spjax.genomes.validate import check_genes

VERSION = 1
_ID_DIGITS = 12


def to_json(genome: Genome, indent: int | None = None) -> str:
    """Writes a genome as JSON.

    Args:
      genome: a genome whose genes have acceptable types and ranges.
      indent: spaces per level; None for a single line.

    Returns:
      The text; ``from_json`` reads back an equal genome.

    Raises:
      GenomeError: if a gene has a wrong type or range.
    """
    check_genes(genome)
    return json.dumps(
        {"version": VERSION, **dataclasses.asdict(genome)},
        indent=indent,
        allow_nan=False,
    )


def from_json(text: str) -> Genome:
    """Reads a genome from JSON.

    Args:
      text: what `to_json` wrote.

    Returns:
      The genome, exactly as it was written (not made canonical).

    Raises:
      GenomeError: if the text is no JSON, has another version, lacks a field, has an
        unknown or a repeated one, or holds a gene of a wrong type or range.
    """
    try:
        tree = json.loads(text, object_pairs_hook=_unique)
    except GenomeError:
        raise
    # RecursionError: a text of thousands of nested brackets.
    except (TypeError, ValueError, RecursionError) as error:
        raise GenomeError(f"genome text is not JSON: {error}") from error
    if not isinstance(tree, dict):
        raise GenomeError(f"genome text must be a JSON object, not {_kind(tree)}")
    if "version" not in tree:
        raise GenomeError("genome text has no field 'version'")
    version = tree.pop("version")
    if type(version) is not int or version != VERSION:
        raise GenomeError(
            f"genome text has version {show(version)}: "
            f"this library reads version {VERSION}"
        )
    genome = _genome(tree)
    check_genes(genome)
    return genome


def genome_id(genome: Genome) -> str:
    """A short stable name: 12 hexadecimal digits of the canonical text's SHA-256.

    Genomes that differ only in genes without effect share it.
    """
    tree = json.loads(to_json(canonical(genome)))
    compact = json.dumps(tree, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(compact.encode("ascii")).hexdigest()[:_ID_DIGITS]


def _genome(tree: Mapping) -> Genome:
    fields = _fields(tree, Genome, "")
    blocks = [
        _block(entry, f"blocks[{b}]")
        for b, entry in enumerate(_list(fields["blocks"], "blocks"))
    ]
    return Genome(
        **fields
        | {
            "blocks": tuple(blocks),
            "dense": tuple(_list(fields["dense"], "dense")),
            "training": Training(**_fields(fields["training"], Training, "training")),
        }
    )


def _block(tree: object, path: str) -> Block:
    fields = _fields(tree, Block, path)
    convs = [
        Conv(**_fields(entry, Conv, f"{path}.convs[{c}]"))
        for c, entry in enumerate(_list(fields["convs"], f"{path}.convs"))
    ]
    pool = Pool(**_fields(fields["pool"], Pool, f"{path}.pool"))
    return Block(**fields | {"convs": tuple(convs), "pool": pool})


def _fields(tree: object, kind: type, path: str) -> dict:
    """The fields of one dataclass, each present once and none beside them."""
    if not isinstance(tree, dict):
        raise GenomeError(f"{path} must be a JSON object, not {_kind(tree)}")
    names = [field.name for field in dataclasses.fields(kind)]
    prefix = f"{path}." if path else ""
    for name in names:
        if name not in tree:
            raise GenomeError(f"genome text has no field '{prefix}{name}'")
    for name in tree:
        if name not in names:
            raise GenomeError(f"genome text has an unknown field {show(prefix + name)}")
    return dict(tree)


def _list(tree: object, path: str) -> list:
    if not isinstance(tree, list):
        raise GenomeError(f"{path} must be a JSON array, not {_kind(tree)}")
    return tree


def _kind(tree: object) -> str:
    kinds = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return "null" if tree is None else kinds.get(type(tree), "a number")


def _unique(pairs: list[tuple[str, object]]) -> dict:
    tree = dict(pairs)
    if len(tree) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise GenomeError(f"genome text has the field {show(twice)} twice")
    return tree
