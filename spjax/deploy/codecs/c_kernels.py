"""The codecs in C: how a kernel multiplies with encoded weights, reading on the fly.

For every format there is one function ``dot_FORMAT``. It adds up the products of the
next row of weights with a window of inputs and leaves the cursor at the row after it.
All that it keeps is the cursor; flash is read with the macro ``SPJAX_BYTE(address)``.
It relies on these names, which `spjax.deploy.emit` writes before it::

    spjax_count    unsigned integer that counts the weights of any layer
    spjax_cursor   {spjax_count value, index, skip}: where the next row begins
    spjax_layer    taps, depth: a row holds `taps` times `depth` weights
                   values, index: the tables; padding: the input's zero point
    tap            for each tap the address of its inputs, or 0 in the padding

A tap outside of the map counts as inputs that equal the zero point, which is what the
bias expects (`spjax.deploy.emit` has folded the zero point into it).
"""

from spjax.deploy.codecs.encoded import Format

_READERS = {
    "int8": """\
/* Value i of a table of bytes. */
static int8_t value_int8(const uint8_t *table, spjax_count i) {
  return (int8_t)SPJAX_BYTE(table + i);
}
""",
    "int4": """\
/* Value i of a table of 4-bit numbers, two to a byte, the low half first. */
static int8_t value_int4(const uint8_t *table, spjax_count i) {
  uint8_t byte = SPJAX_BYTE(table + i / 2);
  uint8_t code = (i & 1) ? (uint8_t)(byte >> 4) : (uint8_t)(byte & 15);
  return (int8_t)((int8_t)(code ^ 8) - 8);
}
""",
    "int2": """\
/* Value i of a table of 2-bit codes, which mean -3, -1, 1 and 3. */
static int8_t value_int2(const uint8_t *table, spjax_count i) {
  uint8_t code = (uint8_t)(SPJAX_BYTE(table + i / 4) >> 2 * (i & 3)) & 3;
  return (int8_t)(2 * code - 3);
}
""",
    "sign": """\
/* Value i of a table of bits, which mean -1 and 1. */
static int8_t value_sign(const uint8_t *table, spjax_count i) {
  uint8_t byte = SPJAX_BYTE(table + i / 8);
  return (byte >> (i & 7)) & 1 ? 1 : -1;
}
""",
    "gap2": """\
/* The next gap: 2-bit fields up to the first one that is not 3. */
static spjax_count gap2(const spjax_layer *layer, spjax_cursor *at) {
  spjax_count gap = 0;
  uint8_t field;
  do {
    field = (uint8_t)(SPJAX_BYTE(layer->index + at->index / 4) >>
                      2 * (at->index & 3)) & 3;
    ++at->index;
    gap += field;
  } while (field == 3);
  return gap;
}
""",
    "gap4": """\
/* The next gap: 4-bit fields up to the first one that is not 15. */
static spjax_count gap4(const spjax_layer *layer, spjax_cursor *at) {
  spjax_count gap = 0;
  uint8_t field;
  do {
    field = SPJAX_BYTE(layer->index + at->index / 2);
    field = (at->index & 1) ? (uint8_t)(field >> 4) : (uint8_t)(field & 15);
    ++at->index;
    gap += field;
  } while (field == 15);
  return gap;
}
""",
    "gap8": """\
/* The next gap: bytes up to the first one that is not 255. */
static spjax_count gap8(const spjax_layer *layer, spjax_cursor *at) {
  spjax_count gap = 0;
  uint8_t field;
  do {
    field = SPJAX_BYTE(layer->index + at->index);
    ++at->index;
    gap += field;
  } while (field == 255);
  return gap;
}
""",
    "column8": """\
/* The next field of an index of bytes. */
static uint8_t column8(const spjax_layer *layer, spjax_cursor *at) {
  return SPJAX_BYTE(layer->index + at->index++);
}
""",
    "column16": """\
/* The next field of an index of 16-bit numbers, low byte first. */
static uint16_t column16(const spjax_layer *layer, spjax_cursor *at) {
  const uint8_t *field = layer->index + 2 * at->index++;
  return (uint16_t)(SPJAX_BYTE(field) | SPJAX_BYTE(field + 1) << 8);
}
""",
}

_SIGNATURE = """\
static int32_t dot_NAME(const spjax_layer *layer, spjax_cursor *at,
                        const int8_t *const *tap, uint16_t base) {
"""

_DENSE = (
    """\
/* Products with the next row; every weight is stored. */
"""
    + _SIGNATURE
    + """\
  int32_t sum = 0;
  spjax_count value = at->value;
  for (uint8_t t = 0; t < layer->taps; ++t) {
    const int8_t *x = tap[t];
    if (x == 0) {
      for (spjax_count c = layer->depth; c; --c)
        sum += (int16_t)layer->padding * READ(layer->values, value++);
    } else {
      x += base;
      for (spjax_count c = layer->depth; c; --c)
        sum += (int16_t)*x++ * READ(layer->values, value++);
    }
  }
  at->value = value;
  return sum;
}
"""
)

_TERNARY = (
    """\
/* Products with the next row; five weights to a byte (index holds the rest of the
   byte, skip how many of its digits are left). */
"""
    + _SIGNATURE
    + """\
  int32_t sum = 0;
  for (uint8_t t = 0; t < layer->taps; ++t) {
    for (spjax_count c = 0; c < layer->depth; ++c) {
      int8_t x = tap[t] ? tap[t][base + c] : layer->padding;
      if (at->skip == 0) {
        at->index = SPJAX_BYTE(layer->values + at->value);
        ++at->value;
        at->skip = 5;
      }
      uint16_t digits = (uint16_t)(at->index * 3);
      at->index = digits & 255;
      --at->skip;
      sum += digits >= 512 ? x : digits >= 256 ? 0 : -x;
    }
  }
  return sum;
}
"""
)

_BITMAP = (
    """\
/* Products with the next row; a bit for each weight says whether it is stored. */
"""
    + _SIGNATURE
    + """\
  int32_t sum = 0;
  spjax_count place = at->index, value = at->value;
  uint8_t bits = 0;
  if (place & 7) bits = (uint8_t)(SPJAX_BYTE(layer->index + place / 8) >> (place & 7));
  for (uint8_t t = 0; t < layer->taps; ++t) {
    const int8_t *x = tap[t];
    for (spjax_count c = 0; c < layer->depth; ++c) {
      if ((place & 7) == 0) bits = SPJAX_BYTE(layer->index + place / 8);
      if (bits & 1)
        sum += (int16_t)(x ? x[base + c] : layer->padding) *
               READ(layer->values, value++);
      bits >>= 1;
      ++place;
    }
  }
  at->index = place;
  at->value = value;
  return sum;
}
"""
)

_GAPS = (
    """\
/* Products with the next row; skip is how far the next stored weight is away. */
"""
    + _SIGNATURE
    + """\
  int32_t sum = 0;
  spjax_count c = at->skip;
  uint8_t t = 0;
  for (;;) {
    while (c >= layer->depth) {
      c -= layer->depth;
      if (++t == layer->taps) {
        at->skip = c;
        return sum;
      }
    }
    sum += (int16_t)(tap[t] ? tap[t][base + c] : layer->padding) *
           READ(layer->values, at->value);
    ++at->value;
    c += 1 + GAP(layer, at);
  }
}
"""
)

_CSR = (
    """\
/* Products with the next row; its count, then the columns that are stored. */
"""
    + _SIGNATURE
    + """\
  int32_t sum = 0;
  uint16_t first = 0; /* column of the tap's first weight */
  for (uint16_t left = COLUMN(layer, at); left; --left) {
    uint16_t c = (uint16_t)(COLUMN(layer, at) - first);
    while (c >= layer->depth) {
      c = (uint16_t)(c - layer->depth);
      first = (uint16_t)(first + layer->depth);
      ++tap;
    }
    sum += (int16_t)(*tap ? (*tap)[base + c] : layer->padding) *
           READ(layer->values, at->value);
    ++at->value;
  }
  return sum;
}
"""
)

_DOTS = {"dense": _DENSE, "bitmap": _BITMAP, "gaps": _GAPS, "csr": _CSR}


def c_reader_names(form: Format) -> tuple[str, ...]:
    """Names of the functions that a format's ``dot`` calls, for `c_reader`."""
    index = {"gaps": f"gap{form.index_bits}", "csr": f"column{form.index_bits}"}
    names = () if form.values == "ternary" else (form.values,)
    return names + ((index[form.codec],) if form.codec in index else ())


def c_reader(name: str) -> str:
    """The C function that reads one kind of field, by `c_reader_names`."""
    return _READERS[name]


def c_dot(form: Format) -> str:
    """The C function ``dot_FORMAT``: its text, without the readers that it calls."""
    text = _TERNARY if form.values == "ternary" else _DOTS[form.codec]
    text = text.replace("NAME", form.name).replace("READ(", f"value_{form.values}(")
    text = text.replace("GAP(", f"gap{form.index_bits}(")
    return text.replace("COLUMN(", f"column{form.index_bits}(")


def c_start(form: Format) -> str:
    """The C statement that brings the zeroed cursor ``at`` to the first row, or ""."""
    if form.codec != "gaps":
        return ""
    return f"at.skip = gap{form.index_bits}(layer, &at);"
