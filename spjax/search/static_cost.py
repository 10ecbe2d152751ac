"""What a genome costs, from its shapes alone: the same figures as the analyser's.

Tracing a network takes tens of milliseconds, and a search looks at hundreds of
candidates for every trial. For the one family of networks that genomes build, the
figures follow from the genome in a fraction of a millisecond; a test holds them equal
to those of the traced program on random genomes.

The network is taken as it is deployed, without the channels that pruning removes (see
`expected_deployment`). Where pruning of single weights happens to leave a channel
without any, the deployed network is smaller yet.

The operations are those of an integer runtime, in program order: a convolution or
dense layer with its bias, batch norm and ReLU folded in; a pooling; a residual
addition; a concatenation. The models, for an operation that reads storages X and
writes y: ``input_output`` X + y; ``input_weights`` X + nonzero weights;
``live_bytes`` y and whatever exists already and is needed now or later.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from spjax.genomes import (
    Block,
    Genome,
    Training,
    block_shapes,
    deployed_shape,
    reduced_channels,
)
from spjax.search.deployment import expected_deployment
from spjax.search.kept_weights import kept_weights

Shape = tuple[int, int, int]


class _Operation(NamedTuple):
    reads: tuple[int, ...]
    writes: int
    kernel: tuple[int, ...]
    bias: int


def static_cost(
    genome: Genome,
    input_shape: Shape,
    num_classes: int,
    *,
    bytes_per_element: int = 1,
) -> dict[str, int]:
    """Computes the figures that are known before training.

    Args:
      genome: a genome that is valid for the image.
      input_shape: (height, width, channels) of the raw image.
      num_classes: number of logits.
      bytes_per_element: bytes of one activation or weight on the target.

    Returns:
      ``input_output``, ``input_weights``, ``live_bytes``, ``model_size_dense`` and
      ``model_size_nonzero``, in bytes, and ``macs``, a count. They rest on the
      sparsity that the genome asks for.
    """
    genome = expected_deployment(genome, input_shape)
    walk = _Walk(deployed_shape(genome, input_shape))
    shapes = block_shapes(genome, input_shape)
    trunk, branches = 0, []
    if genome.input_branch:
        branches.append(walk.dense(trunk, genome.input_branch))
    for block, shape in zip(genome.blocks, shapes, strict=True):
        trunk = walk.block(trunk, block, shape.input, shape.convs, shape.output)
        if block.branch:
            branches.append(walk.dense(trunk, block.branch))
    for units in genome.dense:
        trunk = walk.dense(trunk, units)
    if branches:
        trunk = walk.join((trunk, *branches), sum(walk.sizes[b] for b in branches))
    walk.dense(trunk, num_classes)
    figures = walk.figures(genome.training)
    in_bytes = {name: bytes_per_element * n for name, n in figures.items()}
    return {**in_bytes, "macs": walk.macs}


class _Walk:
    """Collects the operations while the network is followed from its input."""

    def __init__(self, shape: Shape) -> None:
        self.sizes = [math.prod(shape)]
        self.macs = 0
        self._operations: list[_Operation] = []

    def _add(
        self,
        reads: tuple[int, ...],
        size: int,
        kernel: tuple[int, ...] = (),
        bias: int = 0,
    ) -> int:
        if kernel:
            # Every position of the output uses each kernel element once.
            self.macs += size // kernel[-1] * math.prod(kernel)
        self.sizes.append(size)
        storage = len(self.sizes) - 1
        self._operations.append(_Operation(reads, storage, kernel, bias))
        return storage

    def dense(self, source: int, units: int) -> int:
        kernel = (self.sizes[source], units)
        return self._add((source,), units, kernel, units)

    def join(self, parts: tuple[int, ...], extra: int) -> int:
        return self._add(parts, self.sizes[parts[0]] + extra)

    def block(
        self,
        source: int,
        block: Block,
        entry: Shape,
        convs: tuple[Shape, ...],
        output: Shape,
    ) -> int:
        x, shape = source, entry
        for i, (conv, after) in enumerate(zip(block.convs, convs, strict=True)):
            size, square = math.prod(after), (conv.kernel, conv.kernel)
            inputs = shape[2]
            if conv.kind == "separable":
                middle = after[0] * after[1] * inputs
                kernel = (*square, 1, inputs)
                x = self._add((x,), middle, kernel, inputs)
                kernel = (1, 1, inputs, conv.channels)
            else:
                if conv.kind == "downsampled":
                    kept = reduced_channels(inputs, conv.reduction)
                    flat = shape[0] * shape[1] * kept
                    kernel = (1, 1, inputs, kept)
                    x, inputs = self._add((x,), flat, kernel), kept
                kernel = (*square, inputs, conv.channels)
            x, shape = self._add((x,), size, kernel, conv.channels), after
            if block.residual and i == 1:
                x = self._residual(source, x, entry, after)
        if block.pool.kind != "none":
            x = self._add((x,), math.prod(output))
        return x

    def _residual(self, source: int, x: int, entry: Shape, after: Shape) -> int:
        size = math.prod(after)
        if entry != after:
            kernel = (1, 1, entry[2], after[2])
            source = self._add((source,), size, kernel, after[2])
        return self._add((x, source), size)

    def figures(self, training: Training) -> dict[str, int]:
        dense, nonzero = self._weights(training)
        outputs = [self.sizes[operation.writes] for operation in self._operations]
        return {
            "input_output": self._peak(outputs),
            "input_weights": self._peak(nonzero),
            "live_bytes": self._live(),
            "model_size_dense": sum(dense),
            "model_size_nonzero": sum(nonzero),
        }

    def _weights(self, training: Training) -> tuple[list[int], list[int]]:
        """Per operation: all weights, and those that pruning leaves."""
        kernels = [o.kernel for o in self._operations if o.kernel]
        kept = iter(kept_weights(training, kernels))
        dense, nonzero = [], []
        for operation in self._operations:
            elements = math.prod(operation.kernel) if operation.kernel else 0
            dense.append(elements + operation.bias)
            nonzero.append((next(kept) if elements else 0) + operation.bias)
        return dense, nonzero

    def _live(self) -> int:
        last = list(range(-1, len(self._operations)))
        for i, operation in enumerate(self._operations):
            for storage in operation.reads:
                last[storage] = i
        live, peak = {0}, 0
        for i, operation in enumerate(self._operations):
            live.add(operation.writes)
            peak = max(peak, self._sum(live))
            live = {storage for storage in live if last[storage] > i}
        return peak

    def _sum(self, storages: Iterable[int]) -> int:
        return sum(self.sizes[storage] for storage in storages)

    def _peak(self, beside: Sequence[int]) -> int:
        return max(
            self._sum(set(o.reads)) + more
            for o, more in zip(self._operations, beside, strict=True)
        )
