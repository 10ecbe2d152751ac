"""Is this genome a network? Types, ranges, counts, and whether the maps fit.

Two steps: `check_genes` looks at each gene by itself, and `validate` also follows
the image through the network. Both raise only `GenomeError`, whatever the genes
hold, so that text from elsewhere may safely be tried.
"""

import math
from collections.abc import Callable, Mapping

from spjax.genomes import shapes
from spjax.genomes.errors import GenomeError, show
from spjax.genomes.genome import (
    CONV_KINDS,
    PADDINGS,
    POOL_KINDS,
    PRUNING_KINDS,
    Block,
    Conv,
    Genome,
    Pool,
    Training,
)

MAX_BLOCKS = 3
MAX_CONVS = 3
MAX_DENSE = 2
# Far above any microcontroller; it keeps the sizes of tensors within reason.
MAX_INTEGER = 2**16

# A rule gets a gene's value and returns what the gene must be, or None if it is.
_Rule = Callable[[object], str | None]


def validate(genome: Genome, input_shape: shapes.Shape) -> None:
    """Checks that a genome stands for a network on images of a given shape.

    Args:
      genome: the genome to check.
      input_shape: (height, width, channels) of the raw image, before downsampling.

    Raises:
      GenomeError: if it does not; the message names the first gene at fault.
    """
    check_genes(genome)
    check_input_shape(input_shape)
    for b, block in enumerate(genome.blocks):
        _check_residual(block, f"blocks[{b}]")
    shapes.block_shapes(genome, input_shape)


def check_genes(genome: Genome) -> None:
    """Checks each gene's type and range, apart from any image.

    Raises:
      GenomeError: naming the first gene at fault.
    """
    _check_fields(genome, Genome, _GENOME, "")
    for b, block in enumerate(genome.blocks):
        path = f"blocks[{b}]"
        _check_fields(block, Block, _BLOCK, path)
        _check_fields(block.pool, Pool, _POOL, f"{path}.pool")
        for c, conv in enumerate(block.convs):
            _check_fields(conv, Conv, _CONV, f"{path}.convs[{c}]")
    for d, units in enumerate(genome.dense):
        _check_value(units, _integer(1), f"dense[{d}]")
    _check_fields(genome.training, Training, _TRAINING, "training")


def check_input_shape(input_shape: shapes.Shape) -> None:
    """Checks that an image's shape is three positive integers.

    Raises:
      GenomeError: if it is not.
    """
    sides = input_shape if type(input_shape) is tuple else ()
    if len(sides) != 3 or any(_integer(1)(side) is not None for side in sides):
        raise GenomeError(
            f"input_shape = {show(input_shape)} must be a tuple (height, width, "
            f"channels) of integers from 1 to {MAX_INTEGER}"
        )


def _integer(low: int) -> _Rule:
    need = f"must be an integer from {low} to {MAX_INTEGER}"
    # A bool is an int to Python but not a count, hence the exact type.
    return lambda x: None if type(x) is int and low <= x <= MAX_INTEGER else need


def _share(x: object) -> str | None:
    return None if _is_number(x) and 0 <= x < 1 else "must be a number in [0, 1)"


def _rate(x: object) -> str | None:
    return None if _is_number(x) and 0 < x <= 1 else "must be a number in (0, 1]"


def _boolean(x: object) -> str | None:
    return None if type(x) is bool else "must be True or False"


def _one_of(names: tuple[str, ...]) -> _Rule:
    need = "must be one of " + ", ".join(repr(name) for name in names)
    return lambda x: None if type(x) is str and x in names else need


def _tuple_of(low: int, high: int) -> _Rule:
    need = f"must be a tuple of {low} to {high} entries"
    return lambda x: None if type(x) is tuple and low <= len(x) <= high else need


def _instance(kind: type) -> _Rule:
    need = f"must be a {kind.__name__}"
    return lambda x: None if type(x) is kind else need


def _is_number(x: object) -> bool:
    # numpy's float64 is a float; NaN fails every comparison, infinity the range.
    return type(x) is int or (isinstance(x, float) and not math.isnan(x))


_CONV = {
    "kind": _one_of(CONV_KINDS),
    "kernel": _integer(1),
    "channels": _integer(1),
    "stride": _integer(1),
    "padding": _one_of(PADDINGS),
    "batch_norm": _boolean,
    "relu": _boolean,
    "reduction": _share,
}
_POOL = {"kind": _one_of(POOL_KINDS), "window": _integer(1)}
_BLOCK = {
    "convs": _tuple_of(1, MAX_CONVS),
    "residual": _boolean,
    "pool": _instance(Pool),
    "branch": _integer(0),
}
_TRAINING = {
    "learning_rate": _rate,
    "pruning": _one_of(PRUNING_KINDS),
    "sparsity": _share,
}
_GENOME = {
    "downsample": _integer(1),
    "blocks": _tuple_of(1, MAX_BLOCKS),
    "input_branch": _integer(0),
    "dense": _tuple_of(0, MAX_DENSE),
    "training": _instance(Training),
}


def _check_fields(
    value: object, kind: type, rules: Mapping[str, _Rule], path: str
) -> None:
    _check_value(value, _instance(kind), path or "genome")
    for name, rule in rules.items():
        full = f"{path}.{name}" if path else name
        _check_value(getattr(value, name), rule, full)


def _check_value(value: object, rule: _Rule, path: str) -> None:
    need = rule(value)
    if need is not None:
        raise GenomeError(f"{path} = {show(value)} {need}")


def _check_residual(block: Block, path: str) -> None:
    if not block.residual:
        return
    if len(block.convs) < 2:
        raise GenomeError(
            f"{path}.residual = True needs at least two convolutions and there is "
            f"one: add a convolution or set residual to False"
        )
    for c, conv in enumerate(block.convs[:2]):
        if not shapes.same_padding(conv):
            raise GenomeError(
                f"{path}.convs[{c}].padding = 'VALID' does not go with "
                f"{path}.residual = True: use SAME padding or set residual to False"
            )
