"""The part of the genome space that a search may visit.

The defaults suit microcontrollers with a few KB of RAM. Ranges hold both ends.
"""

import dataclasses
from collections.abc import Callable

from spjax.genomes.active import active_genes
from spjax.genomes.canonical import round_learning_rate, round_sparsity
from spjax.genomes.errors import GenomeError, show
from spjax.genomes.genome import (
    CONV_KINDS,
    MAGNITUDE_KINDS,
    PADDINGS,
    POOL_KINDS,
    PRUNING_KINDS,
    Genome,
)
from spjax.genomes.validate import MAX_BLOCKS, MAX_CONVS, MAX_DENSE, MAX_INTEGER

IntRange = tuple[int, int]
FloatRange = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Bounds:
    """Ranges (lowest, highest) and choices of each gene.

    Genes without effect are never out of bounds: the padding of a 1x1 kernel, say.

    Attributes:
      downsample: side of the averaged square, in pixels; the image limits it too.
      num_blocks: number of blocks.
      num_convs: number of convolutions in a block.
      num_dense: number of hidden dense layers.
      conv_kinds: choices among `CONV_KINDS`.
      kernel: side of a kernel, in pixels.
      channels: output channels of a convolution.
      stride: step of a kernel, in pixels.
      paddings: choices among `PADDINGS`.
      batch_norm: choices of whether batch normalisation follows a convolution.
      relu: choices of whether a ReLU follows a convolution.
      reduction: choices of the share of channels a ``downsampled`` one removes.
      residual: choices of whether a block has a residual.
      pool_kinds: choices among `POOL_KINDS`.
      pool_window: side of a pooling window, in pixels; at least 2.
      branches: choices of whether a side branch is there.
      branch_units: units of a side branch that is there.
      dense_units: units of a hidden dense layer.
      learning_rate: peak learning rate; at most 3 significant digits.
      pruning: choices among `PRUNING_KINDS`; training takes a few times as long for
        those of `NOISY_KINDS`, which the default leaves out.
      sparsity: share of weights or channels removed; at most 3 decimals.
    """

    downsample: IntRange = (1, 4)
    num_blocks: IntRange = (1, 3)
    num_convs: IntRange = (1, 3)
    num_dense: IntRange = (0, 2)
    conv_kinds: tuple[str, ...] = CONV_KINDS
    kernel: IntRange = (1, 7)
    channels: IntRange = (1, 100)
    stride: IntRange = (1, 2)
    paddings: tuple[str, ...] = PADDINGS
    batch_norm: tuple[bool, ...] = (False, True)
    relu: tuple[bool, ...] = (False, True)
    reduction: tuple[float, ...] = (0.25, 0.5, 0.75)
    residual: tuple[bool, ...] = (False, True)
    pool_kinds: tuple[str, ...] = POOL_KINDS
    pool_window: IntRange = (2, 4)
    branches: tuple[bool, ...] = (False, True)
    branch_units: IntRange = (4, 100)
    dense_units: IntRange = (4, 200)
    learning_rate: FloatRange = (3e-4, 3e-2)
    pruning: tuple[str, ...] = MAGNITUDE_KINDS
    sparsity: FloatRange = (0.0, 0.98)

    def __post_init__(self) -> None:
        for name, (lowest, highest) in _INTEGER_RANGES.items():
            _check_range(self, name, lowest, highest, int)
        _check_range(self, "learning_rate", 0.0, 1.0, float, round_learning_rate)
        _check_range(self, "sparsity", 0.0, 0.999, float, round_sparsity)
        if self.learning_rate[0] == 0:
            raise GenomeError(
                f"bounds.learning_rate = {self.learning_rate} must begin above 0"
            )
        for name, allowed in _CHOICES.items():
            _check_choices(self, name, allowed)
        shares = self.reduction
        if type(shares) is not tuple or not shares or not all(map(_is_share, shares)):
            raise GenomeError(
                f"bounds.reduction = {show(shares)} must be a tuple of floats in "
                f"[0, 1), at least one"
            )
        _check_distinct(self, "reduction")
        if self.sparsity[0] == 0 and "none" not in self.pruning:
            raise GenomeError(
                "bounds.sparsity begins at 0, which is pruning 'none', and "
                "bounds.pruning lacks 'none': add it or begin the sparsity above 0"
            )


def check_within(genome: Genome, bounds: Bounds) -> None:
    """Checks that a canonical genome lies within bounds.

    Raises:
      GenomeError: naming the first gene that does not.
    """
    for path, value, name in active_genes(genome):
        allowed = getattr(bounds, name)
        inside = (
            allowed[0] <= value <= allowed[1] if name in RANGES else value in allowed
        )
        if not inside:
            raise GenomeError(
                f"{path} = {value!r} is out of bounds: {name} is {allowed!r}"
            )


_BOOLEANS = (False, True)
_INTEGER_RANGES = {
    "downsample": (1, MAX_INTEGER),
    "num_blocks": (1, MAX_BLOCKS),
    "num_convs": (1, MAX_CONVS),
    "num_dense": (0, MAX_DENSE),
    "kernel": (1, MAX_INTEGER),
    "channels": (1, MAX_INTEGER),
    "stride": (1, MAX_INTEGER),
    "pool_window": (2, MAX_INTEGER),
    "branch_units": (1, MAX_INTEGER),
    "dense_units": (1, MAX_INTEGER),
}
RANGES = frozenset({*_INTEGER_RANGES, "learning_rate", "sparsity"})
_CHOICES = {
    "conv_kinds": CONV_KINDS,
    "paddings": PADDINGS,
    "batch_norm": _BOOLEANS,
    "relu": _BOOLEANS,
    "residual": _BOOLEANS,
    "pool_kinds": POOL_KINDS,
    "branches": _BOOLEANS,
    "pruning": PRUNING_KINDS,
}


def _check_range(
    bounds: Bounds,
    name: str,
    lowest: float,
    highest: float,
    kind: type,
    rounded: Callable[[float], float] | None = None,
) -> None:
    ends = getattr(bounds, name)
    if (
        type(ends) is not tuple
        or [type(end) for end in ends] != [kind, kind]
        or not lowest <= ends[0] <= ends[1] <= highest
    ):
        raise GenomeError(
            f"bounds.{name} = {show(ends)} must be a tuple (lowest, highest) of "
            f"{kind.__name__} within {lowest} and {highest}"
        )
    if rounded and any(rounded(end) != end for end in ends):
        raise GenomeError(
            f"bounds.{name} = {show(ends)} is finer than the gene, which is rounded: "
            f"use {tuple(map(rounded, ends))}"
        )


def _check_choices(bounds: Bounds, name: str, allowed: tuple) -> None:
    choices = getattr(bounds, name)
    kind = type(allowed[0])
    if (
        type(choices) is not tuple
        or not choices
        or any(type(c) is not kind or c not in allowed for c in choices)
    ):
        raise GenomeError(
            f"bounds.{name} = {show(choices)} must be a tuple of choices among "
            f"{', '.join(map(repr, allowed))}, at least one"
        )
    _check_distinct(bounds, name)


def _check_distinct(bounds: Bounds, name: str) -> None:
    choices = getattr(bounds, name)
    if len(set(choices)) != len(choices):
        raise GenomeError(f"bounds.{name} = {show(choices)} repeats a choice")


def _is_share(x: object) -> bool:
    return type(x) is float and 0 <= x < 1
