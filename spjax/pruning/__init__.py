"""Pruning for any JAX model: masks, schedules and gradient transformations.

Three lines prune a model of any library that keeps its weights in a pytree::

    optimiser = pruning.magnitude(optax.adam(1e-3), sparsity=0.9)
    state = optimiser.init(params)
    # ... train as before; pruned weights are exactly zero
"""

from spjax.pruning.errors import PruningError
from spjax.pruning.grains import Block, Channel, NofM, Weight
from spjax.pruning.leaves import default_where
from spjax.pruning.magnitude import magnitude
from spjax.pruning.masking import apply_masks, compute_masks
from spjax.pruning.schedules import constant, cubic, cyclic, one_shot
from spjax.pruning.scores import magnitude_scores, random_scores, saliency_scores
from spjax.pruning.summary import LeafSummary, sparsity, summarise, summary
from spjax.pruning.transform import PruningState, masks

__all__ = [
    "Block",
    "Channel",
    "LeafSummary",
    "NofM",
    "PruningError",
    "PruningState",
    "Weight",
    "apply_masks",
    "compute_masks",
    "constant",
    "cubic",
    "cyclic",
    "default_where",
    "magnitude",
    "magnitude_scores",
    "masks",
    "one_shot",
    "random_scores",
    "saliency_scores",
    "sparsity",
    "summarise",
    "summary",
]
