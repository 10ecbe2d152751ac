"""Architectures as data: genomes, their shapes, text, edits and features."""

from spjax.genomes.bounds import Bounds, check_within
from spjax.genomes.canonical import canonical
from spjax.genomes.distance import distance, embedding
from spjax.genomes.errors import GenomeError
from spjax.genomes.features import Features, feature_names, features
from spjax.genomes.flat import Gene, flat_space, from_flat, to_flat
from spjax.genomes.genome import (
    CONV_KINDS,
    MAGNITUDE_KINDS,
    NOISY_KINDS,
    PADDINGS,
    POOL_KINDS,
    PRUNING_KINDS,
    Block,
    Conv,
    Genome,
    Pool,
    Training,
)
from spjax.genomes.morphs import MORPHS, PRUNING_MORPHS, morph
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
    "MAGNITUDE_KINDS",
    "MORPHS",
    "NOISY_KINDS",
    "PADDINGS",
    "POOL_KINDS",
    "PRUNING_KINDS",
    "PRUNING_MORPHS",
    "Block",
    "BlockShapes",
    "Bounds",
    "Conv",
    "Features",
    "Gene",
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
    "distance",
    "embedding",
    "feature_names",
    "features",
    "flat_space",
    "from_flat",
    "from_json",
    "genome_id",
    "morph",
    "random_genome",
    "reduced_channels",
    "to_flat",
    "to_json",
    "validate",
]
