"""The innermost instructions of the generated C: products of int8 numbers.

avr-gcc makes a call of a product of 8 bits that is added to 32, and knows no read from
flash that steps on. So both are written out for it: 16 cycles for each weight of a
dense layer instead of 68. ``muls`` leaves the sign of the product in the carry, and
``sbc`` spreads it over a byte. On a Cortex-M, an index that counts up to 0 takes the
fewest instructions. Everywhere else this is plain C99.
"""

BUSY = r"""/* What the busy loops need: a byte of flash, stepping on; sum += x * w for
   two int8; the same for `count` of them, x in memory and w in flash. */
#ifdef __AVR__
#define APART __attribute__((noinline)) /* a large function runs out of registers */
#define NEXT_BYTE(pointer)                                           \
  (__extension__({                                                   \
    uint8_t byte_;                                                   \
    __asm__ __volatile__("lpm %0, Z+" : "=r"(byte_), "+z"(pointer)); \
    byte_;                                                           \
  }))
#define ADD_SIGNED                                                 \
  "sbc %1, %1\n\tadd %A0, r0\n\tadc %B0, r1\n\tadc %C0, %1\n\t" \
  "adc %D0, %1\n\t"
#define ADD_PRODUCT(sum, x, w)                      \
  do {                                              \
    uint8_t sign_;                                  \
    __asm__("muls %2, %3\n\t" ADD_SIGNED "clr r1"   \
            : "+r"(sum), "=&r"(sign_)               \
            : "d"((int8_t)(x)), "d"((int8_t)(w)));  \
  } while (0)
#define ADD_PRODUCTS(sum, x, pointer, count)                                   \
  do {                                                                         \
    uint8_t x_, w_;                                                            \
    __asm__ __volatile__("1: ld %1, X+\n\tlpm %2, Z+\n\tmuls %1, %2\n\t"       \
                         ADD_SIGNED                                            \
                         "subi %A5, 1\n\tsbci %B5, 0\n\tbrne 1b\n\tclr r1"      \
                         : "+r"(sum), "=&d"(x_), "=&d"(w_), "+x"(x),           \
                           "+z"(pointer), "+d"(count)                          \
                         :                                                     \
                         : "memory");                                          \
  } while (0)
#else
#define APART
#define NEXT_BYTE(pointer) BYTE((pointer)++)
#define ADD_PRODUCT(sum, x, w) ((sum) += (int32_t)(x) * (w))
#define ADD_PRODUCTS(sum, x, pointer, count)             \
  do {                                                   \
    int32_t i_ = -(int32_t)(count);                      \
    (x) += (count);                                      \
    (pointer) += (count);                                \
    do {                                                 \
      (sum) += (int32_t)(x)[i_] * (int8_t)(pointer)[i_]; \
    } while (++i_);                                      \
  } while (0)
#endif
"""
