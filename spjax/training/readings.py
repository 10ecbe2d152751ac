"""One trained network, read at several thresholds.

Training leaves a network at the sparsity that its genome asks for. Removing more, in
the order in which its weights matter, costs no training: SpArSe's second stage. What
matters least is told by the size of a weight or a channel or, for the kinds with
noise, by log alpha, the ratio of noise to signal. The noise is that at the end of the
noisy training:

* ``variational``: the weights with the largest log alpha = log sigma^2 - log w^2 go,
  whichever layer they are in; the threshold is the smallest log alpha among them (3 in
  the paper);
* ``bayesian``: the groups with the largest log alpha go, until the network, compacted,
  keeps no more than the share of its kernels' weights that is asked for.

So that no layer runs dry, each keeps at least a quarter of what an even hand would
leave it: of the Erdos-Renyi-kernel share of its weights (Evci et al. 2020), or of the
share sqrt(1 - s) of its groups; and one in any case.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np

from spjax import genomes, networks, pruning
from spjax.training.noisy_layers import expand, log_alphas, noisy_layers
from spjax.training.sparsify import genome_masks

Noise = Mapping[str, np.ndarray]
_TINY = 1e-16  # as in ``pruning.sparse_vd.log_alpha``
_LEAST_SHARE = 0.25
# The batch norm that follows a convolution, by their names within a layer.
_NORMS = {"conv": "norm", "pointwise": "norm", "depthwise": "depthwise_norm"}


class Reading(NamedTuple):
    """Which weights a threshold leaves.

    Attributes:
      masks: bool NumPy arrays with the structure and shapes of the params.
      threshold: the smallest log alpha that was removed; None for magnitudes, and if
        nothing was.
    """

    masks: dict
    threshold: float | None


def noise_of(params: dict) -> dict[str, np.ndarray]:
    """What is kept of a noisy training's noise.

    Args:
      params: parameters of a noisy training.

    Returns:
      By path of the kernel, float32 arrays of its shape: the log variances of single
      weights; of weights in groups, the log alpha of their group.
    """
    return {
        f"{path}/kernel": np.asarray(expand(layer, np.asarray(log_alphas(layer))))
        if "scale" in layer
        else np.asarray(layer["log_sigma2"])
        for path, layer in noisy_layers(params)
    }


def read_at(
    genome: genomes.Genome,
    params: dict,
    sparsity: float,
    *,
    noise: Noise | None = None,
    previous: dict | None = None,
) -> Reading:
    """Masks of a trained network at a sparsity.

    Args:
      genome: its genome.
      params: plain parameters, concrete.
      sparsity: share removed, in [0, 1), as the genome's gene counts it.
      noise: of ``noise_of``, for a genome whose pruning has noise.
      previous: masks that hold already: what they removed does not come back.

    Returns:
      The reading. A genome without pruning is pruned by weight.
    """
    genes = genome.training
    if genes.pruning in genomes.NOISY_KINDS:
        if genes.pruning == "variational":
            masks, alphas = _by_weight(params, noise, sparsity)
        else:
            masks, alphas = _by_group(genome, params, noise, sparsity)
        if previous is not None:
            masks = jax.tree.map(np.logical_and, masks, previous)
        kernels = networks.flatten(masks)
        removed = [alpha[~kernels[path]] for path, alpha in alphas.items()]
        threshold = min((float(a.min()) for a in removed if a.size), default=None)
        return Reading(masks, threshold)
    if genes.pruning == "none":
        genes = dataclasses.replace(genes, pruning="weight")
    return Reading(genome_masks(genes, params, sparsity, previous), None)


def _by_weight(params: dict, noise: Noise, sparsity: float) -> tuple[dict, Noise]:
    kernels = networks.flatten(params)
    shares = pruning.erk_sparsities({p: x.shape for p, x in noise.items()}, sparsity)
    alphas, scores = {}, {}
    for path, log_sigma2 in noise.items():
        alphas[path] = log_sigma2 - np.log(np.square(kernels[path]) + _TINY)
        least = _LEAST_SHARE * pruning.host_kept(log_sigma2.size, shares[path])
        scores[path] = _spared(alphas[path], least)
    every = np.concatenate([score.ravel() for score in scores.values()])
    removed = min(round(sparsity * every.size), int(np.isfinite(every).sum()))
    order = np.argsort(-every, kind="stable")
    kept = np.ones(every.size, bool)
    kept[order[:removed]] = False
    sizes = np.cumsum([score.size for score in scores.values()])[:-1]
    parts = zip(scores.items(), np.split(kept, sizes), strict=True)
    masks = {path: part.reshape(score.shape) for (path, score), part in parts}
    return _tree(params, masks), alphas


def _by_group(
    genome: genomes.Genome, params: dict, noise: Noise, sparsity: float
) -> tuple[dict, Noise]:
    groups = {}
    for path, values in noise.items():
        scores = values[:, 0] if values.ndim == 2 else values[0, 0, 0]
        least = _LEAST_SHARE * math.sqrt(1 - sparsity) * scores.size
        groups[path] = _spared(scores, least)
    every = np.sort(np.concatenate(list(groups.values())))[::-1]
    every = every[np.isfinite(every)]
    weights = sum(values.size for values in noise.values())

    def masks_of(removed: int) -> dict:
        cut = every[removed - 1] if removed else np.inf
        return _tree(params, {p: _mask(noise[p], g < cut) for p, g in groups.items()})

    # Fewest groups that leave few enough weights: fewer weights the more groups go.
    low, high = 0, len(every)
    while low < high:
        middle = (low + high) // 2
        if _left(genome, params, masks_of(middle)) <= (1 - sparsity) * weights:
            high = middle
        else:
            low = middle + 1
    return masks_of(low), noise


def _left(genome: genomes.Genome, params: dict, masks: dict) -> int:
    """Weights that are not zero in the kernels of the compacted network."""
    variables = {"params": params, "batch_stats": _unit_stats(params)}
    small = networks.compact(genome, variables, masks)
    leaves = jax.tree_util.tree_leaves_with_path(small.variables["params"])
    return sum(np.count_nonzero(x) for path, x in leaves if path[-1].key == "kernel")


def _unit_stats(params: dict) -> dict:
    """Running statistics for the batch norms among the parameters; any would do."""
    if "scale" in params and "kernel" not in params:
        size = np.shape(params["scale"])
        return {"mean": np.zeros(size, np.float32), "var": np.ones(size, np.float32)}
    inner = {n: _unit_stats(v) for n, v in params.items() if isinstance(v, dict)}
    return {name: value for name, value in inner.items() if value}


def _mask(values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """A kernel's mask from that of its groups."""
    kept = kept[:, None] if values.ndim == 2 else kept
    return np.broadcast_to(kept, values.shape).copy()


def _spared(scores: np.ndarray, least: float) -> np.ndarray:
    """The same, but the lowest ones, at least one of them, are never removed."""
    out = np.array(scores, np.float32)
    best = np.argsort(out, axis=None, kind="stable")[: max(1, int(least))]
    out.flat[best] = -np.inf
    return out


def _tree(params: dict, kernels: Mapping[str, np.ndarray], path: str = "") -> dict:
    """Masks of all parameters; what follows a removed channel is removed with it."""
    out = {}
    for name, value in params.items():
        place = f"{path}/{name}".lstrip("/")
        if isinstance(value, dict):
            out[name] = _tree(value, kernels, place)
        else:
            out[name] = kernels.get(place, np.ones(np.shape(value), bool))
    # A channel without weights has no bias and no batch norm: it emits zero.
    if "bias" in out and np.ndim(out.get("kernel")) == 4:
        out["bias"] = out["kernel"].any((0, 1, 2))
    for layer, norm in _NORMS.items():
        if layer in out and norm in out:
            alive = out[layer]["kernel"].any((0, 1, 2))
            out[norm] = dict.fromkeys(out[norm], alive)
    return out
