"""Genomes as points of a flat box, for optimisers that know no conditional spaces.

The flat space has every gene of the deepest genome within the bounds, the counts
among them: ``num_blocks``, ``block0_num_convs``, ``block0_conv0_kernel``, and so on.
Genes that a genome does not have sit at a fixed default. Canonical genomes within
the bounds and the points `to_flat` gives are one to one. Any point of the box reads
as a genome, though perhaps one that does not fit the image: `validate` tells.
"""

import dataclasses
import functools
import re
from collections.abc import Mapping

from spjax.genomes.active import active_genes
from spjax.genomes.bounds import RANGES, Bounds, check_within
from spjax.genomes.canonical import canonical
from spjax.genomes.errors import GenomeError, show
from spjax.genomes.genome import Block, Conv, Genome, Pool, Training
from spjax.genomes.shapes import Shape
from spjax.genomes.validate import MAX_BLOCKS, MAX_CONVS, MAX_DENSE, check_input_shape

Value = int | float | str | bool
Point = Mapping[str, Value]

_LOG = {"channels", "branch_units", "dense_units", "learning_rate"}


@dataclasses.dataclass(frozen=True)
class Gene:
    """One dimension of the flat space.

    Attributes:
      name: an identifier, such as ``block1_conv0_kernel``.
      kind: ``int``, ``float``, ``bool`` or ``choice``.
      bound: the field of `Bounds` it comes from.
      low: lowest value of an ``int`` or ``float``; else None.
      high: highest value of an ``int`` or ``float``, itself allowed; else None.
      choices: values of a ``bool`` or ``choice``; else empty.
      log: whether steps are better taken in the logarithm.
    """

    name: str
    kind: str
    bound: str
    low: int | float | None = None
    high: int | float | None = None
    choices: tuple[Value, ...] = ()
    log: bool = False

    @property
    def default(self) -> Value:
        """The value that stands for a gene that the genome does not have."""
        return self.choices[0] if self.choices else self.low


def flat_space(
    bounds: Bounds | None = None, input_shape: Shape | None = None
) -> tuple[Gene, ...]:
    """Lists the dimensions of the flat space.

    Genes that no genome within the bounds has are left out.

    Args:
      bounds: the space; None for the default `Bounds`.
      input_shape: (height, width, channels) of the raw image, which limits the
        downsampling; None for any image.

    Returns:
      The genes, always in the same order.

    Raises:
      GenomeError: if the bounds' least downsampling does not fit the image.
    """
    bounds = bounds or Bounds()
    if input_shape is not None:
        check_input_shape(input_shape)
        low, high = bounds.downsample
        high = min(high, *input_shape[:2])
        bounds = dataclasses.replace(bounds, downsample=(low, max(low, high)))
        if low > high:
            raise GenomeError(
                f"bounds.downsample begins at {low}, which does not fit an image of "
                f"shape {input_shape}: begin it at {high} or less"
            )
    return _space(bounds)


def to_flat(genome: Genome, bounds: Bounds | None = None) -> dict[str, Value]:
    """The point of the flat space that stands for a genome.

    Args:
      genome: a genome within the bounds (its canonical form is taken).
      bounds: the space; None for the default `Bounds`.

    Returns:
      A value for each gene of ``flat_space(bounds)``, in its order.

    Raises:
      GenomeError: if the genome is not within the bounds.
    """
    bounds = bounds or Bounds()
    genome = canonical(genome)
    check_within(genome, bounds)
    active = active_values(genome)
    return {gene.name: active.get(gene.name, gene.default) for gene in _space(bounds)}


def active_values(genome: Genome) -> dict[str, Value]:
    """The flat names and values of the genes that a canonical genome has."""
    return {_name(gene.path): gene.value for gene in active_genes(genome)}


def from_flat(point: Point) -> Genome:
    """Reads a genome from a point of the flat space.

    Args:
      point: a value per gene; those without effect may be missing.

    Returns:
      The canonical genome. It need not be valid for an image.

    Raises:
      GenomeError: if a gene is missing or has a wrong type or range.
    """
    num_blocks = _count(point, "num_blocks", 1, MAX_BLOCKS)
    num_dense = _count(point, "num_dense", 0, MAX_DENSE)
    pruning = _read(point, "pruning")
    genome = Genome(
        downsample=_read(point, "downsample"),
        blocks=tuple(_block(point, f"block{b}_") for b in range(num_blocks)),
        input_branch=_branch(point, "input_branch", "has_input_branch"),
        dense=tuple(_read(point, f"dense{d}_units") for d in range(num_dense)),
        training=Training(
            learning_rate=_read(point, "learning_rate"),
            pruning=pruning,
            sparsity=0.0 if pruning == "none" else _read(point, "sparsity"),
        ),
    )
    return canonical(genome)


# The space is asked for with each genome, and takes longer to list than a genome.
@functools.lru_cache(maxsize=32)
def _space(bounds: Bounds) -> tuple[Gene, ...]:
    deepest = active_genes(_deepest(bounds))
    return tuple(_gene(_name(gene.path), gene.bound, bounds) for gene in deepest)


def _block(point: Point, prefix: str) -> Block:
    num_convs = _count(point, f"{prefix}num_convs", 1, MAX_CONVS)
    kind = _read(point, f"{prefix}pool_kind")
    pool = Pool(kind)
    if kind in ("max", "average"):
        pool = Pool(kind, _read(point, f"{prefix}pool_window"))
    return Block(
        convs=tuple(_conv(point, f"{prefix}conv{c}_") for c in range(num_convs)),
        residual=_read(point, f"{prefix}residual") if num_convs > 1 else False,
        pool=pool,
        branch=_branch(point, f"{prefix}branch", f"{prefix}has_branch"),
    )


def _conv(point: Point, prefix: str) -> Conv:
    names = ["kind", "kernel", "channels", "stride", "batch_norm", "relu"]
    values = {name: _read(point, prefix + name) for name in names}
    if values["kernel"] != 1:
        values["padding"] = _read(point, f"{prefix}padding")
    if values["kind"] == "downsampled":
        values["reduction"] = _read(point, f"{prefix}reduction")
    return Conv(**values)


def _branch(point: Point, prefix: str, flag: str) -> int:
    there = _read(point, flag)
    if type(there) is not bool:
        raise GenomeError(f"{flag} = {show(there)} must be True or False")
    return _read(point, f"{prefix}_units") if there else 0


def _count(point: Point, name: str, low: int, high: int) -> int:
    count = _read(point, name)
    if type(count) is not int or not low <= count <= high:
        raise GenomeError(
            f"{name} = {show(count)} must be an integer from {low} to {high}"
        )
    return count


def _read(point: Point, name: str) -> Value:
    if name not in point:
        raise GenomeError(f"flat point has no gene {name!r}")
    value = point[name]
    if not isinstance(value, Value):
        raise GenomeError(f"{name} = {show(value)} must be a number, name or boolean")
    return value


def _name(path: str) -> str:
    """blocks[1].convs[0].kernel -> block1_conv0_kernel, training.pruning -> pruning."""
    path = re.sub(r"s?\[(\d+)\]", r"\1", path.removeprefix("training."))
    return path.replace(".", "_")


def _gene(name: str, bound: str, bounds: Bounds) -> Gene:
    allowed = getattr(bounds, bound)
    if bound in RANGES:
        kind = type(allowed[0]).__name__
        return Gene(name, kind, bound, *allowed, log=bound in _LOG)
    kind = "bool" if type(allowed[0]) is bool else "choice"
    return Gene(name, kind, bound, choices=allowed)


def _deepest(bounds: Bounds) -> Genome:
    """A genome with every gene that the bounds allow."""
    conv = Conv(kind=_either(bounds.conv_kinds, "downsampled"), kernel=bounds.kernel[1])
    windowed = [kind for kind in bounds.pool_kinds if kind in ("max", "average")]
    pruning = [kind for kind in bounds.pruning if kind != "none"]
    branch = bounds.branch_units[1] if True in bounds.branches else 0
    block = Block(
        convs=(conv,) * bounds.num_convs[1],
        pool=Pool(windowed[0] if windowed else "none"),
        branch=branch,
    )
    return Genome(
        blocks=(block,) * bounds.num_blocks[1],
        input_branch=branch,
        dense=(bounds.dense_units[1],) * bounds.num_dense[1],
        training=Training(pruning=pruning[0] if pruning else "none"),
    )


def _either(options: tuple[str, ...], wanted: str) -> str:
    return wanted if wanted in options else options[0]
