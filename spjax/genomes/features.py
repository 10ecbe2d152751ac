"""Genomes as vectors for surrogate models.

Each gene of the flat space becomes one column, scaled to [0, 1] between its bounds
(in the logarithm where steps are best taken there), or one column per option where
it is a choice of three or more names. A second vector tells which columns are active
so that kernels for conditional spaces can be built (Swersky, Duvenaud, Snoek, Hutter
and Osborne, Raiders of the Lost Architecture, 2014). Inactive columns hold 0.

Sparsity s is scaled by the logarithm of what remains, log(1 - s): from 0.9 to 0.98
a network loses four fifths of its weights, from 0 to 0.08 hardly any.
"""

import math
from typing import NamedTuple

import numpy as np

from spjax.genomes.bounds import Bounds, check_within
from spjax.genomes.canonical import canonical
from spjax.genomes.flat import Gene, Value, active_values, flat_space
from spjax.genomes.genome import Genome


class Features(NamedTuple):
    """A genome's vector.

    Attributes:
      values: float64 ``[d]`` in [0, 1]; 0 where inactive.
      active: bool ``[d]``; whether the genome has the column's gene.
    """

    values: np.ndarray
    active: np.ndarray


def features(genome: Genome, bounds: Bounds | None = None) -> Features:
    """The vector of a genome.

    Args:
      genome: a genome within the bounds (its canonical form is taken).
      bounds: the space; None for the default `Bounds`.

    Returns:
      Values and activity, as long as ``feature_names(bounds)``.

    Raises:
      GenomeError: if the genome is not within the bounds.
    """
    bounds = bounds or Bounds()
    genome = canonical(genome)
    check_within(genome, bounds)
    held = active_values(genome)
    values, active = [], []
    for gene in flat_space(bounds):
        width = len(gene_columns(gene))
        there = gene.name in held
        values += _scaled(gene, held[gene.name]) if there else [0.0] * width
        active += [there] * width
    return Features(np.array(values, np.float64), np.array(active, bool))


def feature_names(bounds: Bounds | None = None) -> tuple[str, ...]:
    """The name of each column: the gene's, with ``=option`` for one of several."""
    return tuple(name for gene in flat_space(bounds) for name in gene_columns(gene))


def gene_columns(gene: Gene) -> tuple[str, ...]:
    """The names of the columns that a gene takes."""
    if _is_named(gene):
        return tuple(f"{gene.name}={option}" for option in gene.choices)
    return (gene.name,)


def _is_named(gene: Gene) -> bool:
    return len(gene.choices) > 2 and isinstance(gene.choices[0], str)


def _scaled(gene: Gene, value: Value) -> list[float]:
    if _is_named(gene):
        return [float(value == option) for option in gene.choices]
    if gene.choices and not isinstance(gene.choices[0], float):
        # One of at most two: the place in the list says it all.
        return [float(gene.choices.index(value))]
    if gene.choices:
        return [_between(value, min(gene.choices), max(gene.choices))]
    if gene.bound == "sparsity":
        kept = [math.log1p(-s) for s in (value, gene.low, gene.high)]
        return [_between(*kept)]
    if gene.log:
        return [_between(*map(math.log, (value, gene.low, gene.high)))]
    return [_between(value, gene.low, gene.high)]


def _between(value: float, low: float, high: float) -> float:
    """Where the value lies from low to high; 0 if they are the same."""
    return (value - low) / (high - low) if high != low else 0.0
