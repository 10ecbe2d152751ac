"""A genome's dataflow program without tracing its network.

Tracing takes tens of milliseconds, and a search looks at hundreds of candidates for
every trial. The one family of networks that genomes build can be written down as an
`spjax.analysis.Program` directly, in a fraction of a millisecond: the same operations
in the same order as the traced program has, with shapes for weights. All memory models
and plans then read this program as they read any other. A test holds it equal to the
traced one on random genomes.

The operations are those of an integer runtime: a convolution or dense layer with its
bias, batch norm and ReLU folded in; a pooling; a residual addition; a concatenation.
"""

import dataclasses
import math

from spjax.analysis import Operation, Program, Step, Tensor, Weight
from spjax.genomes import (
    Block,
    Genome,
    block_shapes,
    deployed_shape,
    reduced_channels,
)
from spjax.search.kept_weights import kept_weights

Shape = tuple[int, int, int]
_POOLS = {
    "max": "max_pool",
    "average": "average_pool",
    "global_average": "average_pool",
}


def skeleton(genome: Genome, input_shape: Shape, num_classes: int) -> Program:
    """Writes down the program of a genome's network.

    Args:
      genome: a genome that is valid for the image.
      input_shape: (height, width, channels) of the raw image.
      num_classes: number of logits.

    Returns:
      The program; its kernels' ``nonzero`` are those that the genome's ``weight``
      pruning will leave, all others are full.
    """
    walk = _Walk(deployed_shape(genome, input_shape))
    shapes = block_shapes(genome, input_shape)
    trunk, branches = "input", []
    if genome.input_branch:
        branches.append(walk.dense("input_branch", trunk, genome.input_branch))
    for i, (block, shape) in enumerate(zip(genome.blocks, shapes, strict=True)):
        trunk = walk.block(f"block{i}", trunk, block, shape)
        if block.branch:
            branches.append(walk.dense(f"block{i}_branch", trunk, block.branch))
    for i, units in enumerate(genome.dense):
        trunk = walk.dense(f"dense{i}", trunk, units)
    if branches:
        trunk = walk.join((trunk, *branches))
    walk.dense("classifier", trunk, num_classes)
    return walk.program(genome)


class _Walk:
    """Collects the operations while the network is followed from its input."""

    def __init__(self, shape: Shape) -> None:
        self._shapes: dict[str, tuple[int, ...]] = {"input": (1, *shape)}
        self._operations: list[Operation] = []

    def _add(
        self,
        name: str,
        kind: str,
        reads: tuple[str, ...],
        shape: tuple[int, ...],
        *,
        kernel: tuple[int, ...] = (),
        bias: bool = False,
        macs: int = 0,
        epilogue: tuple[Step, ...] = (),
        **attributes: object,
    ) -> str:
        weights = [_weight(f"{name}/kernel", kernel)] if kernel else []
        if bias:
            weights.append(_weight(f"{name}/bias", kernel[-1:]))
        self._shapes[name] = shape
        self._operations.append(
            Operation(
                name=name,
                kind=kind,
                inputs=reads,
                output=name,
                attributes=tuple(sorted(attributes.items())),
                weights=tuple(weights),
                epilogue=epilogue,
                macs=macs,
            )
        )
        return name

    def dense(self, name: str, source: str, units: int) -> str:
        features = math.prod(self._shapes[source])
        flat = source
        if len(self._shapes[source]) > 2:
            flat = f"{source}@1x{features}"
            self._shapes[flat] = (1, features)
        return self._add(
            name,
            "dense",
            (flat,),
            (1, units),
            kernel=(features, units),
            bias=True,
            macs=features * units,
        )

    def join(self, parts: tuple[str, ...]) -> str:
        trunk = parts[0]
        features = math.prod(self._shapes[trunk])
        if len(self._shapes[trunk]) > 2:
            self._shapes[f"{trunk}@1x{features}"] = (1, features)
            parts = (f"{trunk}@1x{features}", *parts[1:])
        total = sum(self._shapes[part][1] for part in parts)
        return self._add("concatenate", "concatenate", parts, (1, total), axis=1)

    def _conv(
        self,
        name: str,
        source: str,
        after: Shape,
        kernel: int,
        stride: int = 1,
        *,
        same: bool = False,
        depthwise: bool = False,
        bias: bool = True,
    ) -> str:
        before = self._shapes[source][1:]
        groups = before[2] if depthwise else 1
        shape = (kernel, kernel, before[2] // groups, after[2])
        padding = tuple(
            _same(before[axis], after[axis], kernel, stride) if same else (0, 0)
            for axis in (0, 1)
        )
        return self._add(
            name,
            "conv2d",
            (source,),
            (1, *after),
            kernel=shape,
            bias=bias,
            macs=after[0] * after[1] * math.prod(shape),
            dilation=(1, 1),
            groups=groups,
            padding=padding,
            strides=(stride, stride),
        )

    def block(self, name: str, source: str, block: Block, shapes) -> str:
        x = source
        for i, (conv, after) in enumerate(zip(block.convs, shapes.convs, strict=True)):
            layer, before = f"{name}_conv{i}", self._shapes[x][1:]
            spatial = (conv.kernel, conv.stride)
            same = conv.padding == "SAME"
            if conv.kind == "separable":
                middle = (*after[:2], before[2])
                x = self._conv(
                    f"{layer}/depthwise", x, middle, *spatial, same=same, depthwise=True
                )
                x = self._conv(f"{layer}/pointwise", x, after, 1)
            else:
                if conv.kind == "downsampled":
                    kept = reduced_channels(before[2], conv.reduction)
                    flat = (*before[:2], kept)
                    x = self._conv(f"{layer}/reduce", x, flat, 1, bias=False)
                x = self._conv(f"{layer}/conv", x, after, *spatial, same=same)
            if block.residual and i == 1:
                x = self._residual(name, source, x, block)
        if block.pool.kind != "none":
            x = self._pool(name, x, block, shapes.output)
        return x

    def _residual(self, name: str, source: str, x: str, block: Block) -> str:
        shape = self._shapes[x]
        if self._shapes[source] != shape:
            stride = math.prod(conv.stride for conv in block.convs[:2])
            shortcut = f"{name}_shortcut"
            source = self._conv(shortcut, source, shape[1:], 1, stride, same=True)
        added = Step("add", ("x0", "x1"), "float32")
        return self._add(f"{name}_add", "elementwise", (x, source), shape,
                         epilogue=(added,))  # fmt: skip

    def _pool(self, name: str, x: str, block: Block, output: Shape) -> str:
        window = (block.pool.window,) * 2
        if block.pool.kind == "global_average":
            window = self._shapes[x][1:3]
        extra = {} if block.pool.kind == "max" else {"count_padding": True}
        return self._add(
            f"{name}_pool",
            _POOLS[block.pool.kind],
            (x,),
            (1, *output),
            window=window,
            strides=window,
            padding=((0, 0), (0, 0)),
            **extra,
        )

    def program(self, genome: Genome) -> Program:
        kernels = [op.weights[0] for op in self._operations if op.weights]
        kept = kept_weights(genome.training, [kernel.shape for kernel in kernels])
        left = {k.name: n for k, n in zip(kernels, kept, strict=True)}
        operations = tuple(
            dataclasses.replace(
                op,
                weights=tuple(
                    dataclasses.replace(w, nonzero=left.get(w.name, w.elements))
                    for w in op.weights
                ),
            )
            for op in self._operations
        )
        readers: dict[str, list[str]] = {name: [] for name in self._shapes}
        for op in operations:
            for source in op.inputs:
                readers[source].append(op.name)
        last = operations[-1].output
        tensors = {
            name: Tensor(
                name=name,
                shape=shape,
                dtype="float32",
                role={"input": "input", last: "output"}.get(
                    _storage(name), "activation"
                ),
                producer=None if _storage(name) == "input" else _storage(name),
                readers=tuple(readers[name]),
                alias_of=_storage(name) if "@" in name else None,
            )
            for name, shape in self._shapes.items()
        }
        return Program(operations, tensors, inputs=("input",), outputs=(last,))


def _storage(name: str) -> str:
    return name.split("@")[0]


def _weight(name: str, shape: tuple[int, ...]) -> Weight:
    return Weight(name, shape, "float32", nonzero=None, parameters=())


def _same(before: int, after: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after, as XLA's SAME padding puts them."""
    total = max((after - 1) * stride + kernel - before, 0)
    return total // 2, total - total // 2
