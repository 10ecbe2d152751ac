"""How far two genomes are apart, as a metric on a conditional space.

Each column x of the features is embedded in the plane (the arc kernel of Swersky et
al., 2014, with radius w and angle pi / 2):

    active:    (w sin(pi x / 2), w cos(pi x / 2))
    inactive:  (0, 0)

The distance is the Euclidean one between the embeddings, hence a metric on them. A
gene that only one genome has adds w^2 to its square whatever its value; one that both
have adds from 0 to 2 w^2. Columns of a choice of three or more names take
w^2 = 1/2, so that two different choices, which change two columns, add 2; all others
take w = 1.
"""

import numpy as np

from spjax.genomes.bounds import Bounds
from spjax.genomes.features import features, gene_columns
from spjax.genomes.flat import flat_space
from spjax.genomes.genome import Genome


def embedding(genome: Genome, bounds: Bounds | None = None) -> np.ndarray:
    """The arc embedding of a genome.

    Args:
      genome: a genome within the bounds.
      bounds: the space; None for the default `Bounds`.

    Returns:
      float64 ``[2 d]`` for d feature columns: all sines, then all cosines.

    Raises:
      GenomeError: if the genome is not within the bounds.
    """
    values, active = features(genome, bounds)
    widths = [len(gene_columns(gene)) for gene in flat_space(bounds)]
    radii = np.repeat([1.0 if width == 1 else 0.5**0.5 for width in widths], widths)
    angles = values * (np.pi / 2)
    arcs = np.concatenate([np.sin(angles), np.cos(angles)])
    return arcs * np.tile(radii * active, 2)


def distance(a: Genome, b: Genome, bounds: Bounds | None = None) -> float:
    """Distance of two genomes; 0 if and only if their canonical forms are equal.

    Args:
      a: a genome within the bounds.
      b: another.
      bounds: the space; None for the default `Bounds`.

    Returns:
      The Euclidean distance of their embeddings: symmetric, and never longer than
      the way by a third genome.

    Raises:
      GenomeError: if one of them is not within the bounds.
    """
    return float(np.linalg.norm(embedding(a, bounds) - embedding(b, bounds)))
