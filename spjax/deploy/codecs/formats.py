"""Encodes and decodes weight matrices, and chooses the smallest format.

Every function here is exact: ``decode(encode(weights, format)) == weights``.

The gaps of a matrix run on over the ends of its rows: the kernel carries what is left
of a gap into the next row. A field of all ones says "that many zeros, and the gap goes
on"; after the last value one more gap covers the zeros at the end, so that reading
never runs out of the table. For the same reason a bitmap has one bit more than there
are weights, which is set.
"""

from collections.abc import Iterator

import numpy as np

from spjax.deploy.codecs import values as stored
from spjax.deploy.codecs.encoded import CodecError, EncodedWeights, Format, as_matrix

DENSE_TYPES = ("int8", "int4", "int2", "ternary", "sign")
SPARSE_TYPES = ("int8", "int4", "int2", "sign")
GAP_BITS = (2, 4, 8)
COLUMN_BITS = (8, 16)
_NO_INDEX = np.zeros(0, np.uint8)


def formats() -> tuple[Format, ...]:
    """Every format, in the order of preference: dense ones win ties."""
    return (
        *(Format("dense", kind) for kind in DENSE_TYPES),
        *(Format("csr", kind, w) for w in COLUMN_BITS for kind in SPARSE_TYPES),
        *(Format("gaps", kind, w) for w in GAP_BITS[::-1] for kind in SPARSE_TYPES),
        *(Format("bitmap", kind) for kind in SPARSE_TYPES),
    )


def encode(weights: np.ndarray, form: Format) -> EncodedWeights:
    """Stores a weight matrix.

    Args:
      weights: (rows, length), integers within -128 .. 127.
      form: the format.

    Returns:
      Its bytes.

    Raises:
      CodecError: if the format cannot hold these weights.
    """
    weights = as_matrix(weights)
    rows, length = weights.shape
    flat = weights.reshape(-1)
    if form.codec == "dense":
        table, index = stored.pack(flat, form.values), _NO_INDEX
    else:
        where = np.flatnonzero(flat)
        table = stored.pack(flat[where], form.values)
        index = _index(weights, where, form)
    return EncodedWeights(form, rows, length, table, index)


def decode(encoded: EncodedWeights) -> np.ndarray:
    """Reads a weight matrix back.

    Args:
      encoded: what `encode` returned.

    Returns:
      int8 (rows, length).
    """
    form, shape = encoded.format, (encoded.rows, encoded.length)
    size = encoded.rows * encoded.length
    if form.codec == "dense":
        return stored.unpack(encoded.values, size, form.values).reshape(shape)
    where = _positions(encoded)
    flat = np.zeros(size, np.int8)
    flat[where] = stored.unpack(encoded.values, where.size, form.values)
    return flat.reshape(shape)


def candidates(weights: np.ndarray) -> Iterator[EncodedWeights]:
    """Weights in every format that can hold them, in the order of preference."""
    for form in formats():
        try:
            yield encode(weights, form)
        except CodecError:
            continue


def choose(weights: np.ndarray) -> EncodedWeights:
    """The format with the fewest bytes; of equals the first in `formats`.

    Args:
      weights: (rows, length), integers within -128 .. 127.

    Returns:
      The weights in that format.

    Raises:
      CodecError: if they are no such matrix.
    """
    return min(candidates(as_matrix(weights)), key=lambda e: e.encoded_bytes)


def _index(weights: np.ndarray, where: np.ndarray, form: Format) -> np.ndarray:
    if form.codec == "bitmap":
        return stored.pack_fields(np.append(weights.reshape(-1) != 0, True), 1)
    if form.codec == "gaps":
        before = np.concatenate([[-1], where])
        gaps = np.append(where, weights.size) - before - 1
        escape = (1 << form.index_bits) - 1
        last = np.cumsum(gaps // escape + 1) - 1
        fields = np.full(last[-1] + 1, escape)
        fields[last] = gaps % escape
        return stored.pack_fields(fields, form.index_bits)
    counts = np.count_nonzero(weights, axis=1)
    largest = max(weights.shape[1] - 1, int(counts.max(initial=0)))
    if largest >> form.index_bits:
        raise CodecError(
            f"{form.name} counts to {(1 << form.index_bits) - 1}; the rows have"
            f" {weights.shape[1]} columns."
        )
    heads = np.arange(counts.size) + np.cumsum(counts) - counts
    fields = np.zeros(counts.size + where.size, np.int64)
    is_column = np.ones(fields.size, bool)
    is_column[heads] = False
    fields[heads] = counts
    fields[is_column] = where % weights.shape[1]
    return stored.pack_fields(fields, form.index_bits)


def _positions(encoded: EncodedWeights) -> np.ndarray:
    """Flat positions of the stored values."""
    form, size = encoded.format, encoded.rows * encoded.length
    if form.codec == "bitmap":
        return np.flatnonzero(stored.unpack_fields(encoded.index, size, 1))
    count = encoded.index.size * 8 // form.index_bits
    fields = stored.unpack_fields(encoded.index, count, form.index_bits).astype(int)
    where = []
    if form.codec == "gaps":
        escape, position = (1 << form.index_bits) - 1, 0
        for field in fields:
            position += field
            if position >= size:
                break
            if field != escape:
                where.append(position)
                position += 1
        return np.array(where, int)
    start = 0
    for row in range(encoded.rows):
        columns = fields[start + 1 : start + 1 + fields[start]]
        where += list(row * encoded.length + columns)
        start += 1 + fields[start]
    return np.array(where, int)
