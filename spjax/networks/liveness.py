"""Which channels of a trained network vary with the input, and which do not.

A channel whose every position has the same value c for every input is constant; with
c = 0 it is dead. Followed through the network in one pass, with v_i the constant of
input channel i and "varies" where it has none:

* linear layer (convolution, dense): output o is b_o + sum_i v_i sum_k w_kio if every
  varying input i has w_kio = 0 at all taps k, else it varies;
* batch norm: v g + (b - m g) with g = scale / sqrt(var + epsilon); b where g = 0;
* ReLU: max(v, 0); pooling: v; residual: 0 where both operands are 0, else varies.

The first rule holds for c other than 0 only where no window reaches into the zero
padding. So a nonzero constant is followed beyond a feature map only where all that
reads the map is free of borders: convolutions with VALID padding or a 1x1 kernel, 1x1
shortcuts and dense layers. Elsewhere it counts as varying.
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from spjax import genomes
from spjax.networks.batch_norm import EPSILON
from spjax.networks.files import flatten

# Arrays by path, such as ``block0_conv1/norm/scale``.
Flat = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Residual:
    """A residual of the trunk.

    Attributes:
      block: index of its block.
      entry: index of the map that is added.
      total: index of the map that holds the sum.
      shortcut: name of the linear 1x1 convolution on the way; None for the identity.
    """

    block: int
    entry: int
    total: int
    shortcut: str | None


class Trunk(NamedTuple):
    """The feature maps as a chain: layer j reads map j and writes map j + 1.

    Map 0 is the network's input; pooling keeps channels and makes no map of its own.

    Attributes:
      layers: name and gene of each convolutional layer.
      residuals: in order.
      ends: for each block the index of its last map.
    """

    layers: tuple[tuple[str, genomes.Conv], ...]
    residuals: tuple[Residual, ...]
    ends: tuple[int, ...]


class Values(NamedTuple):
    """Constants of all channels, float64; NaN where a channel varies.

    Attributes:
      maps: one array per map of the trunk, residual sums included.
      emitted: what each layer itself emits, by its name; the first half of a
        separable or downsampled layer as ``.../depthwise`` and ``.../reduce``.
    """

    maps: list[np.ndarray]
    emitted: dict[str, np.ndarray]


def dead_channels(genome: genomes.Genome, variables: dict) -> dict[str, np.ndarray]:
    """Finds the channels and units that are zero for every input.

    Args:
      genome: a valid genome.
      variables: its ``{"params": ..., "batch_stats": ...}``, nested dicts of arrays.

    Returns:
      For each layer but the classifier, by name (``block0_conv1``,
      ``block0_conv1/depthwise``, ``block0_conv1/reduce``, ``block0_shortcut``,
      ``dense0``, ``input_branch``, ...), a bool array [channels]: whether what it
      emits, batch norm and ReLU included and a residual's other operand not, is zero.

    Raises:
      ValueError: if the variables are not those of the genome.
    """
    values = evaluate(genome, *by_path(variables))
    return {name: value == 0 for name, value in values.emitted.items()}


def by_path(variables: dict) -> tuple[dict, dict]:
    """Parameters and running statistics as NumPy arrays by path."""
    return flatten(variables["params"]), flatten(variables.get("batch_stats", {}))


def trunk(genome: genomes.Genome, params: Flat) -> Trunk:
    """Lays out the maps of a genome's network."""
    layers, residuals, ends = [], [], []
    for b, block in enumerate(genome.blocks):
        entry = len(layers)
        layers += [(f"block{b}_conv{i}", conv) for i, conv in enumerate(block.convs)]
        ends.append(len(layers))
        if block.residual and len(block.convs) > 1:
            shortcut = f"block{b}_shortcut"
            present = f"{shortcut}/kernel" in params
            residuals.append(
                Residual(b, entry, entry + 2, shortcut if present else None)
            )
    return Trunk(tuple(layers), tuple(residuals), tuple(ends))


def evaluate(genome: genomes.Genome, params: Flat, stats: Flat) -> Values:
    """Follows constants from the input to the classifier.

    Args:
      genome: a valid genome.
      params: its parameters by path.
      stats: its running statistics by path.

    Returns:
      The constants.

    Raises:
      ValueError: if the variables are not those of the genome.
    """
    chain = trunk(genome, params)
    absorbing = _absorbing(chain)
    residuals = {residual.total: residual for residual in chain.residuals}
    v = np.full(_input_channels(chain, params), np.nan)
    maps, emitted = [v], {}
    for j, (name, gene) in enumerate(chain.layers):
        v = emitted[name] = _conv_layer(name, gene, maps[j], params, stats, emitted)
        if (residual := residuals.get(j + 1)) is not None:
            entry = maps[residual.entry]
            if residual.shortcut:
                entry = _linear(residual.shortcut, entry, gene.channels, params)
                emitted[residual.shortcut] = entry
            v = np.where((v == 0) & (entry == 0), 0.0, np.nan)
        maps.append(v if absorbing[j + 1] else np.where(v == 0, 0.0, np.nan))
    for name, units in branch_names(genome).items():
        source = maps[branch_source(name, chain)]
        emitted[name] = _relu(_linear(name, source, units, params))
    v = maps[-1]
    for name, units in dense_names(genome).items():
        v = emitted[name] = _relu(_linear(name, v, units, params))
    return Values(maps, emitted)


def branch_names(genome: genomes.Genome) -> dict[str, int]:
    """Side branches and their units, in the order in which they are concatenated."""
    blocks = {f"block{b}_branch": block.branch for b, block in enumerate(genome.blocks)}
    names = {"input_branch": genome.input_branch, **blocks}
    return {name: units for name, units in names.items() if units}


def branch_source(name: str, chain: Trunk) -> int:
    """Index of the map that a side branch reads."""
    block = name.removeprefix("block").removesuffix("_branch")
    return chain.ends[int(block)] if block.isdigit() else 0


def dense_names(genome: genomes.Genome) -> dict[str, int]:
    """Hidden dense layers and their units, in order."""
    return {f"dense{d}": units for d, units in enumerate(genome.dense)}


def taps(kernel: np.ndarray, inputs: int) -> np.ndarray:
    """A kernel as [taps, inputs, outputs]; a dense one on a map has a tap a pixel."""
    return kernel.reshape(-1, inputs, kernel.shape[-1])


def _absorbing(chain: Trunk) -> list[bool]:
    """For each map, whether all that reads it can take a constant into a bias."""
    absorbing = [g.kernel == 1 or g.padding == "VALID" for _, g in chain.layers]
    # Branches, shortcuts and dense layers have no borders. Neither has the identity:
    # a channel of it goes only where the sum's channel goes, too.
    return [*absorbing, True]


def _input_channels(chain: Trunk, params: Flat) -> int:
    name, gene = chain.layers[0]
    part = {"separable": "depthwise", "downsampled": "reduce"}.get(gene.kind, "conv")
    kernel = _get(params, f"{name}/{part}/kernel")
    return kernel.shape[3 if part == "depthwise" else 2]


def _conv_layer(
    name: str,
    gene: genomes.Conv,
    v: np.ndarray,
    params: Flat,
    stats: Flat,
    emitted: dict[str, np.ndarray],
) -> np.ndarray:
    def finish(v: np.ndarray, norm: str) -> np.ndarray:
        if gene.batch_norm:
            v = _batch_norm(f"{name}/{norm}", v, params, stats)
        return _relu(v) if gene.relu else v

    last = "conv"
    if gene.kind == "separable":
        v = finish(_depthwise(f"{name}/depthwise", v, params), "depthwise_norm")
        emitted[f"{name}/depthwise"] = v
        last = "pointwise"
    elif gene.kind == "downsampled":
        kept = genomes.reduced_channels(len(v), gene.reduction)
        v = emitted[f"{name}/reduce"] = _linear(f"{name}/reduce", v, kept, params)
    return finish(_linear(f"{name}/{last}", v, gene.channels, params), "norm")


def _linear(name: str, v: np.ndarray, outputs: int, params: Flat) -> np.ndarray:
    kernel = _get(params, f"{name}/kernel")
    inputs = kernel.shape[2] if kernel.ndim == 4 else kernel.shape[0]
    # A dense layer reads a map's channels once for each pixel.
    fits = inputs == len(v) or (kernel.ndim == 2 and inputs % len(v) == 0)
    if not fits or kernel.shape[-1] != outputs:
        _misfit(f"{name}/kernel", kernel.shape, f"{len(v)} inputs, {outputs} outputs")
    kernel = taps(kernel, len(v))
    varies = np.isnan(v)
    reads = np.any(kernel != 0, axis=0)
    constant = np.where(varies, 0.0, v) @ kernel.sum(0, dtype=np.float64)
    constant = constant + params.get(f"{name}/bias", 0.0)
    return np.where(reads[varies].any(0), np.nan, constant)


def _depthwise(name: str, v: np.ndarray, params: Flat) -> np.ndarray:
    kernel = _get(params, f"{name}/kernel")
    if kernel.shape[-1] != len(v):
        _misfit(f"{name}/kernel", kernel.shape, f"{len(v)} channels")
    kernel = kernel.reshape(-1, len(v))
    varies = np.isnan(v)
    constant = np.where(varies, 0.0, v) * kernel.sum(0, dtype=np.float64)
    constant = constant + params.get(f"{name}/bias", 0.0)
    return np.where(varies & np.any(kernel != 0, axis=0), np.nan, constant)


def _batch_norm(name: str, v: np.ndarray, params: Flat, stats: Flat) -> np.ndarray:
    wanted = ((params, "scale"), (params, "bias"), (stats, "mean"), (stats, "var"))
    scale, bias, mean, var = (
        _get(flat, f"{name}/{leaf}").astype(np.float64) for flat, leaf in wanted
    )
    gain = scale / np.sqrt(var + EPSILON)
    return np.where(gain == 0, bias, v * gain + (bias - mean * gain))


def _relu(v: np.ndarray) -> np.ndarray:
    return np.maximum(v, 0.0)


def _get(flat: Flat, path: str) -> np.ndarray:
    if path not in flat:
        raise ValueError(
            f"variables have no {path}, which the genome's network has: give the "
            f"variables that belong to this genome"
        )
    return flat[path]


def _misfit(path: str, shape: tuple[int, ...], need: str) -> None:
    raise ValueError(
        f"{path} has the shape {shape} and the genome's network needs {need} there: "
        f"give the variables that belong to this genome"
    )
