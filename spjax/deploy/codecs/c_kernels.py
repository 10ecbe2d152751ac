"""The codecs in C: how a kernel multiplies with encoded weights, reading on the fly.

For every format there is one function ``dot_FORMAT``. It adds up the products of the
next row of weights with a window of inputs and leaves the cursor at the row after it.
All that it keeps is the cursor. It relies on these names, which `spjax.deploy.emit`
writes before it::

    spjax_count    unsigned integer that counts the weights of any layer
    spjax_cursor   {spjax_count value, index, skip}: where the next row begins
    spjax_layer    in flash. taps, depth: a row holds `taps` times `depth` weights
                   values, index: the tables; padding: the input's zero point
    tap            for each tap the address of its inputs, or 0 in the padding
    NEXT_BYTE(pointer), ADD_PRODUCT(sum, x, w)
                   reads a byte of flash and steps on; sum += x * w for int8 x and w
    ADD_PRODUCTS(sum, x, pointer, count)
                   the same for `count` numbers from address x and from flash
    APART          keeps a function out of others, so that its loop has all registers
    BYTE(address), GET8, GET_INT8, GET_COUNT, GET_TABLE(member)
                   a byte of flash; a number or an address that lies in flash

A tap outside of the map counts as inputs that equal the zero point, which is what the
bias expects (`spjax.deploy.emit` has folded the zero point into it).

The texts have holes. OPEN, VALUE and CLOSE find, read and leave the stored values: by a
running address where a value is a byte, by number where it is less. FIELD reads an
index field.
"""

from spjax.deploy.codecs.encoded import Format

_READERS = {
    "int4": """\
/* Value i of a table of 4-bit numbers, two to a byte, the low half first. */
static int8_t value_int4(const uint8_t *table, spjax_count i) {
  uint8_t byte = BYTE(table + i / 2);
  uint8_t code = (i & 1) ? (uint8_t)(byte >> 4) : (uint8_t)(byte & 15);
  return (int8_t)((int8_t)(code ^ 8) - 8);
}
""",
    "int2": """\
/* Value i of a table of 2-bit codes, which mean -3, -1, 1 and 3. */
static int8_t value_int2(const uint8_t *table, spjax_count i) {
  uint8_t byte = BYTE(table + i / 4);
  uint8_t code = (uint8_t)((i & 2) ? byte >> 4 : byte);
  if (i & 1) code >>= 2;
  return (int8_t)(2 * (code & 3) - 3);
}
""",
    "sign": """\
/* Value i of a table of bits, which mean -1 and 1. */
static int8_t value_sign(const uint8_t *table, spjax_count i) {
  return (BYTE(table + i / 8) >> (i & 7)) & 1 ? 1 : -1;
}
""",
    "gap2": """\
/* Field i of a table of 2-bit numbers. */
static uint8_t gap2(const uint8_t *table, spjax_count i) {
  uint8_t byte = BYTE(table + i / 4);
  if (i & 2) byte >>= 4;
  if (i & 1) byte >>= 2;
  return byte & 3;
}
""",
    "gap4": """\
/* Field i of a table of 4-bit numbers. */
static uint8_t gap4(const uint8_t *table, spjax_count i) {
  uint8_t byte = BYTE(table + i / 2);
  return (i & 1) ? (uint8_t)(byte >> 4) : (uint8_t)(byte & 15);
}
""",
    "gap8": """\
/* Field i of a table of bytes. */
static uint8_t gap8(const uint8_t *table, spjax_count i) {
  return BYTE(table + i);
}
""",
    "column8": """\
/* Field i of a table of bytes. */
static uint16_t column8(const uint8_t *table, spjax_count i) {
  return BYTE(table + i);
}
""",
    "column16": """\
/* Field i of a table of 16-bit numbers, low byte first. */
static uint16_t column16(const uint8_t *table, spjax_count i) {
  table += 2 * i;
  return (uint16_t)((uint16_t)BYTE(table + 1) << 8 | BYTE(table));
}
""",
}

_SIGNATURE = """\
APART static int32_t dot_NAME(const spjax_layer *layer, spjax_cursor *at,
                              const int8_t *const *tap, uint16_t base) {
  spjax_count depth = GET_COUNT(layer->depth);
  int32_t sum = 0;
"""

_DENSE = (
    """\
/* Products with the next row; every weight is stored. */
"""
    + _SIGNATURE
    + """\
  uint8_t taps = GET8(layer->taps);
  OPEN
  do {
    const int8_t *x = *tap++;
    spjax_count c = depth;
    if (x) {
      x += base;
      RUN
    } else {
      int8_t padding = GET_INT8(layer->padding);
      do ADD_PRODUCT(sum, padding, VALUE);
      while (--c);
    }
  } while (--taps);
  CLOSE
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
  const uint8_t *value = GET_TABLE(layer->values) + at->value;
  int8_t padding = GET_INT8(layer->padding);
  uint8_t taps = GET8(layer->taps);
  uint8_t rest = (uint8_t)at->index, left = (uint8_t)at->skip;
  do {
    const int8_t *place = *tap++;
    for (spjax_count c = 0; c < depth; ++c) {
      int8_t x = place ? place[base + c] : padding;
      if (left == 0) {
        rest = NEXT_BYTE(value);
        ++at->value;
        left = 5;
      }
      uint16_t digits = (uint16_t)(rest * 3u);
      rest = (uint8_t)digits;
      --left;
      if (digits >= 512)
        sum += x;
      else if (digits < 256)
        sum -= x;
    }
  } while (--taps);
  at->index = rest;
  at->skip = left;
  return sum;
}
"""
)

_BITMAP = (
    """\
/* Products with the next row; a bit for each weight says whether it is stored. index is
   the next bit that is set, skip how far it is away. */
"""
    + _SIGNATURE
    + """\
  const uint8_t *index = GET_TABLE(layer->index) + at->index / 8;
  int8_t padding = GET_INT8(layer->padding);
  uint8_t taps = GET8(layer->taps);
  uint8_t left = (uint8_t)(8 - (at->index & 7));
  uint8_t bits = (uint8_t)(NEXT_BYTE(index) >> (8 - left));
  spjax_count c = at->skip;
  OPEN
  for (;;) {
    while (c >= depth) {
      c -= depth;
      ++tap;
      if (--taps == 0) {
        at->skip = c;
        at->index = (spjax_count)(index - GET_TABLE(layer->index));
        at->index = (spjax_count)(8 * at->index - left);
        CLOSE
        return sum;
      }
    }
    ADD_PRODUCT(sum, *tap ? (*tap)[base + c] : padding, VALUE);
    do { /* to the next bit that is set; there is one behind the last weight */
      ++c;
      bits >>= 1;
      --left;
      while (bits == 0) {
        c += left;
        bits = NEXT_BYTE(index);
        left = 8;
      }
    } while (!(bits & 1));
  }
}
"""
)

_GAPS = (
    """\
/* Products with the next row; skip is how far the next stored weight is away. */
"""
    + _SIGNATURE
    + """\
  const uint8_t *index = GET_TABLE(layer->index);
  int8_t padding = GET_INT8(layer->padding);
  uint8_t taps = GET8(layer->taps);
  spjax_count c = at->skip, place = at->index;
  OPEN
  for (;;) {
    uint8_t field;
    while (c >= depth) {
      c -= depth;
      ++tap;
      if (--taps == 0) {
        at->skip = c;
        at->index = place;
        CLOSE
        return sum;
      }
    }
    ADD_PRODUCT(sum, *tap ? (*tap)[base + c] : padding, VALUE);
    do {
      field = FIELD(index, place++);
      c += field;
    } while (field == ESCAPE);
    ++c;
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
  const uint8_t *index = GET_TABLE(layer->index);
  int8_t padding = GET_INT8(layer->padding);
  spjax_count first = 0, place = at->index; /* first: column where the tap begins */
  uint16_t left = FIELD(index, place++);
  OPEN
  for (; left; --left) {
    spjax_count c = (spjax_count)(FIELD(index, place++) - first);
    while (c >= depth) {
      c -= depth;
      first += depth;
      ++tap;
    }
    ADD_PRODUCT(sum, *tap ? (*tap)[base + c] : padding, VALUE);
  }
  at->index = place;
  CLOSE
  return sum;
}
"""
)

_DOTS = {"dense": _DENSE, "bitmap": _BITMAP, "gaps": _GAPS, "csr": _CSR}

# Bytes times bytes, as many as c says: the loop that dense layers spend their time in.
_RUN = "ADD_PRODUCTS(sum, x, value, c);"

# OPEN, VALUE, CLOSE: of bytes, and of what is less than a byte.
_BY_ADDRESS = (
    "const uint8_t *value = GET_TABLE(layer->values) + at->value;",
    "(int8_t)NEXT_BYTE(value)",
    "at->value = (spjax_count)(value - GET_TABLE(layer->values));",
)
_BY_NUMBER = (
    "const uint8_t *values = GET_TABLE(layer->values);\n"
    "  spjax_count value = at->value;",
    "READ(values, value++)",
    "at->value = value;",
)


def c_reader_names(form: Format) -> tuple[str, ...]:
    """Names of the functions that a format's ``dot`` calls, for `c_reader`."""
    names = (form.values,) if form.values in _READERS else ()
    return names + ((_field(form),) if form.index_bits else ())


def c_reader(name: str) -> str:
    """The C function that reads one kind of field, by `c_reader_names`."""
    return _READERS[name]


def c_dot(form: Format) -> str:
    """The C function ``dot_FORMAT``: its text, without the readers that it calls."""
    text = _TERNARY if form.values == "ternary" else _DOTS[form.codec]
    access = _BY_ADDRESS if form.values == "int8" else _BY_NUMBER
    run = "do ADD_PRODUCT(sum, *x++, VALUE);\n      while (--c);"
    text = text.replace("RUN", _RUN if form.values == "int8" else run)
    for hole, filling in zip(("OPEN", "VALUE", "CLOSE"), access, strict=True):
        text = text.replace(hole, filling)
    text = text.replace("NAME", form.name).replace("READ(", f"value_{form.values}(")
    text = text.replace("ESCAPE", str((1 << form.index_bits) - 1))
    return text.replace("FIELD(", f"{_field(form)}(")


def c_start(form: Format) -> str:
    """C statements that bring the zeroed cursor ``*at`` to the first row, or ""."""
    if form.codec == "bitmap":
        return (
            "const uint8_t *index = GET_TABLE(layer->index);\n"
            "while (!(BYTE(index + at->index / 8) >> (at->index & 7) & 1))\n"
            "  ++at->index;\n"
            "at->skip = at->index;"
        )
    if form.codec != "gaps":
        return ""
    field, escape = _field(form), (1 << form.index_bits) - 1
    return (
        "uint8_t field;\n"
        "do {\n"
        f"  field = {field}(GET_TABLE(layer->index), at->index++);\n"
        "  at->skip += field;\n"
        f"}} while (field == {escape});"
    )


def _field(form: Format) -> str:
    return {"gaps": "gap", "csr": "column"}.get(form.codec, "") + str(form.index_bits)
