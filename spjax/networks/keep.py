"""Which channels of a trained network must stay, for `compact`.

Needed are the channels that vary with the input (see ``liveness``) and that a needed
channel reads with a nonzero weight, from the logits backwards. The others go, except
for the least that makes the smaller network one that a genome can describe:

* one channel of a layer that has no other (side branches may lose all their units);
* where a residual has an identity shortcut, its input and its sum keep the same
  channels: those that either needs;
* where it has a 1x1 shortcut, input and sum must not come to equal shapes, which would
  mean an identity shortcut: one channel more stays, of the sum if it has one to spare;
* a ``downsampled`` layer's 1x1 reduction cannot have more outputs than inputs. Where
  fewer inputs are left, reduction and kernel are multiplied out into one kernel and
  the layer becomes ``regular``; unless that kernel would have more nonzero weights than
  the one it replaces: then as many inputs stay as the reduction has outputs.

The last three only ever add channels, and a network with all its channels meets them,
so meeting them in turn until nothing changes ends with sets that meet all of them.
What they add is constant, or nothing needed reads it.
"""

from typing import NamedTuple

import numpy as np

from spjax import genomes
from spjax.networks import liveness
from spjax.networks.liveness import Flat, Trunk, Values


class Kept(NamedTuple):
    """Bool arrays, True for the channels that stay.

    Attributes:
      maps: one array per map of the trunk.
      reduced: outputs of the 1x1 reductions, by layer.
      units: units of side branches and hidden dense layers, by layer.
    """

    maps: list[np.ndarray]
    reduced: dict[str, np.ndarray]
    units: dict[str, np.ndarray]

    def merges(self, j: int, name: str) -> bool:
        """Whether reduction and kernel of layer j are multiplied out."""
        return name in self.reduced and self.reduced[name].sum() > self.maps[j].sum()


def choose(
    genome: genomes.Genome,
    chain: Trunk,
    values: Values,
    params: Flat,
    input_shape: tuple[int, int, int] | None,
) -> Kept:
    """Chooses the channels that stay.

    Args:
      genome: a valid genome.
      chain: its trunk.
      values: its channels' constants.
      params: its parameters by path.
      input_shape: (H, W, C) of the raw image; None if it is not known.

    Returns:
      The channels that stay.

    Raises:
      GenomeError: if the genome does not fit the image.
    """
    kept = _needed(genome, chain, values, params)
    same_sides = _same_sides(genome, chain, input_shape)
    counts = None
    while counts != (counts := [int(keep.sum()) for keep in kept.maps]):
        _meet_residuals(chain, kept.maps, same_sides)
        _meet_reductions(chain, kept, params)
    return kept


def merged_kernel(name: str, params: Flat) -> np.ndarray:
    """A downsampled layer's kernel as it acts on the inputs of its reduction.

    Nothing nonlinear and no bias lies between the two, so that zero padding before the
    reduction is zero padding after it.
    """
    reduce = params[f"{name}/reduce/kernel"][0, 0]
    return np.einsum("cm,hwmo->hwco", reduce, params[f"{name}/conv/kernel"])


def _needed(genome: genomes.Genome, chain: Trunk, values: Values, params: Flat) -> Kept:
    """The channels that matter to the logits, and at least one of each layer."""
    kept = Kept([np.ones(len(v), bool) for v in values.maps], {}, {})
    varies = {name: np.isnan(v) for name, v in values.emitted.items()}
    reads = [np.zeros(len(v), bool) for v in values.maps]
    _need_units(genome, chain, varies, params, kept.units, reads)
    residuals = {residual.total: residual for residual in chain.residuals}
    for j in reversed(range(len(chain.layers))):
        total = _at_least_one(reads[j + 1] & np.isnan(values.maps[j + 1]))
        kept.maps[j + 1] = total
        if (residual := residuals.get(j + 1)) is not None:
            shortcut = residual.shortcut
            entry = _rows_read(shortcut, total, params) if shortcut else total
            reads[residual.entry] |= entry
        name, gene = chain.layers[j]
        # A channel that is constant reads nothing, even if it is kept.
        outputs = total & varies[name]
        if gene.kind == "separable":
            read = _rows_read(f"{name}/pointwise", outputs, params)
            read &= varies[f"{name}/depthwise"]
        else:
            read = _rows_read(f"{name}/conv", outputs, params)
        if gene.kind == "downsampled":
            kept.reduced[name] = _at_least_one(read & varies[f"{name}/reduce"])
            read = _rows_read(f"{name}/reduce", kept.reduced[name], params)
        reads[j] |= read
    return kept


def _need_units(
    genome: genomes.Genome,
    chain: Trunk,
    varies: dict[str, np.ndarray],
    params: Flat,
    units: dict[str, np.ndarray],
    reads: list[np.ndarray],
) -> None:
    """Fills in the units needed, and which channels of the maps they read."""

    def read_map(j: int, pixels: np.ndarray) -> None:
        reads[j] |= pixels.reshape(-1, len(reads[j])).any(0)

    classes = params["classifier/kernel"].shape[-1]
    read = _rows_read("classifier", np.ones(classes, bool), params)
    for name, count in reversed(liveness.branch_names(genome).items()):
        read, of_branch = np.split(read, [len(read) - count])
        units[name] = of_branch & varies[name]
        source = liveness.branch_source(name, chain)
        read_map(source, _rows_read(name, units[name], params))
    for name in reversed(liveness.dense_names(genome)):
        units[name] = _at_least_one(read & varies[name])
        read = _rows_read(name, units[name], params)
    read_map(-1, read)


def _rows_read(name: str, outputs: np.ndarray, params: Flat) -> np.ndarray:
    """The inputs of a linear layer that some of its outputs depend on."""
    kernel = params[f"{name}/kernel"][..., outputs]
    return np.any(kernel != 0, axis=(*range(kernel.ndim - 2), -1))


def _same_sides(
    genome: genomes.Genome, chain: Trunk, input_shape: tuple[int, int, int] | None
) -> dict[int, bool]:
    """By block, whether a residual's sum may be as high and wide as its input.

    Without the image's shape it may, whatever the strides: a side of 1 stays 1.
    """
    blocks = [residual.block for residual in chain.residuals]
    if input_shape is None:
        return dict.fromkeys(blocks, True)
    shapes = genomes.block_shapes(genome, input_shape)
    return {b: shapes[b].input[:2] == shapes[b].convs[1][:2] for b in blocks}


def _meet_residuals(
    chain: Trunk, maps: list[np.ndarray], same_sides: dict[int, bool]
) -> None:
    for residual in chain.residuals:
        entry, total = maps[residual.entry], maps[residual.total]
        if residual.shortcut is None:
            maps[residual.entry] = maps[residual.total] = entry | total
        elif same_sides[residual.block] and entry.sum() == total.sum():
            # They differed before, so not both are complete.
            j = residual.entry if total.all() else residual.total
            maps[j] = _grow(maps[j], maps[j].sum() + 1)


def _meet_reductions(chain: Trunk, kept: Kept, params: Flat) -> None:
    for j, (name, _) in enumerate(chain.layers):
        if kept.merges(j, name):
            inputs, outputs = kept.maps[j], kept.maps[j + 1]
            kernel = params[f"{name}/conv/kernel"][:, :, kept.reduced[name]]
            merged = merged_kernel(name, params)[:, :, inputs]
            if _nonzeros(merged, outputs) > _nonzeros(kernel, outputs):
                kept.maps[j] = _grow(inputs, kept.reduced[name].sum())


def _nonzeros(kernel: np.ndarray, outputs: np.ndarray) -> int:
    return np.count_nonzero(kernel[..., outputs])


def _at_least_one(keep: np.ndarray) -> np.ndarray:
    return keep if keep.any() else _grow(keep, 1)


def _grow(keep: np.ndarray, count: int) -> np.ndarray:
    """Adds the first channels that are not kept, up to a count."""
    grown = keep.copy()
    grown[np.flatnonzero(~keep)[: count - keep.sum()]] = True
    return grown
