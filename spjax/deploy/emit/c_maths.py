"""The generated C's arithmetic: that of `spjax.deploy.quantised`, in 32 bits.

``scaled`` needs bits 31 and up of a 64-bit product plus 2**30. With a = a1 2**16 + a0
and m = m1 2**16 + m0 (a0, m0 unsigned)::

    a m = a1 m1 2**32 + (a1 m0 + a0 m1) 2**16 + a0 m0

Every partial product fits 32 bits, and so does each with the carry of the one before::

    s = a1 m0 + (a0 m0 >> 16)           |s| < 2**31, as |a1| <= 2**15, m0 < 2**16
    t = a0 m1 + (s mod 2**16)           t < 2**31, as m1 < 2**15
    high = a1 m1 + (s >> 16) + (t >> 16)
    (a m + 2**30) >> 31 = 2 high + (((t mod 2**16 >> 14) + 1) >> 1)

because adding 2**30 carries nothing from below bit 30. Of the second rounding, adding
2**(r - 1) and shifting by r is shifting by r - 1, adding 1 and shifting by 1. An 8-bit
processor multiplies 16 bits quickly and 64 bits very slowly; all others lose a few
instructions.
"""

SCALED = """\
/* Products of 16 and 16 bits; functions, for avr-gcc would multiply 32 by 32. */
APART static int32_t times(int16_t a, uint16_t b) { return (int32_t)a * b; }
APART static uint32_t times_unsigned(uint16_t a, uint16_t b) {
  return (uint32_t)a * b;
}

/* a * m * 2**-31 * 2**-shift, rounded after either step: halves up, then away from 0.
   The 64-bit product is put together from four of 16 times 16 bits. */
APART static int32_t scaled(int32_t a, int32_t m, uint8_t shift) {
  int16_t a1 = (int16_t)(a >> 16);
  uint16_t a0 = (uint16_t)a, m0 = (uint16_t)m, m1 = (uint16_t)(m >> 16);
  int32_t s = times(a1, m0) + (int32_t)(times_unsigned(a0, m0) >> 16);
  uint32_t t = times_unsigned(a0, m1) + (uint16_t)s;
  int32_t high = times(a1, m1) + (s >> 16) + (int32_t)(t >> 16);
  int32_t h = 2 * high + ((((uint16_t)t >> 14) + 1) >> 1);
  if (shift == 0) return h;
  if (h < 0) --h;
  if (--shift >= 8) { /* whole bytes first: a loop of shifts is slow on AVR */
    h >>= 8;
    shift = (uint8_t)(shift - 8);
  }
  return ((h >> shift) + 1) >> 1;
}
"""

CLAMP = """\
/* A result within the bounds of an output. */
static int8_t clamp(int32_t value, int8_t minimum, int8_t maximum) {
  return (int8_t)(value < minimum ? minimum : value > maximum ? maximum : value);
}
"""

FINISH = """\
/* From the sum of one output to its int8 value. */
static int8_t finish(const spjax_layer *layer, uint16_t output, int32_t sum) {
  const int32_t *bias = GET_LONGS(layer->bias);
  const int32_t *multiplier = GET_LONGS(layer->multiplier);
  sum = scaled(sum + LONG(bias + output), LONG(multiplier + output),
               BYTE(GET_TABLE(layer->shift) + output));
  return clamp(GET_INT8(layer->zero) + sum, GET_INT8(layer->minimum),
               GET_INT8(layer->maximum));
}
"""

ADD = """\
/* An elementwise sum; the output may lie over an input. */
static void add(const spjax_sum *sum, const int8_t *a, const int8_t *b, int8_t *to,
                spjax_count count) {
  for (spjax_count i = 0; i < count; ++i) {
    int32_t x = (int32_t)(a[i] - GET_INT8(sum->zero_a)) * ((int32_t)1 << 20);
    int32_t y = (int32_t)(b[i] - GET_INT8(sum->zero_b)) * ((int32_t)1 << 20);
    x = scaled(x, GET32(sum->multiplier_a), GET8(sum->shift_a));
    y = scaled(y, GET32(sum->multiplier_b), GET8(sum->shift_b));
    x = scaled(x + y, GET32(sum->multiplier), GET8(sum->shift));
    to[i] = clamp(GET_INT8(sum->zero) + x, GET_INT8(sum->minimum),
                  GET_INT8(sum->maximum));
    SEEN(sum, i, to[i]);
  }
}
"""

COPY = """\
/* Copies values in rising order: either side may lie over the other's start. */
static void copy(const int8_t *from, int8_t *to, spjax_count count, int8_t minimum,
                 int8_t maximum) {
  for (spjax_count i = 0; i < count; ++i) to[i] = clamp(from[i], minimum, maximum);
}
"""
