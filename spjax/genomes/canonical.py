"""One genome per network: genes without effect get a fixed value.

Two genomes that build the same network and train it alike should be one point to a
search. `canonical` maps each genome to a representative:

* ``reduction`` of a convolution that is not ``downsampled``, ``window`` of a pooling
  that has none, ``residual`` of a block with one convolution: to the default;
* ``padding`` of a 1x1 kernel: to SAME, since ceil(n / s) = floor((n - 1) / s) + 1;
* a pooling of window 1 is the identity: kind ``none``;
* ``sparsity`` 0 and pruning ``none`` are the same thing: both are set;
* ``learning_rate`` is rounded to 3 significant digits and ``sparsity`` to 3 decimals.

Genes that shape the network are never rounded, so the network stays the same.
"""

import dataclasses

from spjax.genomes.genome import Block, Conv, Genome, Pool, Training
from spjax.genomes.validate import check_genes

SPARSITY_DECIMALS = 3
LEARNING_RATE_DIGITS = 3


def canonical(genome: Genome) -> Genome:
    """Fixes the genes that have no effect.

    Args:
      genome: a genome whose genes have acceptable types and ranges.

    Returns:
      The representative genome: the same network, trained alike (up to the rounding
      of the training genes). ``canonical(canonical(g)) == canonical(g)``.

    Raises:
      GenomeError: if a gene has a wrong type or range.
    """
    check_genes(genome)
    return dataclasses.replace(
        genome,
        blocks=tuple(_block(block) for block in genome.blocks),
        training=_training(genome.training),
    )


def round_sparsity(sparsity: float) -> float:
    """Rounds to 3 decimals and stays below 1."""
    highest = 1 - 10**-SPARSITY_DECIMALS
    return round(min(float(sparsity), highest), SPARSITY_DECIMALS)


def round_learning_rate(rate: float) -> float:
    """Rounds to 3 significant digits."""
    return float(f"{float(rate):.{LEARNING_RATE_DIGITS}g}")


def _block(block: Block) -> Block:
    return dataclasses.replace(
        block,
        convs=tuple(_conv(conv) for conv in block.convs),
        residual=block.residual and len(block.convs) > 1,
        pool=_pool(block.pool),
    )


def _conv(conv: Conv) -> Conv:
    active = conv.kind == "downsampled"
    # Adding 0.0 turns a negative zero, which prints differently, into zero.
    return dataclasses.replace(
        conv,
        padding="SAME" if conv.kernel == 1 else conv.padding,
        reduction=float(conv.reduction) + 0.0 if active else Conv.reduction,
    )


def _pool(pool: Pool) -> Pool:
    if pool.kind in ("max", "average") and pool.window > 1:
        return pool
    return Pool("global_average" if pool.kind == "global_average" else "none")


def _training(training: Training) -> Training:
    rate = round_learning_rate(training.learning_rate)
    sparsity = round_sparsity(training.sparsity)
    if training.pruning == "none" or sparsity == 0:
        return Training(rate, "none", 0.0)
    return Training(rate, training.pruning, sparsity)
