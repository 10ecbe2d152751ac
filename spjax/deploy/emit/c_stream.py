"""Streaming in the generated C: chains that never hold a map as a whole.

A chain is a table of units. A unit computes one pixel at a time into a ring of as many
pixels as the unit after it still needs (`spjax.analysis.stream`). The loop always runs
the last unit whose input is there: ``next`` of the unit before lies beyond ``need``,
the last input pixel that the unit's next pixel reads. That is the order in which the
analyser's simulation pulls pixels, without recursion.

Channel streaming runs all operations of a chain for one channel, through planes of one
channel each, before the next one begins (`spjax.analysis.channels`).
"""

UNIT_TYPES = """\
/* A step of a streamed chain. */
typedef struct {
  uint8_t role;
  uint8_t layer;         /* of its window */
  uint8_t pool;          /* of the pooling formed on top of it */
  int8_t *place;         /* its ring, its output, or its sums */
  uint16_t pixels;       /* of the ring, or of the whole output */
  uint16_t channels;
  uint16_t rows, columns; /* of what it computes */
  const uint8_t *wanted; /* a bit for each row, then for each column: whether anything
                            reads it; 0 if all of them are */
} spjax_unit;

enum {
  SPJAX_TAKES,   /* pixels as they are */
  SPJAX_WINDOW,  /* the values of its layer */
  SPJAX_POOLED,  /* the pooling's values, those of its layer on the fly */
  SPJAX_SUMS     /* every pixel at once into sums of 32 bits */
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
  uint16_t taken; /* pixels read so far */
  spjax_cursor weights; /* of a dense layer at the end */
} spjax_feed;
"""

SUM_DENSE = "    sum += dot(layer, weights, &pixel, 0);"
SUM_POOL = "    sum = take(layer, sum, pixel[o]);"
RESULT_DENSE = "    to[o] = finish(layer, o, sum);"
RESULT_POOL = """\
    to[o] = pool_result(layer, sum, (uint16_t)(layer->height * layer->width));"""

SUMS = """\
/* 32-bit sums at any address. */
static int32_t sum_at(const int8_t *place) {
  uint32_t bits = 0;
  for (uint8_t i = 4; i--;) bits = bits << 8 | (uint8_t)place[i];
  return (int32_t)bits;
}

static void put_sum(int8_t *place, int32_t sum) {
  uint32_t bits = (uint32_t)sum;
  for (uint8_t i = 0; i < 4; ++i, bits >>= 8) place[i] = (int8_t)(bits & 255);
}
"""

SUM_PIXEL = """\
/* One pixel of the input goes into all sums: those of a dense layer, or of a pooling of
   the whole map. */
static void sum_pixel(const spjax_layer *layer, spjax_cursor *weights,
                      const int8_t *pixel, int8_t *sums) {
  for (uint16_t o = 0; o < layer->outputs; ++o, sums += 4) {
    int32_t sum = sum_at(sums);
@BODY@
    put_sum(sums, sum);
  }
}

static void clear_sums(const spjax_layer *layer, int8_t *sums) {
  int32_t start = @START@;
  for (uint16_t o = 0; o < layer->outputs; ++o) put_sum(sums + 4 * o, start);
}

/* From sums to outputs, which may lie over the sums' start. */
static void finish_sums(uint8_t number, const int8_t *sums, int8_t *to) {
  spjax_layer copy;
  const spjax_layer *layer = layer_at(number, &copy);
  for (uint16_t o = 0; o < layer->outputs; ++o, sums += 4) {
    int32_t sum = sum_at(sums);
@RESULT@
    SPJAX_SEEN(layer, o, to[o]);
  }
}
"""

ADVANCE = """\
/* Last position along one axis that a window reads. */
static uint16_t last_read(uint16_t position, uint8_t step, uint8_t before,
                          uint16_t reach, uint16_t length) {
  uint16_t last = (uint16_t)(position * step + reach - before);
  return last < length ? last : (uint16_t)(length - 1);
}

static uint8_t bit(const uint8_t *bits, uint16_t i) {
  return (SPJAX_BYTE(bits + i / 8) >> (i & 7)) & 1;
}

/* Brings a unit to its next pixel, the present one included, that is wanted. */
static void seek(const spjax_unit *unit, spjax_progress *at) {
  uint16_t row, column;
  spjax_layer copy;
  const spjax_layer *layer;
  for (;; ++at->column) {
    if (at->column == unit->columns) {
      at->column = 0;
      ++at->row;
    }
    if (at->row == unit->rows) {
      at->next = SPJAX_DONE;
      return;
    }
    if (unit->wanted == 0) break;
    if (bit(unit->wanted, at->row) && bit(unit->wanted, unit->rows + at->column)) break;
  }
  row = at->row;
  column = at->column;
  at->need = at->next = (uint16_t)(row * unit->columns + column);
  if (unit->role == SPJAX_TAKES || unit->role == SPJAX_SUMS) return;
  if (unit->role == SPJAX_POOLED) {
    layer = layer_at(unit->pool, &copy);
    row = last_read(row, layer->down, layer->top, layer->high - 1, layer->height);
    column = last_read(column, layer->across, layer->left, layer->wide - 1,
                       layer->width);
  }
  layer = layer_at(unit->layer, &copy);
  row = last_read(row, layer->down, layer->top,
                  (layer->high - 1) * layer->apart_down, layer->height);
  column = last_read(column, layer->across, layer->left,
                     (layer->wide - 1) * layer->apart_across, layer->width);
  at->need = (uint16_t)(row * layer->width + column);
}
"""

STEP = """\
/* The place of a pixel that is taken as it is. */
static int take_pixel(const spjax_unit *unit, uint16_t pixel, spjax_feed *feed) {
  spjax_map ring = {unit->place, unit->pixels, unit->channels};
  int8_t *to = unit->place + place_of(&ring, pixel);
  if (feed->read == 0) {
    const int8_t *from = feed->map.base + place_of(&feed->map, pixel);
    for (uint16_t c = 0; c < unit->channels; ++c) to[c] = from[c];
    return 0;
  }
  for (; feed->taken <= pixel; ++feed->taken) /* also those that nothing reads */
    if (feed->read(feed->context, to, unit->channels)) return -1;
  return 0;
}

/* Computes the next pixel of a unit from its input. */
static int step(const spjax_unit *unit, const spjax_progress *at, const spjax_map *from,
                spjax_feed *feed) {
  spjax_map ring = {unit->place, unit->pixels, unit->channels};
  spjax_layer copy;
  const spjax_layer *layer;
  int8_t *to;
  if (unit->role == SPJAX_TAKES) return take_pixel(unit, at->next, feed);
  layer = layer_at(unit->layer, &copy);
@SUMS@
  to = unit->place + place_of(&ring, at->next);
@CASES@
  return 0;
}
"""

SUMS_CASE = """\
  if (unit->role == SPJAX_SUMS) {
    sum_pixel(layer, &feed->weights, from->base + place_of(from, at->next),
              unit->place);
    return 0;
  }"""

POOLED_CASE = """\
  if (unit->role == SPJAX_POOLED) {
    spjax_layer pool_copy;
    pooled_pixel(layer, layer_at(unit->pool, &pool_copy), from, at->row, at->column, to,
                 1);
    return 0;
  }"""

CONV_CASE = """\
  if (layer->kind == SPJAX_LINEAR)
    conv_pixel(layer, from, at->row, at->column, to, 0);"""

POOL_CASE = """\
  if (layer->kind != SPJAX_LINEAR) pool_pixel(layer, from, at->row, at->column, to);"""

STREAM = """\
/* Runs a chain to its end. */
static int stream(const spjax_unit *units, uint8_t count, spjax_feed *feed) {
  spjax_progress at[SPJAX_UNITS];
  uint8_t last = (uint8_t)(count - 1), u;
  for (u = 0; u < count; ++u) {
    spjax_unit copy;
    const spjax_unit *unit = unit_at(units + u, &copy);
    at[u].row = at[u].column = 0;
    seek(unit, &at[u]);
@PREPARE@
  }
  u = last;
  while (at[last].next != SPJAX_DONE) {
    spjax_unit copy, before;
    const spjax_unit *unit;
    spjax_map from = feed->map;
    while (u > 0 && at[u - 1].next <= at[u].need) --u; /* wait for the one before */
    unit = unit_at(units + u, &copy);
    if (u > 0) {
      const spjax_unit *input = unit_at(units + u - 1, &before);
      from.base = input->place;
      from.pixels = input->pixels;
      from.channels = input->channels;
    }
    if (step(unit, &at[u], &from, feed)) return -1;
    ++at[u].column;
    seek(unit, &at[u]);
    if (u < last) ++u;
  }
@DRAIN@
  return 0;
}
"""

PREPARE_SUMS = """\
    if (unit->role == SPJAX_SUMS) {
      spjax_layer layer_copy;
      const spjax_layer *layer = layer_at(unit->layer, &layer_copy);
      feed->weights = @FIRST@;
      clear_sums(layer, unit->place);
    }"""

DRAIN = """\
  if (feed->read) { /* what is left of the image */
    spjax_unit copy;
    const spjax_unit *unit = unit_at(units, &copy);
    uint16_t end = (uint16_t)(unit->rows * unit->columns);
    if (end && take_pixel(unit, (uint16_t)(end - 1), feed)) return -1;
  }"""

UNIT_AT = """\
/* A unit's description; on AVR it is copied out of flash first. */
static const spjax_unit *unit_at(const spjax_unit *unit, spjax_unit *copy) {
#ifdef __AVR__
  memcpy_P(copy, unit, sizeof *copy);
  return copy;
#else
  (void)copy;
  return unit;
#endif
}
"""

PLANE_TYPE = """\
/* A step of a chain that runs channel by channel. */
typedef struct {
  uint8_t layer;
  int8_t *place; /* one channel of what it computes; 0 for the chain's output */
} spjax_plane;
"""

PLANE_AT = """\
/* A step's description; on AVR it is copied out of flash first. */
static const spjax_plane *plane_at(const spjax_plane *plane, spjax_plane *copy) {
#ifdef __AVR__
  memcpy_P(copy, plane, sizeof *copy);
  return copy;
#else
  (void)copy;
  return plane;
#endif
}
"""

CHANNELS = """\
/* Runs a chain channel by channel: all its steps for one channel, then the next. */
static void by_channels(const spjax_plane *planes, uint8_t count, const int8_t *input,
                        uint16_t input_channels, int8_t *to) {
  spjax_cursor at[SPJAX_PLANES];
  spjax_plane plane_copy;
  spjax_layer copy;
  uint16_t channels = 1;
  for (uint8_t i = 0; i < count; ++i) {
    const spjax_layer *layer =
        layer_at(plane_at(planes + i, &plane_copy)->layer, &copy);
    at[i] = @FIRST@;
    channels = layer->outputs;
  }
  for (uint16_t channel = 0; channel < channels; ++channel) {
    spjax_map from = {input, 0, input_channels};
    for (uint8_t i = 0; i < count; ++i) {
      const spjax_plane *plane = plane_at(planes + i, &plane_copy);
      const spjax_layer *layer = layer_at(plane->layer, &copy);
      int8_t *out = plane->place ? plane->place : to + channel;
      uint16_t step = plane->place ? 1 : channels;
      uint16_t base = i ? 0 : (uint16_t)(channel / layer->group * layer->depth);
      uint16_t own = i ? 0 : channel;
      from.pixels = (uint16_t)(layer->height * layer->width);
@PLANE@
      from.base = out;
      from.channels = 1;
    }
  }
}
"""

CONV_PLANE = """\
/* One channel of a convolution, all pixels of it; the cursor moves to the next one. */
static void conv_plane(const spjax_layer *layer, const spjax_map *from,
                       uint16_t channel, uint16_t base, spjax_cursor *at, int8_t *to,
                       uint16_t step) {
  const int8_t *tap[SPJAX_TAPS];
  spjax_cursor begin = *at;
  for (uint16_t row = 0; row < layer->rows; ++row)
    for (uint16_t column = 0; column < layer->columns; ++column) {
      *at = begin;
      window(layer, from, row, column, tap);
      *to = finish(layer, channel, dot(layer, at, tap, base));
      SPJAX_SEEN(layer, (row * layer->columns + column) * layer->outputs + channel,
                 *to);
      to += step;
    }
}
"""

POOL_PLANE = """\
/* One channel of a pooling, all pixels of it. */
static void pool_plane(const spjax_layer *layer, const spjax_map *from,
                       uint16_t channel, uint16_t own, int8_t *to, uint16_t step) {
  (void)channel; /* for the trace only */
  for (uint16_t row = 0; row < layer->rows; ++row)
    for (uint16_t column = 0; column < layer->columns; ++column) {
      *to = pool_value(layer, from, row, column, own);
      SPJAX_SEEN(layer, (row * layer->columns + column) * layer->outputs + channel,
                 *to);
      to += step;
    }
}
"""
