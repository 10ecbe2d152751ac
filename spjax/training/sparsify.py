"""What a genome's pruning gene removes, as a wrapper of the optimiser.

``weight``: single weights of every kernel, by magnitude, shared out over the layers
by the Erdos-Renyi-kernel rule (Evci et al. 2020), which leaves small layers denser.

``channel``: whole output channels of convolutions and whole hidden units of dense
layers. The bias and the batch norm's scale and bias that belong to a removed channel
are removed with it, so that the channel emits exactly zero and can be cut out. Not
pruned by channel: the classifier (its outputs are the classes) and the kernels whose
channels another layer sets (depthwise, shortcut, the 1x1 reduction).

``none`` is ``weight`` with a sparsity of zero, so that both share one program.
"""

from collections.abc import Callable

import jax
import optax

from spjax import pruning

_FIXED = ("classifier", "depthwise", "reduce")


def prunable_channels(path: str, leaf: jax.Array) -> bool:
    """Whether a leaf is a kernel whose output channels may be removed."""
    *_, owner, name = ("", *path.split("/"))
    return name == "kernel" and owner not in _FIXED and not owner.endswith("_shortcut")


def channel_ties(params: dict) -> Callable[[str, jax.Array], str | None]:
    """Tells which kernel's channel mask a bias or batch norm follows.

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
        if path.endswith("kernel"):
            return None
        layer, _, owner = path.rpartition("/")[0].rpartition("/")
        owners = ("conv", "pointwise") if owner == "norm" else (owner,)
        for name in owners:
            if (kernel := f"{layer}/{name}/kernel".lstrip("/")) in kernels:
                return kernel
        return None

    return ties


def sparsify(
    inner: optax.GradientTransformation,
    params: dict,
    *,
    by_channel: bool,
    sparsity: jax.Array | float,
    begin: jax.Array | int,
    end: jax.Array | int,
    interval: jax.Array | int,
) -> optax.GradientTransformationExtraArgs:
    """Wraps an optimiser so that it prunes on the cubic schedule.

    Args:
      inner: the optimiser.
      params: the network's parameters (arrays or shapes), as ``networks`` names them.
      by_channel: whole channels instead of single weights.
      sparsity: final share removed, in [0, 1); this and the steps may be traced.
      begin: step at which pruning starts.
      end: step from which the masks are fixed.
      interval: steps from one computation of the masks to the next.

    Returns:
      The wrapped optimiser; ``pruning.masks`` reads the masks from its state.
    """
    return pruning.magnitude(
        inner,
        sparsity=pruning.cubic(sparsity, begin=begin, end=end),
        grain="channel" if by_channel else "weight",
        distribution="uniform" if by_channel else "erk",
        where=prunable_channels if by_channel else pruning.default_where,
        ties=channel_ties(params) if by_channel else None,
        begin=begin,
        end=end,
        interval=interval,
    )
