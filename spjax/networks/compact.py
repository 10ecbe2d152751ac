"""Cuts dead channels out of a trained network: smaller tensors, same outputs.

A channel goes if it is constant (``liveness``) or nothing reads it, unless a genome
could not describe the network without it (``keep``). With K the kept and D the dropped
inputs of a linear layer, and c_i the constants,

    y_o = b_o + sum_i w_io * x_i
        = (b_o + sum_{i in D} c_i s_io) + sum_{i in K} w_io * x_i

where * is the convolution and s_io the sum of w_io over its taps. The sum over D goes
into the bias or, where a batch norm follows, is taken off its running mean. So, too,
passes what a separable layer's depthwise half makes of a dead channel (its bias,
through batch norm and ReLU) into the pointwise half: zero padding of a zero channel is
zero, hence its output is the same at the borders.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from spjax import genomes
from spjax.networks import liveness
from spjax.networks.files import flatten, unflatten
from spjax.networks.keep import Kept, choose, merged_kernel
from spjax.networks.liveness import Trunk, Values


class Compacted(NamedTuple):
    """What ``compact`` returns.

    Attributes:
      genome: the smaller network, canonical. Its pruning gene is ``none`` and its
        sparsity 0: what was to be pruned is. Channels, units and reductions may lie
        outside the bounds of a search.
      variables: its weights, NumPy arrays under the names they had.
      masks: the masks of what is left; None if none were given.
    """

    genome: genomes.Genome
    variables: dict
    masks: dict | None


def compact(
    genome: genomes.Genome,
    variables: dict,
    masks: dict | None = None,
    input_shape: tuple[int, int, int] | None = None,
) -> Compacted:
    """Removes the channels and units that contribute nothing, or constants only.

    Single weights that pruning removed stay, as zeros. A ``downsampled`` layer gets the
    reduction that leaves its remaining width, 1 - outputs / inputs, unless the old one
    does; it becomes ``regular`` where fewer inputs than outputs are left (``keep``).

    Args:
      genome: a valid genome.
      variables: its ``{"params": ..., "batch_stats": ...}``, nested dicts of float
        arrays.
      masks: bool masks with the structure of the params (scalar for an unmasked leaf),
        as training returns them; they are applied first. None: the weights' own zeros
        tell what is dead.
      input_shape: (H, W, C) of the raw image. Only a residual with strides and a 1x1
        shortcut gains from it: input and sum may then have equally many channels.

    Returns:
      The smaller genome, variables and masks. The logits are the same to float
      rounding, with the running statistics (``train=False``).

    Raises:
      ValueError: if the variables or masks are not those of the genome.
      GenomeError: if the genome does not fit the image.
    """
    genome = genomes.canonical(genome)
    if input_shape is not None:
        genomes.validate(genome, input_shape)
    params, stats = liveness.by_path(variables)
    flags = None if masks is None else _flags(masks, params)
    if flags is not None:
        params = {p: np.where(flags[p], x, np.zeros_like(x)) for p, x in params.items()}
    chain = liveness.trunk(genome, params)
    values = liveness.evaluate(genome, params, stats)
    kept = choose(genome, chain, values, params, input_shape)
    cut = _Cut(params, stats, flags)
    genes = [_cut_layer(cut, j, chain, values, kept) for j in range(len(chain.layers))]
    for residual in chain.residuals:
        if residual.shortcut:
            e, t = residual.entry, residual.total
            cut.linear(residual.shortcut, kept.maps[e], values.maps[e], kept.maps[t])
    _cut_dense(cut, genome, chain, values, kept)
    return Compacted(_small_genome(genome, chain, kept, genes), *cut.trees())


def _flags(masks: dict, params: dict) -> dict:
    flags = flatten(masks)
    for path in sorted(flags.keys() ^ params.keys()):
        raise ValueError(
            f"masks and variables differ at {path}: give the masks of these variables"
        )
    return flags


class _Cut:
    """Copies of all tensors, and which rows and columns of them stay."""

    def __init__(self, params: dict, stats: dict, flags: dict | None) -> None:
        self.params, self._stats, self._flags = dict(params), dict(stats), flags
        self._cuts: dict[str, tuple[np.ndarray | None, np.ndarray]] = {}

    def columns(self, name: str, columns: np.ndarray) -> None:
        """Cuts a layer whose channels do not mix: batch norm, depthwise."""
        self._cuts[name] = None, columns

    def linear(
        self,
        name: str,
        rows: np.ndarray,
        v: np.ndarray,
        columns: np.ndarray,
        norm: str | None = None,
        offset: np.ndarray | float = 0.0,
    ) -> None:
        """Cuts a layer that mixes channels, and the batch norm that follows it.

        The constants `v` of dropped rows, and an offset that kept ones have lost, go
        into the bias or the running mean.
        """
        lost = np.where(rows, offset, _constants(v))
        shift = lost @ self._sums(name, len(v))
        if norm:
            self._shift(self._stats, f"{norm}/mean", -shift)
            self.columns(norm, columns)
        else:
            self._shift(self.params, f"{name}/bias", shift)
        self._cuts[name] = rows, columns

    def reduction(
        self, name: str, rows: np.ndarray, v: np.ndarray, columns: np.ndarray
    ) -> np.ndarray:
        """Cuts a linear layer without bias; returns what its outputs have lost."""
        self._cuts[name] = rows, columns
        return np.where(rows, 0.0, _constants(v)) @ self._sums(name, len(v))

    def merge(self, name: str) -> None:
        """Puts a downsampled layer's two kernels into one."""
        kernel = f"{name}/conv/kernel"
        self.params[kernel] = merged_kernel(name, self.params)
        if self._flags is not None and self._flags[kernel].ndim:
            self._flags = {**self._flags, kernel: self.params[kernel] != 0}

    def trees(self) -> tuple[dict, dict | None]:
        """Variables and masks; layers that were not cut are gone."""
        params, stats = self._tree(self.params), self._tree(self._stats)
        masks = None if self._flags is None else self._tree(self._flags)
        return {"params": params, "batch_stats": stats}, masks

    def _sums(self, name: str, inputs: int) -> np.ndarray:
        kernel = self.params[f"{name}/kernel"]
        return liveness.taps(kernel, inputs).sum(0, dtype=np.float64)

    def _shift(self, flat: dict, path: str, shift: np.ndarray) -> None:
        if shift.any():
            flat[path] = (flat[path] + shift).astype(flat[path].dtype)

    def _tree(self, flat: dict) -> dict:
        cut = ((p, x, self._cuts.get(p.rpartition("/")[0])) for p, x in flat.items())
        return unflatten({p: _take(x, *c) for p, x, c in cut if c})


def _constants(v: np.ndarray) -> np.ndarray:
    # A channel that varies is dropped only where it is not read.
    return np.where(np.isnan(v), 0.0, v)


def _take(x: np.ndarray, rows: np.ndarray | None, columns: np.ndarray) -> np.ndarray:
    if x.ndim == 0:  # the mask of a leaf that is not masked
        return x
    if x.ndim > 1 and rows is not None:
        # A dense layer on a map has its channels once for each pixel.
        rows = np.tile(rows, x.shape[-2] // len(rows))
        x = np.compress(rows, x, axis=-2)
    return np.compress(columns, x, axis=-1)


def _cut_layer(
    cut: _Cut, j: int, chain: Trunk, values: Values, kept: Kept
) -> genomes.Conv:
    """Cuts one convolutional layer and returns its gene."""
    name, gene = chain.layers[j]
    rows, v, columns = kept.maps[j], values.maps[j], kept.maps[j + 1]
    gene = dataclasses.replace(gene, channels=int(columns.sum()))
    last, offset = f"{name}/conv", 0.0
    if gene.kind == "separable":
        last = f"{name}/pointwise"
        cut.columns(f"{name}/depthwise", rows)
        cut.columns(f"{name}/depthwise_norm", rows)
        v = values.emitted[f"{name}/depthwise"]
    elif kept.merges(j, name):
        cut.merge(name)
        gene = dataclasses.replace(gene, kind="regular")
    elif gene.kind == "downsampled":
        reduced = kept.reduced[name]
        offset = cut.reduction(f"{name}/reduce", rows, v, reduced)
        gene = _with_width(gene, int(rows.sum()), int(reduced.sum()))
        rows, v = reduced, values.emitted[f"{name}/reduce"]
    cut.linear(
        last, rows, v, columns, f"{name}/norm" if gene.batch_norm else None, offset
    )
    return gene


def _with_width(gene: genomes.Conv, inputs: int, width: int) -> genomes.Conv:
    if genomes.reduced_channels(inputs, gene.reduction) == width:
        return gene
    return dataclasses.replace(gene, reduction=1 - width / inputs)


def _cut_dense(
    cut: _Cut, genome: genomes.Genome, chain: Trunk, values: Values, kept: Kept
) -> None:
    """Cuts side branches, hidden layers and the classifier."""
    branches = liveness.branch_names(genome)
    for name in branches:
        j = liveness.branch_source(name, chain)
        if kept.units[name].any():
            cut.linear(name, kept.maps[j], values.maps[j], kept.units[name])
    rows, v = kept.maps[-1], values.maps[-1]
    for name in liveness.dense_names(genome):
        cut.linear(name, rows, v, kept.units[name])
        rows, v = kept.units[name], values.emitted[name]
    kernel = cut.params["classifier/kernel"]
    pixels = (len(kernel) - sum(len(kept.units[n]) for n in branches)) // len(rows)
    rows = np.concatenate([np.tile(rows, pixels), *(kept.units[n] for n in branches)])
    v = np.concatenate([np.tile(v, pixels), *(values.emitted[n] for n in branches)])
    cut.linear("classifier", rows, v, np.ones(kernel.shape[-1], bool))


def _small_genome(
    genome: genomes.Genome, chain: Trunk, kept: Kept, genes: list[genomes.Conv]
) -> genomes.Genome:
    units = {name: int(keep.sum()) for name, keep in kept.units.items()}
    blocks, start = [], 0
    for b, (block, end) in enumerate(zip(genome.blocks, chain.ends, strict=True)):
        branch = units.get(f"block{b}_branch", 0)
        convs = tuple(genes[start:end])
        blocks.append(dataclasses.replace(block, convs=convs, branch=branch))
        start = end
    small = dataclasses.replace(
        genome,
        blocks=tuple(blocks),
        input_branch=units.get("input_branch", 0),
        dense=tuple(units[name] for name in liveness.dense_names(genome)),
        training=dataclasses.replace(genome.training, pruning="none", sparsity=0.0),
    )
    return genomes.canonical(small)
