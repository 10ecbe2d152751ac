"""Types of stored values: 8, 4, 2 or 1 bits, or five ternary digits to a byte.

=======  ====================  ==================================================
type     holds                 stored as
=======  ====================  ==================================================
int8     -128 .. 127           a byte
int4     -8 .. 7               two to a byte, two's complement
int2     -3, -1, 1, 3          four to a byte: (value + 3) / 2
sign     -1, 1                 eight to a byte: (value + 1) / 2
ternary  -1, 0, 1              five to a byte, as digits of a fraction of 256
=======  ====================  ==================================================

Fields fill a byte from its least significant bit. Five digits d in 0, 1, 2 make the
number N = ((((d0 3 + d1) 3 + d2) 3 + d3) 3 + d4 < 243; the byte is N 256 / 243 rounded
up. Multiplying it by 3 again and again carries out d0, d1, .. as bits above the eighth:
rounding adds less than 1 / 243, so no carry is ever wrong.
"""

import numpy as np

from spjax.deploy.codecs.encoded import CodecError

# type -> (bits of a field, value of code 0, step between codes)
_FIELDS = {"int8": (8, 0, 1), "int4": (4, 0, 1), "int2": (2, -3, 2), "sign": (1, -1, 2)}
TYPES = (*_FIELDS, "ternary")
_DIGITS = 5


def fits(values: np.ndarray, kind: str) -> bool:
    """Whether a type holds every one of some values.

    Args:
      values: integers.
      kind: one of `TYPES`.
    """
    if kind == "ternary":
        return bool(np.isin(values, (-1, 0, 1)).all())
    bits, low, step = _FIELDS[kind]
    if step == 1:
        return bool(((values >= -(1 << bits - 1)) & (values < 1 << bits - 1)).all())
    return bool(np.isin(values, low + step * np.arange(1 << bits)).all())


def pack(values: np.ndarray, kind: str) -> np.ndarray:
    """Stores values.

    Args:
      values: integers, flat.
      kind: one of `TYPES`.

    Returns:
      uint8 bytes.

    Raises:
      CodecError: if the type does not hold one of them.
    """
    values = np.asarray(values, np.int64).reshape(-1)
    if not fits(values, kind):
        wrong = next(int(v) for v in np.unique(values) if not fits(v, kind))
        raise CodecError(f"{kind} cannot hold the weight {wrong}.")
    if kind == "ternary":
        return _pack_ternary(values)
    bits, low, step = _FIELDS[kind]
    return pack_fields((values - low) // step, bits)


def unpack(table: np.ndarray, count: int, kind: str) -> np.ndarray:
    """Reads values back.

    Args:
      table: what `pack` returned.
      count: how many values it holds.
      kind: one of `TYPES`.

    Returns:
      int8 values.
    """
    if kind == "ternary":
        return _unpack_ternary(table, count)
    bits, low, step = _FIELDS[kind]
    codes = unpack_fields(table, count, bits).astype(np.int64)
    if step == 1:  # two's complement
        half = 1 << bits - 1
        return ((codes ^ half) - half).astype(np.int8)
    return (low + step * codes).astype(np.int8)


def pack_fields(codes: np.ndarray, bits: int) -> np.ndarray:
    """Stores the low bits of whole numbers, from the least significant bit of a byte.

    Args:
      codes: integers, flat; for widths of 8 and less only their low bits are stored.
      bits: 1, 2, 4, 8, or 16 (low byte first).

    Returns:
      uint8 bytes.
    """
    codes = np.asarray(codes, np.int64)
    if bits == 16:
        return np.stack([codes & 255, codes >> 8], 1).reshape(-1).astype(np.uint8)
    per_byte = 8 // bits
    padded = np.zeros(-(-codes.size // per_byte) * per_byte, np.int64)
    padded[: codes.size] = codes & (1 << bits) - 1
    shifts = np.arange(per_byte) * bits
    return (padded.reshape(-1, per_byte) << shifts).sum(1).astype(np.uint8)


def unpack_fields(table: np.ndarray, count: int, bits: int) -> np.ndarray:
    """Reads unsigned fields back.

    Args:
      table: what `pack_fields` returned.
      count: how many fields to read.
      bits: their width.

    Returns:
      uint16 numbers.
    """
    table = table.astype(np.uint16)
    if bits == 16:
        return (table[::2] | table[1::2] << 8)[:count]
    shifts = np.arange(8 // bits, dtype=np.uint16) * bits
    fields = table[:, None] >> shifts & (1 << bits) - 1
    return fields.reshape(-1)[:count]


def _pack_ternary(values: np.ndarray) -> np.ndarray:
    digits = np.zeros(-(-values.size // _DIGITS) * _DIGITS, np.int64)
    digits[: values.size] = values + 1
    number = digits.reshape(-1, _DIGITS) @ 3 ** np.arange(_DIGITS - 1, -1, -1)
    return (-(-number * 256 // 243)).astype(np.uint8)


def _unpack_ternary(table: np.ndarray, count: int) -> np.ndarray:
    rest, digits = table.astype(np.int64), []
    for _ in range(_DIGITS):
        rest = rest * 3
        digits.append(rest >> 8)
        rest &= 255
    return (np.stack(digits, 1).reshape(-1)[:count] - 1).astype(np.int8)
