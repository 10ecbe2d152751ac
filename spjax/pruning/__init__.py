"""Pruning for any JAX model: masks, schedules and gradient transformations.

Three lines prune a model of any library that keeps its weights in a pytree::

    optimiser = pruning.magnitude(optax.adam(1e-3), sparsity=0.9)
    state = optimiser.init(params)
    # ... train as before; pruned weights are exactly zero

The variational methods are in the modules ``sparse_vd`` (by weight) and
``bayesian_compression`` (by group), with Flax layers on them in ``layers``.
"""

import importlib
from typing import Any

from spjax.pruning import bayesian_compression, sparse_vd
from spjax.pruning.dynamic import rigl, sparse_evolution
from spjax.pruning.errors import PruningError
from spjax.pruning.grains import Block, Channel, NofM, Weight
from spjax.pruning.host import erk_sparsities, host_kept, host_masks
from spjax.pruning.leaves import default_where
from spjax.pruning.magnitude import magnitude
from spjax.pruning.masking import apply_masks, compute_masks
from spjax.pruning.schedules import constant, cubic, cyclic, kl_warm_up, one_shot
from spjax.pruning.scores import magnitude_scores, random_scores, saliency_scores
from spjax.pruning.static import fixed, straight_through
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
    "bayesian_compression",
    "compute_masks",
    "constant",
    "cubic",
    "cyclic",
    "default_where",
    "erk_sparsities",
    "fixed",
    "host_kept",
    "host_masks",
    "kl_warm_up",
    "layers",
    "magnitude",
    "magnitude_scores",
    "masks",
    "one_shot",
    "random_scores",
    "rigl",
    "saliency_scores",
    "sparse_evolution",
    "sparse_vd",
    "sparsity",
    "straight_through",
    "summarise",
    "summary",
]


def __getattr__(name: str) -> Any:
    """Imports ``layers``, and with it Flax, on first use."""
    if name == "layers":
        return importlib.import_module("spjax.pruning.layers")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
