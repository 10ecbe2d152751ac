"""The head of the generated C file: flash, types, numbers that go around.

One struct describes every layer; the table of them lies in flash, and the functions
are shared by all layers of a kind.
"""

FLASH = """\
/* Constants stay in flash. On AVR that takes an attribute, and instructions of its own
   to read them; elsewhere flash is memory like any other. */
#ifdef __AVR__
#include <avr/pgmspace.h>
#define SPJAX_FLASH PROGMEM
#define SPJAX_BYTE(address) pgm_read_byte(address)
#define SPJAX_LONG(address) ((int32_t)pgm_read_dword(address))
#else
#define SPJAX_FLASH
#define SPJAX_BYTE(address) (*(const uint8_t *)(address))
#define SPJAX_LONG(address) (*(const int32_t *)(address))
#endif
"""

TRACE = """\
/* With -DSPJAX_TRACE every activation is reported as it is computed. */
#ifdef SPJAX_TRACE
#define SPJAX_SEEN(layer, element, value) \\
  spjax_trace((layer)->operation, (uint32_t)(element), (value))
#define SPJAX_SEEN_ALL(number, values, count)         \\
  for (uint32_t element = 0; element < (count); ++element) \\
  spjax_trace((number), element, (values)[element])
#define SPJAX_OPERATION(number) .operation = number,
#else
#define SPJAX_SEEN(layer, element, value) ((void)0)
#define SPJAX_SEEN_ALL(number, values, count) ((void)0)
#define SPJAX_OPERATION(number)
#endif
"""

TYPES = """\
/* Counts the weights of a layer, or the bytes of a map. */
typedef @COUNT@ spjax_count;

/* Where the next row of encoded weights begins. */
typedef struct {
  spjax_count value, index, skip;
} spjax_cursor;

/* One operation with a window: a convolution, a dense layer (a convolution of a map of
   one pixel), or a pooling. */
typedef struct {
#ifdef SPJAX_TRACE
  uint16_t operation;
#endif
  const uint8_t *values;     /* encoded weights */
  const uint8_t *index;      /* where they are; 0 if all of them are stored */
  const int32_t *bias;       /* for each output; the input's zero point is in it */
  const int32_t *multiplier; /* for each output: from sums to outputs, times 2**31 .. */
  const int8_t *shift;       /* .. and how far to the right after that */
  uint16_t height, width;    /* of the input */
  uint16_t rows, columns;    /* of the output */
  uint16_t outputs;          /* channels of the output */
  spjax_count depth;         /* input channels that one output sees */
  uint16_t group;            /* outputs that see the same ones */
  uint8_t kind;
  uint8_t format;            /* codec of the weights */
  uint8_t taps;              /* high * wide of a convolution */
  uint8_t high, wide;        /* of the window */
  uint8_t down, across;      /* steps of the window */
  uint8_t apart_down, apart_across; /* steps within the window */
  uint8_t top, left;         /* padding */
  int8_t padding;            /* value of padded inputs: their zero point */
  int8_t zero;               /* zero point of the output */
  int8_t minimum, maximum;   /* of the output */
} spjax_layer;

enum { SPJAX_LINEAR, SPJAX_MAXIMUM, SPJAX_AVERAGE };

/* A map in memory: whole, or as a ring in which pixel p is at place p % pixels. */
typedef struct {
  const int8_t *base;
  uint16_t pixels;
  uint16_t channels;
} spjax_map;
"""

LAYER_AT = """\
/* A layer's description; on AVR it is copied out of flash first. */
static const spjax_layer *layer_at(uint8_t number, spjax_layer *copy) {
#ifdef __AVR__
  memcpy_P(copy, &spjax_g_layers[number], sizeof *copy);
  return copy;
#else
  (void)copy;
  return &spjax_g_layers[number];
#endif
}
"""
