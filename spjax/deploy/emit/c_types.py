"""The head of the generated C file: flash, types, numbers that go around.

One struct describes every layer; the table of them lies in flash and is read from
there, and the functions are shared by all layers of a kind.
"""

FLASH = """\
/* Constants stay in flash. On AVR that takes an attribute, and instructions of its own
   to read them; elsewhere flash is memory like any other. BYTE and LONG read elements
   of arrays, GET the members of structs. */
#ifdef __AVR__
@AVR@#include <avr/pgmspace.h>
#define SPJAX_FLASH PROGMEM
#define BYTE(address) pgm_read_byte(address)
#define LONG(address) ((int32_t)pgm_read_dword(address))
#define GET8(member) pgm_read_byte(&(member))
#define GET_INT8(member) ((int8_t)pgm_read_byte(&(member)))
#define GET16(member) pgm_read_word(&(member))
#define GET32(member) ((int32_t)pgm_read_dword(&(member)))
#define GET_COUNT(member) pgm_read_word(&(member))
#define GET_TABLE(member) ((const uint8_t *)pgm_read_word(&(member)))
#define GET_LONGS(member) ((const int32_t *)pgm_read_word(&(member)))
#define GET_LAYER(member) ((const spjax_layer *)pgm_read_word(&(member)))
#define GET_PLACE(member) ((int8_t *)pgm_read_word(&(member)))
#else
#define SPJAX_FLASH
#define BYTE(address) (*(const uint8_t *)(address))
#define LONG(address) (*(const int32_t *)(address))
#define GET8(member) (member)
#define GET_INT8(member) (member)
#define GET16(member) (member)
#define GET32(member) (member)
#define GET_COUNT(member) (member)
#define GET_TABLE(member) (member)
#define GET_LONGS(member) (member)
#define GET_LAYER(member) (member)
#define GET_PLACE(member) (member)
#endif
"""

TRACE = """\
/* With -DSPJAX_TRACE every activation is reported as it is computed. */
#ifdef SPJAX_TRACE
#define SEEN(layer, element, value) \\
  spjax_trace(GET16((layer)->operation), (uint32_t)(element), (value))
#define SEEN_ALL(number, values, count)                    \\
  for (uint32_t element = 0; element < (count); ++element) \\
  spjax_trace((number), element, (values)[element])
#define OPERATION(number) .operation = number,
#else
#define SEEN(layer, element, value) ((void)0)
#define SEEN_ALL(number, values, count) ((void)0)
#define OPERATION(number)
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
   one pixel), or a pooling. Lies in flash. */
typedef struct {
#ifdef SPJAX_TRACE
  uint16_t operation;
#endif
  const uint8_t *values;     /* encoded weights */
  const uint8_t *index;      /* where they are; 0 if all of them are stored */
  const int32_t *bias;       /* for each output; the input's zero point is in it */
  const int32_t *multiplier; /* for each output: from sums to outputs, times 2**31 .. */
  const uint8_t *shift;      /* .. and how far to the right after that */
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

# A chain's step by rows, and what it has done so far.
UNIT_TYPES = """\
/* A step of a streamed chain. Lies in flash. */
typedef struct {
  uint8_t role;
  const spjax_layer *layer; /* of its window */
  const spjax_layer *pool;  /* of the pooling formed on top of it */
  int8_t *place;            /* its ring, its output, or its sums */
  uint16_t pixels;          /* of the ring, or of the whole output */
  uint16_t channels;
  uint16_t rows, columns;   /* of what it computes */
  const uint8_t *wanted;    /* a bit for each row, then for each column: whether
                               anything reads it; 0 if all of them are read */
} spjax_unit;

enum {
  SPJAX_TAKES,  /* pixels as they are */
  SPJAX_WINDOW, /* the values of its layer */
  SPJAX_POOLED, /* the pooling's values, those of its layer on the fly */
  SPJAX_GROWN,  /* the same of a maximum, which grows in its place */
  SPJAX_SUMS    /* every pixel at once into sums of 32 bits */
};

/* How far a unit is. */
typedef struct {
  uint16_t row, column; /* of the pixel that comes next */
  uint16_t next;        /* its number; SPJAX_DONE if there is none */
  uint16_t need;        /* last pixel of its input that it reads */
} spjax_progress;

#define SPJAX_DONE 0xffff

/* What a chain takes in: a map, or pixels from outside as they come. */
typedef struct {
  spjax_map map;
  spjax_read read; /* 0 if the map is in memory */
  void *context;
  uint16_t taken;       /* pixels read so far */
  spjax_cursor weights; /* of a dense layer at the end */
} spjax_feed;
"""

PLANE_TYPE = """\
/* A step of a chain that runs channel by channel. Lies in flash. */
typedef struct {
  const spjax_layer *layer;
  int8_t *place; /* one channel of what it computes; 0 for the chain's output */
} spjax_plane;
"""

SUM_TYPE = """\
/* An elementwise sum of two maps. Lies in flash. */
typedef struct {
#ifdef SPJAX_TRACE
  uint16_t operation;
#endif
  int32_t multiplier_a, multiplier_b, multiplier;
  uint8_t shift_a, shift_b, shift;
  int8_t zero_a, zero_b, zero;
  int8_t minimum, maximum;
} spjax_sum;
"""
