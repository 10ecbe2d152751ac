"""What a genome's pruning gene removes.

``weight``: single weights of every kernel, by magnitude, shared out over the layers
by the Erdos-Renyi-kernel rule (Evci et al. 2020), which leaves small layers denser.

``channel``: whole output channels of convolutions and whole hidden units of dense
layers. What else feeds a removed channel is removed with it, so that it emits exactly
zero and can be cut out: the bias, the batch norm's scale and bias, and the 1x1 shortcut
that a residual adds to it. Not pruned by channel: the classifier (its outputs are the
classes) and the kernels whose channels another layer sets (depthwise, the 1x1
reduction).
"""

from collections.abc import Callable

import jax
import numpy as np

from spjax import genomes, pruning

_FIXED = ("classifier", "depthwise", "reduce")


def prunable_channels(path: str, leaf: jax.Array) -> bool:
    """Whether a leaf is a kernel whose output channels may be removed."""
    *_, owner, name = ("", *path.split("/"))
    return name == "kernel" and owner not in _FIXED and not owner.endswith("_shortcut")


def channel_ties(params: dict) -> Callable[[str, jax.Array], str | None]:
    """Tells which kernel's channel mask a bias, batch norm or shortcut follows.

    Args:
      params: a network's parameters (arrays or shapes), as ``networks`` names them.

    Returns:
      ``ties(path, leaf)`` for ``pruning.magnitude``: the kernel's path, or None.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    kernels = {
        path
        for key, leaf in leaves
        if prunable_channels(
            path := jax.tree_util.keystr(key, simple=True, separator="/"), leaf
        )
    }

    def ties(path: str, leaf: jax.Array) -> str | None:
        layer, _, owner = path.rpartition("/")[0].rpartition("/")
        if owner.endswith("_shortcut"):
            layer = f"{layer}/{owner.removesuffix('_shortcut')}_conv1".lstrip("/")
            owner = "norm"
        elif path.endswith("kernel"):
            return None
        owners = ("conv", "pointwise") if owner == "norm" else (owner,)
        for name in owners:
            if (kernel := f"{layer}/{name}/kernel".lstrip("/")) in kernels:
                return kernel
        return None

    return ties


def genome_masks(
    training: genomes.Training,
    params: dict,
    sparsity: float,
    previous: dict | None = None,
) -> dict:
    """Masks of a network at a moment of its training, on the host.

    Args:
      training: the genome's genes of pruning; their sparsity is not looked at.
      params: the network's parameters, concrete.
      sparsity: share removed at this moment, in [0, 1).
      previous: masks computed before: what they removed does not come back.

    Returns:
      Tree of NumPy bool masks with the shapes of the parameters.
    """
    if training.pruning == "none":
        return dense_masks(params)
    by_channel = training.pruning == "channel"
    masks = pruning.host_masks(
        params,
        sparsity,
        grain="channel" if by_channel else "weight",
        distribution="uniform" if by_channel else "erk",
        where=prunable_channels if by_channel else pruning.default_where,
        ties=channel_ties(params) if by_channel else None,
        previous=previous,
    )
    full = lambda p, m: np.broadcast_to(m, np.shape(p))  # noqa: E731
    return jax.tree.map(full, params, masks)


def dense_masks(params: dict) -> dict:
    """Masks that keep everything."""
    return jax.tree.map(lambda p: np.ones(np.shape(p), bool), params)
