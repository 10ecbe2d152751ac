"""What every codec shares: the format of a weight matrix, and its bytes.

A codec stores a matrix of small integers, (rows, length), row after row: a row is
what one output channel (or, of a dense layer that is fed pixel by pixel, one output
for one pixel) multiplies its inputs with. The kernel in C reads the rows in that
order and never goes back but to the start of a row, so no codec needs row pointers.

A format is a codec, the type of its values, and the width of its index fields::

    dense_TYPE     every value, zeros included; no index
    bitmap_TYPE    one bit per weight, and the values that are not zero
    gapsW_TYPE     before each value, how many zeros lie between it and the last one
    csrW_TYPE      for each row a count, then the columns of its values

with W bits (2, 4 or 8 for gaps; 8 or 16 for csr) and the types of
`spjax.deploy.codecs.values`.
"""

import dataclasses

import numpy as np


class CodecError(ValueError):
    """Weights that a format cannot hold, and why."""


@dataclasses.dataclass(frozen=True)
class Format:
    """How a weight matrix is stored.

    Attributes:
      codec: ``dense``, ``bitmap``, ``gaps`` or ``csr``.
      values: type of the values, a key of `spjax.deploy.codecs.values.TYPES`.
      index_bits: width of an index field; 0 where there is none to choose.
    """

    codec: str
    values: str
    index_bits: int = 0

    @property
    def name(self) -> str:
        """E.g. ``gaps4_int8``; also the name of its function in C."""
        return f"{self.codec}{self.index_bits or ''}_{self.values}"


@dataclasses.dataclass(frozen=True)
class EncodedWeights:
    """A weight matrix in bytes.

    Attributes:
      format: how to read them.
      rows: rows of the matrix.
      length: columns of the matrix.
      values: uint8, the values' table.
      index: uint8, the index table; empty for dense formats.
    """

    format: Format
    rows: int
    length: int
    values: np.ndarray = dataclasses.field(repr=False)
    index: np.ndarray = dataclasses.field(repr=False)

    @property
    def encoded_bytes(self) -> int:
        """Bytes of both tables: all that is stored."""
        return self.values.size + self.index.size


def as_matrix(weights: np.ndarray) -> np.ndarray:
    """Checks that an array can be encoded at all.

    Args:
      weights: (rows, length), whole numbers within -128 .. 127.

    Returns:
      The array as int8.

    Raises:
      CodecError: if it is no matrix of such numbers.
    """
    weights = np.asarray(weights)
    if weights.ndim != 2:
        raise CodecError(
            f"weights have the shape {weights.shape}; a codec takes (rows, length)."
        )
    if not np.issubdtype(weights.dtype, np.integer):
        raise CodecError(f"weights are of type {weights.dtype}; quantise them first.")
    if weights.size and (weights.min() < -128 or weights.max() > 127):
        raise CodecError(
            f"weights reach from {weights.min()} to {weights.max()}; int8 ends at"
            " -128 and 127."
        )
    return weights.astype(np.int8)
