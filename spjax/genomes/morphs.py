"""Morphs: a genome's neighbours, one named edit away.

SpArSe proposes new configurations as morphs of good ones (Fedorov et al., 2019); a
child then inherits its parent's weights. The edits are listed in `MORPHS`, and those
that touch the pruning only, which its second stage uses, in `PRUNING_MORPHS`.
"""

from collections.abc import Sequence

import numpy as np

from spjax.genomes.bounds import Bounds, check_within
from spjax.genomes.canonical import canonical
from spjax.genomes.edits import EDITS
from spjax.genomes.errors import GenomeError, show
from spjax.genomes.genome import Genome
from spjax.genomes.shapes import Shape
from spjax.genomes.validate import validate

MORPHS: tuple[str, ...] = tuple(EDITS)
PRUNING_MORPHS: tuple[str, ...] = ("sparsity", "pruning")


def morph(
    rng: np.random.Generator,
    genome: Genome,
    input_shape: Shape,
    bounds: Bounds | None = None,
    names: Sequence[str] | None = None,
) -> tuple[Genome, str]:
    """Makes one random edit.

    Every edit that applies is as likely as the next, wherever it may act.

    Args:
      rng: source of randomness; the child depends on nothing else.
      genome: the parent, valid for the image.
      input_shape: (height, width, channels) of the raw image.
      bounds: the space; None for the default `Bounds`.
      names: the edits to choose from; None for all of `MORPHS`.

    Returns:
      The child and the name of the edit. The child is canonical, valid, within the
      bounds and differs from the canonical parent.

    Raises:
      GenomeError: if the parent is not valid, a name is unknown, or no edit applies.
    """
    bounds = bounds or Bounds()
    names = MORPHS if names is None else tuple(names)
    for name in names:
        if name not in MORPHS:
            raise GenomeError(
                f"names holds {show(name)}, which is no edit: use {', '.join(MORPHS)}"
            )
    validate(genome, input_shape)
    parent = canonical(genome)
    for i in rng.permutation(len(names)):
        for candidate in EDITS[names[i]](rng, parent, bounds):
            child = _accepted(candidate, input_shape, bounds)
            if child is not None and child != parent:
                return child, names[i]
    raise GenomeError(
        f"none of the edits {', '.join(names) or '(no names)'} leads to another "
        f"valid genome within the bounds: widen the bounds or allow more edits"
    )


def _accepted(candidate: Genome, input_shape: Shape, bounds: Bounds) -> Genome | None:
    try:
        child = canonical(candidate)
        validate(child, input_shape)
        check_within(child, bounds)
    except GenomeError:
        return None
    return child
