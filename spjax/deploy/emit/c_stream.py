"""Streaming in the generated C: chains that never hold a map as a whole.

A chain is a table of units. A unit computes one pixel at a time into a ring of as many
pixels as the unit after it still needs (`spjax.analysis.stream`). The loop always runs
the last unit whose input is there: ``next`` of the unit before lies beyond ``need``,
the last input pixel that the unit's next pixel reads. That is the order in which the
analyser's simulation pulls pixels, without recursion.

Channel streaming runs all operations of a chain for one channel, through planes of one
channel each, before the next one begins (`spjax.analysis.channels`).

Words between ``@`` are holes that `spjax.deploy.emit.functions` fills or removes.
"""

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
  uint16_t outputs = GET16(layer->outputs);
  for (uint16_t o = 0; o < outputs; ++o, sums += 4) {
    int32_t sum = sum_at(sums);
@BODY@
    put_sum(sums, sum);
  }
}

static void clear_sums(const spjax_layer *layer, int8_t *sums) {
  uint16_t outputs = GET16(layer->outputs);
  int32_t start = @START@;
  for (uint16_t o = 0; o < outputs; ++o) put_sum(sums + 4 * o, start);
}

/* From sums to outputs, which may lie over the sums' start. */
static void finish_sums(const spjax_layer *layer, const int8_t *sums, int8_t *to) {
  uint16_t outputs = GET16(layer->outputs);
  for (uint16_t o = 0; o < outputs; ++o, sums += 4) {
    int32_t sum = sum_at(sums);
@RESULT@
    SEEN(layer, o, to[o]);
  }
}
"""

SUM_DENSE = "    sum += dot(layer, weights, &pixel, 0);"
SUM_POOL = "    sum = take(layer, sum, pixel[o]);"
RESULT_DENSE = "    to[o] = finish(layer, o, sum);"
RESULT_POOL = """\
    to[o] = pool_result(layer, sum,
                        (uint16_t)(GET16(layer->height) * GET16(layer->width)));"""

ADVANCE = """\
/* Last position along one axis that a window reads. */
static uint16_t last_read(uint16_t position, uint8_t step, uint8_t before,
                          uint16_t reach, uint16_t length) {
  uint16_t last = (uint16_t)(position * step + reach - before);
  return last < length ? last : (uint16_t)(length - 1);
}

static uint8_t bit(const uint8_t *bits, uint16_t i) {
  return (BYTE(bits + i / 8) >> (i & 7)) & 1;
}

/* Brings a unit to its next pixel that is wanted, the present one included. */
static void seek(const spjax_unit *unit, spjax_progress *at) {
  uint16_t rows = GET16(unit->rows), columns = GET16(unit->columns);
  const uint8_t *wanted = GET_TABLE(unit->wanted);
  for (;; ++at->column) {
    if (at->column == columns) {
      at->column = 0;
      ++at->row;
    }
    if (at->row == rows) {
      at->next = SPJAX_DONE;
      return;
    }
    if (wanted == 0) break;
    if (bit(wanted, at->row) && bit(wanted, (uint16_t)(rows + at->column))) break;
  }
  at->next = (uint16_t)(at->row * columns + at->column);
}

/* The last pixel of its input that a unit reads for its next one. */
static void look_ahead(const spjax_unit *unit, spjax_progress *at) {
  const spjax_layer *layer = GET_LAYER(unit->layer);
  uint16_t row = at->row, column = at->column;
  uint8_t role = GET8(unit->role);
  at->need = at->next;
  if (role == SPJAX_TAKES || role == SPJAX_SUMS) return;
  if (role == SPJAX_POOLED || role == SPJAX_GROWN) {
    const spjax_layer *pool = GET_LAYER(unit->pool);
    row = last_read(row, GET8(pool->down), GET8(pool->top), GET8(pool->high) - 1,
                    GET16(pool->height));
    column = last_read(column, GET8(pool->across), GET8(pool->left),
                       GET8(pool->wide) - 1, GET16(pool->width));
  }
  row = last_read(row, GET8(layer->down), GET8(layer->top),
                  (GET8(layer->high) - 1) * GET8(layer->apart_down),
                  GET16(layer->height));
  column = last_read(column, GET8(layer->across), GET8(layer->left),
                     (GET8(layer->wide) - 1) * GET8(layer->apart_across),
                     GET16(layer->width));
  at->need = (uint16_t)(row * GET16(layer->width) + column);
}
"""

TAKE_PIXEL = """\
/* The ring or the output of a unit. */
static void ring_of(const spjax_unit *unit, spjax_map *ring) {
  ring->base = GET_PLACE(unit->place);
  ring->pixels = GET16(unit->pixels);
  ring->channels = GET16(unit->channels);
}

/* Brings a pixel in as it is. */
static int take_pixel(int8_t *to, uint16_t pixel, spjax_feed *feed) {
  if (feed->read == 0) {
    const int8_t *from = feed->map.base + place_of(&feed->map, pixel);
    for (uint16_t c = feed->map.channels; c; --c) *to++ = *from++;
    return 0;
  }
  for (; feed->taken <= pixel; ++feed->taken) /* also those that nothing reads */
    if (feed->read(feed->context, to, feed->map.channels)) return -1;
  return 0;
}
"""

STEP = """\
/* Computes the next pixel of a unit from its input. */
static int step(const spjax_unit *unit, uint8_t first, const spjax_progress *at,
                spjax_feed *feed) {
  const spjax_layer *layer = GET_LAYER(unit->layer);
  int8_t *to = GET_PLACE(unit->place);
  uint8_t role = GET8(unit->role);
  spjax_map map;
  ring_of(unit, &map);
@SUMS@
  to += place_of(&map, at->next);
  if (role == SPJAX_TAKES) return take_pixel(to, at->next, feed);
@FROM@
@GROWN@
@POOLED@
@CONV@
@POOL@
  return 0;
}
"""

# What the unit reads: the ring of the unit before, or the chain's input.
FROM = """\
  if (first)
    map = feed->map;
  else
    ring_of(unit - 1, &map);"""

NOTHING_COMPUTED = "  (void)first; /* sums take the input's pixels as they are */"

SUMS_CASE = """\
  if (role == SPJAX_SUMS) {
    ring_of(unit - 1, &map);
    sum_pixel(layer, &feed->weights, map.base + place_of(&map, at->next), to);
    return 0;
  }"""

GROWN_CASE = """\
  if (role == SPJAX_GROWN)
    grown_pixel(layer, GET_LAYER(unit->pool), &map, at->row, at->column, to);"""

POOLED_CASE = """\
  if (role == SPJAX_POOLED)
    pooled_pixel(layer, GET_LAYER(unit->pool), &map, at->row, at->column, to);"""

CONV_CASE = """\
  if (role == SPJAX_WINDOW && GET8(layer->kind) == SPJAX_LINEAR)
    conv_pixel(layer, &map, at->row, at->column, to, 0);"""

POOL_CASE = """\
  if (role == SPJAX_WINDOW && GET8(layer->kind) != SPJAX_LINEAR)
    pool_pixel(layer, &map, at->row, at->column, to);"""

STREAM = """\
/* Runs a chain to its end. */
static int stream(const spjax_unit *units, uint8_t count, spjax_feed *feed) {
  spjax_progress at[SPJAX_UNITS];
  uint8_t last = (uint8_t)(count - 1), u;
  for (u = 0; u < count; ++u) {
    at[u].row = at[u].column = 0;
    seek(units + u, &at[u]);
    look_ahead(units + u, &at[u]);
@PREPARE@
  }
  u = last;
  while (at[last].next != SPJAX_DONE) {
    while (u > 0 && at[u - 1].next <= at[u].need) --u; /* wait for the one before */
    if (step(units + u, u == 0, &at[u], feed)) return -1;
    ++at[u].column;
    seek(units + u, &at[u]);
    look_ahead(units + u, &at[u]);
    if (u < last) ++u;
  }
@DRAIN@
  return 0;
}
"""

PREPARE_SUMS = """\
    if (GET8(units[u].role) == SPJAX_SUMS) {
@FIRST@
      clear_sums(GET_LAYER(units[u].layer), GET_PLACE(units[u].place));
    }"""

DRAIN = """\
  if (feed->read) /* what is left of the image */
    return take_pixel(GET_PLACE(units->place), (uint16_t)(feed->map.pixels - 1),
                      feed);"""

CHANNELS = """\
/* Runs a chain channel by channel: all its steps for one channel, then the next. */
static void by_channels(const spjax_plane *planes, uint8_t count, const int8_t *input,
                        uint16_t input_channels, int8_t *to) {
  spjax_cursor at[SPJAX_PLANES];
  uint16_t channels = GET16(GET_LAYER(planes[count - 1].layer)->outputs);
@FIRST@
  for (uint16_t channel = 0; channel < channels; ++channel) {
    spjax_map from = {input, 0, input_channels};
    for (uint8_t i = 0; i < count; ++i) {
      const spjax_layer *layer = GET_LAYER(planes[i].layer);
      int8_t *place = GET_PLACE(planes[i].place);
      int8_t *out = place ? place : to + channel;
      uint16_t step = place ? 1 : channels;
      uint16_t own = i ? 0 : channel;
      from.pixels = (uint16_t)(GET16(layer->height) * GET16(layer->width));
@PLANE@
      from.base = out;
      from.channels = 1;
    }
  }
}
"""

CONV_PLANE = """\
/* One channel of a convolution, all pixels of it, from the input channels that its
   own-th output sees; the cursor moves to the next one. */
static void conv_plane(const spjax_layer *layer, const spjax_map *from,
                       uint16_t channel, uint16_t own, spjax_cursor *at, int8_t *to,
                       uint16_t step) {
  const int8_t *tap[SPJAX_TAPS];
  spjax_cursor begin = *at;
  uint16_t base = (uint16_t)(own / GET16(layer->group) * GET_COUNT(layer->depth));
  uint16_t rows = GET16(layer->rows), columns = GET16(layer->columns);
  for (uint16_t row = 0; row < rows; ++row)
    for (uint16_t column = 0; column < columns; ++column) {
      *at = begin;
      window(layer, from, row, column, tap);
      *to = finish(layer, channel, dot(layer, at, tap, base));
      SEEN(layer, (row * columns + column) * GET16(layer->outputs) + channel, *to);
      to += step;
    }
}
"""

POOL_PLANE = """\
/* One channel of a pooling, all pixels of it, from the own-th channel of its input. */
static void pool_plane(const spjax_layer *layer, const spjax_map *from,
                       uint16_t channel, uint16_t own, int8_t *to, uint16_t step) {
  uint16_t rows = GET16(layer->rows), columns = GET16(layer->columns);
  (void)channel; /* for the trace only */
  for (uint16_t row = 0; row < rows; ++row)
    for (uint16_t column = 0; column < columns; ++column) {
      *to = pool_value(layer, from, row, column, own);
      SEEN(layer, (row * columns + column) * GET16(layer->outputs) + channel, *to);
      to += step;
    }
}
"""
