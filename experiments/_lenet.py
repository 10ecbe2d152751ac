"""The two LeNets of the pruning papers, and what is left of them after pruning."""

import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from spjax.pruning import layers

_DENSE = {
    "plain": nn.Dense,
    "sparse_vd": layers.SparseVDDense,
    "bayesian_compression": layers.CompressedDense,
}
_CONV = {
    "plain": nn.Conv,
    "sparse_vd": layers.SparseVDConv,
    "bayesian_compression": layers.CompressedConv,
}


class LeNet300(nn.Module):
    """LeNet-300-100: three dense layers, 266,200 weights.

    Attributes:
      kind: ``plain``, ``sparse_vd`` or ``bayesian_compression`` layers.
    """

    kind: str = "plain"

    @nn.compact
    def __call__(self, x: jax.Array, **how: Any) -> jax.Array:
        """Maps images (N, 28, 28, 1) to logits (N, 10)."""
        dense = _DENSE[self.kind]
        x = x.reshape(len(x), -1)
        for i, width in enumerate((300, 100)):
            x = nn.relu(dense(width, name=f"dense_{i}")(x, **how))
        return dense(10, name="dense_2")(x, **how)


class LeNet5(nn.Module):
    """LeNet-5 as Caffe has it: 20 and 50 filters of 5x5, 500 units, 430,500 weights.

    Attributes:
      kind: ``plain``, ``sparse_vd`` or ``bayesian_compression`` layers.
    """

    kind: str = "plain"

    @nn.compact
    def __call__(self, x: jax.Array, **how: Any) -> jax.Array:
        """Maps images (N, 28, 28, 1) to logits (N, 10)."""
        conv = functools.partial(_CONV[self.kind], padding="VALID")
        dense = _DENSE[self.kind]
        for i, channels in enumerate((20, 50)):
            x = _max_pool(nn.relu(conv(channels, (5, 5), name=f"conv_{i}")(x, **how)))
        x = x.reshape(len(x), -1)
        x = nn.relu(dense(500, name="dense_0")(x, **how))
        return dense(10, name="dense_1")(x, **how)


MODELS = {"lenet_300_100": LeNet300, "lenet_5": LeNet5}


def _max_pool(x: jax.Array) -> jax.Array:
    """Two by two; as a reshape, whose gradient is faster on a CPU."""
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))


def remove_dead(params: Mapping[str, Any]) -> dict[str, Any]:
    """Zeroes weights that cannot reach the output, or see no live input.

    A unit without weights going out is dead, and so are the weights that lead to it.
    One without weights coming in is constant, and zero after ReLU if its bias is not
    positive; the weights that go out of it are then dead as well.

    Args:
      params: pruned ``params`` of one of the two networks, layers in order.

    Returns:
      The same tree with more zeros; the network's outputs are the same.
    """
    names = sorted(params)  # conv_0, conv_1, dense_0, ...
    out = {n: {k: np.array(v) for k, v in params[n].items()} for n in names}
    changed = True
    while changed:
        before = count(out)
        for first, second in zip(names[:-1], names[1:], strict=True):
            units = out[first]["kernel"].shape[-1]
            following = out[second]["kernel"]
            # Rows of a dense layer after a flatten go by pixel, then by channel.
            rows = following.reshape(-1, units, following.shape[-1])
            used = rows.any(axis=(0, 2))
            leading = out[first]["kernel"].reshape(-1, units)
            fed = leading.any(axis=0) | (out[first]["bias"] > 0)
            dead = ~(used & fed)
            out[first]["kernel"][..., dead] = 0
            out[first]["bias"][dead] = 0
            rows[:, dead] = 0
            out[second]["kernel"] = rows.reshape(following.shape)
        changed = count(out) != before
    return out


def count(params: Mapping[str, Any]) -> int:
    """Number of kernel weights that are not zero; biases are not counted."""
    return int(sum(np.count_nonzero(p["kernel"]) for p in params.values()))


def architecture(params: Mapping[str, Any]) -> str:
    """Live inputs of every dense layer and live channels of every convolution.

    As in the papers' tables: ``conv channels - ... - inputs of each dense layer``.
    """
    parts = []
    for name in sorted(params):
        kernel = np.asarray(params[name]["kernel"])
        axis = tuple(range(kernel.ndim - 1)) if name.startswith("conv") else (1,)
        parts.append(str(int(kernel.any(axis=axis).sum())))
    return "-".join(parts)
