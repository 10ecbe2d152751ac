"""The genes of a genome that have an effect, as a flat list.

Which genes are there depends on others: the second block's genes need a second
block, a pooling's window needs a pooling. Whatever treats a genome as a list of
values (bounds, the flat space, features) reads this one enumeration.
"""

from collections.abc import Iterator
from typing import NamedTuple

from spjax.genomes.genome import Block, Conv, Genome, Training


class ActiveGene(NamedTuple):
    """One gene that has an effect.

    Attributes:
      path: its place, such as ``blocks[1].convs[0].kernel``.
      value: what it holds.
      bound: the field of `Bounds` that limits it.
    """

    path: str
    value: int | float | str | bool
    bound: str


def active_genes(genome: Genome) -> Iterator[ActiveGene]:
    """Lists the active genes of a canonical genome.

    Counts are genes of their own (``num_blocks``), and a side branch is two: whether
    it is there (``has_branch``) and, if so, its units.

    Yields:
      The genes, in the order of the dataclasses.
    """
    yield ActiveGene("downsample", genome.downsample, "downsample")
    yield ActiveGene("num_blocks", len(genome.blocks), "num_blocks")
    for b, block in enumerate(genome.blocks):
        yield from _block(block, f"blocks[{b}].")
    yield from _branch(genome.input_branch, "input_branch", "has_input_branch")
    yield ActiveGene("num_dense", len(genome.dense), "num_dense")
    for d, units in enumerate(genome.dense):
        yield ActiveGene(f"dense[{d}].units", units, "dense_units")
    yield from _training(genome.training)


def _block(block: Block, path: str) -> Iterator[ActiveGene]:
    yield ActiveGene(f"{path}num_convs", len(block.convs), "num_convs")
    for c, conv in enumerate(block.convs):
        yield from _conv(conv, f"{path}convs[{c}].")
    if len(block.convs) > 1:
        yield ActiveGene(f"{path}residual", block.residual, "residual")
    yield ActiveGene(f"{path}pool.kind", block.pool.kind, "pool_kinds")
    if block.pool.kind in ("max", "average"):
        yield ActiveGene(f"{path}pool.window", block.pool.window, "pool_window")
    yield from _branch(block.branch, f"{path}branch", f"{path}has_branch")


def _conv(conv: Conv, path: str) -> Iterator[ActiveGene]:
    yield ActiveGene(f"{path}kind", conv.kind, "conv_kinds")
    for name in ("kernel", "channels", "stride", "batch_norm", "relu"):
        yield ActiveGene(path + name, getattr(conv, name), name)
    if conv.kernel > 1:
        yield ActiveGene(f"{path}padding", conv.padding, "paddings")
    if conv.kind == "downsampled":
        yield ActiveGene(f"{path}reduction", conv.reduction, "reduction")


def _branch(units: int, path: str, flag: str) -> Iterator[ActiveGene]:
    yield ActiveGene(flag, units > 0, "branches")
    if units:
        yield ActiveGene(f"{path}.units", units, "branch_units")


def _training(training: Training) -> Iterator[ActiveGene]:
    yield ActiveGene("training.learning_rate", training.learning_rate, "learning_rate")
    yield ActiveGene("training.pruning", training.pruning, "pruning")
    if training.pruning != "none":
        yield ActiveGene("training.sparsity", training.sparsity, "sparsity")
