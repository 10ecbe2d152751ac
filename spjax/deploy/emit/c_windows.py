"""Operations with a window, in the generated C: convolution, dense, pooling.

All of them compute one output element after another, in memory order, from what is in
memory at that moment, which is what the bound of an overlapping plan is about
(`spjax.analysis.overlap`). Maps may be rings of pixels.
"""

PLACE = """\
/* Bytes from a map's base to one of its pixels. */
static spjax_count place_of(const spjax_map *map, uint16_t pixel) {
  if (pixel >= map->pixels) pixel %= map->pixels;
  return (spjax_count)((spjax_count)pixel * map->channels);
}
"""

WINDOW = """\
/* Addresses of the pixels under the window at (row, column); 0 in the padding. */
APART static void window(const spjax_layer *layer, const spjax_map *from,
                         uint16_t row, uint16_t column, const int8_t **tap) {
  uint8_t apart = GET8(layer->apart_across);
  spjax_count size = (spjax_count)((spjax_count)from->pixels * from->channels);
  spjax_count step = (spjax_count)((spjax_count)apart * from->channels);
  int16_t height = (int16_t)GET16(layer->height), width = (int16_t)GET16(layer->width);
  int16_t y = (int16_t)(row * GET8(layer->down) - GET8(layer->top));
  int16_t left = (int16_t)(column * GET8(layer->across) - GET8(layer->left));
  for (uint8_t i = GET8(layer->high); i; --i) {
    int16_t x = left;
    spjax_count place = 0;
    uint8_t known = 0;
    for (uint8_t j = GET8(layer->wide); j; --j) {
      *tap = 0;
      if (y >= 0 && y < height && x >= 0 && x < width) {
        if (known) {
          place += step;
          if (place >= size) place -= size;
        } else {
          place = place_of(from, (uint16_t)((uint16_t)y * (uint16_t)width + x));
          known = 1;
        }
        *tap = from->base + place;
      }
      ++tap;
      x = (int16_t)(x + apart);
    }
    y = (int16_t)(y + GET8(layer->apart_down));
  }
}
"""

CONV_PIXEL = """\
/* All outputs of one pixel. If best is set, only values that are larger than what is
   there already are written. */
APART static void conv_pixel(const spjax_layer *layer, const spjax_map *from,
                             uint16_t row, uint16_t column, int8_t *to, uint8_t best) {
  const int8_t *tap[SPJAX_TAPS];
  spjax_cursor at;
  uint16_t outputs = GET16(layer->outputs), group = GET16(layer->group);
  uint16_t base = 0, left = group;
  window(layer, from, row, column, tap);
  first_row(layer, &at);
  for (uint16_t o = 0; o < outputs; ++o, ++to) {
    int8_t value = finish(layer, o, dot(layer, &at, tap, base));
    SEEN(layer, (row * GET16(layer->columns) + column) * outputs + o, value);
    if (!best || value > *to) *to = value;
    if (--left == 0) {
      base += (uint16_t)GET_COUNT(layer->depth);
      left = group;
    }
  }
}
"""

CONV = """\
/* A convolution or a dense layer on a whole map. */
static void conv(const spjax_layer *layer, const int8_t *input, uint16_t channels,
                 int8_t *to) {
  uint16_t rows = GET16(layer->rows), columns = GET16(layer->columns);
  spjax_map from = {input, 0, channels};
  from.pixels = (uint16_t)(GET16(layer->height) * GET16(layer->width));
  for (uint16_t row = 0; row < rows; ++row)
    for (uint16_t column = 0; column < columns; ++column) {
      conv_pixel(layer, &from, row, column, to, 0);
      to += GET16(layer->outputs);
    }
}
"""

CLIP = """\
/* The part of a pooling's window that lies inside of its input. */
typedef struct {
  uint16_t top, bottom, left, right; /* bottom and right are outside already */
} spjax_area;

static void area_of(const spjax_layer *pool, uint16_t row, uint16_t column,
                    spjax_area *area) {
  int16_t y = (int16_t)(row * GET8(pool->down) - GET8(pool->top));
  int16_t x = (int16_t)(column * GET8(pool->across) - GET8(pool->left));
  area->top = (uint16_t)(y < 0 ? 0 : y);
  area->left = (uint16_t)(x < 0 ? 0 : x);
  area->bottom = (uint16_t)(y + GET8(pool->high));
  area->right = (uint16_t)(x + GET8(pool->wide));
  if (area->bottom > GET16(pool->height)) area->bottom = GET16(pool->height);
  if (area->right > GET16(pool->width)) area->right = GET16(pool->width);
}
"""

POOL_RESULT = """\
/* From the maximum or the sum of a window to its value. An average is rounded to the
   nearest whole number, halves away from 0. */
static int8_t pool_result(const spjax_layer *pool, int32_t total, uint16_t count) {
  if (GET8(pool->kind) == SPJAX_AVERAGE) {
    int32_t half = total > 0 ? count / 2 : -(int32_t)(count / 2);
    total = (total + half) / (int32_t)count;
  }
  return clamp(total, GET_INT8(pool->minimum), GET_INT8(pool->maximum));
}
"""

NOTHING = """\
/* A maximum or a sum of nothing. */
static int32_t nothing_taken(const spjax_layer *pool) {
  return GET8(pool->kind) == SPJAX_AVERAGE ? 0 : -128;
}
"""

TAKE = """\
/* Takes one more value into a maximum or a sum. */
static int32_t take(const spjax_layer *pool, int32_t total, int8_t value) {
  if (GET8(pool->kind) == SPJAX_AVERAGE) return total + value;
  return value > total ? value : total;
}
"""

POOL_VALUE = """\
/* One channel of one pixel of a pooling. */
static int8_t pool_value(const spjax_layer *pool, const spjax_map *from, uint16_t row,
                         uint16_t column, uint16_t channel) {
  spjax_count size = (spjax_count)((spjax_count)from->pixels * from->channels);
  uint16_t count = 0;
  int32_t total = nothing_taken(pool);
  spjax_area area;
  area_of(pool, row, column, &area);
  for (uint16_t y = area.top; y < area.bottom; ++y) {
    spjax_count place =
        place_of(from, (uint16_t)(y * GET16(pool->width) + area.left));
    for (uint16_t x = area.left; x < area.right; ++x) {
      total = take(pool, total, from->base[place + channel]);
      ++count;
      place += from->channels;
      if (place >= size) place = 0;
    }
  }
  return pool_result(pool, total, count);
}
"""

POOL_PIXEL = """\
/* All channels of one pixel of a pooling. */
static void pool_pixel(const spjax_layer *pool, const spjax_map *from, uint16_t row,
                       uint16_t column, int8_t *to) {
  uint16_t outputs = GET16(pool->outputs);
  for (uint16_t c = 0; c < outputs; ++c) {
    to[c] = pool_value(pool, from, row, column, c);
    SEEN(pool, (row * GET16(pool->columns) + column) * outputs + c, to[c]);
  }
}
"""

POOL = """\
/* A pooling of a whole map. */
static void pool(const spjax_layer *layer, const int8_t *input, int8_t *to) {
  uint16_t rows = GET16(layer->rows), columns = GET16(layer->columns);
  spjax_map from = {input, 0, GET16(layer->outputs)};
  from.pixels = (uint16_t)(GET16(layer->height) * GET16(layer->width));
  for (uint16_t row = 0; row < rows; ++row)
    for (uint16_t column = 0; column < columns; ++column) {
      pool_pixel(layer, &from, row, column, to);
      to += from.channels;
    }
}
"""

POOLED_GROWS = """\
/* All channels of one pixel of a maximum whose input is computed here and now, by a
   convolution. The maxima grow in their place, which is no input of it. */
static void grown_pixel(const spjax_layer *layer, const spjax_layer *pool,
                        const spjax_map *from, uint16_t row, uint16_t column,
                        int8_t *to) {
  uint16_t outputs = GET16(layer->outputs);
  uint8_t best = 0;
  spjax_area area;
  area_of(pool, row, column, &area);
  for (uint16_t y = area.top; y < area.bottom; ++y)
    for (uint16_t x = area.left; x < area.right; ++x) {
      conv_pixel(layer, from, y, x, to, best);
      best = 1;
    }
  for (uint16_t o = 0; o < outputs; ++o) {
    to[o] = clamp(to[o], GET_INT8(pool->minimum), GET_INT8(pool->maximum));
    SEEN(pool, (row * GET16(pool->columns) + column) * outputs + o, to[o]);
  }
}
"""

POOLED_PIXEL = """\
/* All channels of one pixel of a pooling whose input is computed here and now, by a
   convolution: channel by channel, each in a register. */
static void pooled_pixel(const spjax_layer *layer, const spjax_layer *pool,
                         const spjax_map *from, uint16_t row, uint16_t column,
                         int8_t *to) {
  const int8_t *tap[SPJAX_TAPS];
  uint16_t outputs = GET16(layer->outputs), group = GET16(layer->group);
  uint16_t base = 0, left = group;
  spjax_cursor at;
  spjax_area area;
  area_of(pool, row, column, &area);
  first_row(layer, &at);
  for (uint16_t o = 0; o < outputs; ++o) {
    int32_t total = nothing_taken(pool);
    uint16_t count = 0;
    spjax_cursor start = at;
    for (uint16_t y = area.top; y < area.bottom; ++y)
      for (uint16_t x = area.left; x < area.right; ++x) {
        int8_t value;
        at = start; /* the same row of weights again */
        window(layer, from, y, x, tap);
        value = finish(layer, o, dot(layer, &at, tap, base));
        SEEN(layer, (y * GET16(layer->columns) + x) * outputs + o, value);
        total = take(pool, total, value);
        ++count;
      }
    to[o] = pool_result(pool, total, count);
    SEEN(pool, (row * GET16(pool->columns) + column) * outputs + o, to[o]);
    if (--left == 0) {
      base += (uint16_t)GET_COUNT(layer->depth);
      left = group;
    }
  }
}
"""

# NAME is grown, whose output shares no byte with its input, or pooled.
POOLED = """\
/* A convolution and the pooling after it; the map between them is never in memory. */
static void NAME(const spjax_layer *layer, const spjax_layer *pool,
                 const int8_t *input, uint16_t channels, int8_t *to) {
  uint16_t rows = GET16(pool->rows), columns = GET16(pool->columns);
  spjax_map from = {input, 0, channels};
  from.pixels = (uint16_t)(GET16(layer->height) * GET16(layer->width));
  for (uint16_t row = 0; row < rows; ++row)
    for (uint16_t column = 0; column < columns; ++column) {
      NAME_pixel(layer, pool, &from, row, column, to);
      to += GET16(pool->outputs);
    }
}
"""
