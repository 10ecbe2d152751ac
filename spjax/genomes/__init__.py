"""Architectures as data: genomes, their shapes, text, edits and features."""

from spjax.genomes.bounds import Bounds, check_within
from spjax.genomes.canonical import canonical
from spjax.genomes.errors import GenomeError
from spjax.genomes.genome import (
    CONV_KINDS,
    PADDINGS,
    POOL_KINDS,
    PRUNING_KINDS,
    Block,
    Conv,
    Genome,
    Pool,
    Training,
)
from spjax.genomes.random_draw import random_genome
from spjax.genomes.shapes import (
    BlockShapes,
    block_shapes,
    classifier_features,
    deployed_shape,
    reduced_channels,
)
from spjax.genomes.text import from_json, genome_id, to_json
from spjax.genomes.validate import check_genes, validate

__all__ = [
    "CONV_KINDS",
    "PADDINGS",
    "POOL_KINDS",
    "PRUNING_KINDS",
    "Block",
    "BlockShapes",
    "Bounds",
    "Conv",
    "Genome",
    "GenomeError",
    "Pool",
    "Training",
    "block_shapes",
    "canonical",
    "check_genes",
    "check_within",
    "classifier_features",
    "deployed_shape",
    "from_json",
    "genome_id",
    "random_genome",
    "reduced_channels",
    "to_json",
    "validate",
]
