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
static void window(const spjax_layer *layer, const spjax_map *from, uint16_t row,
                   uint16_t column, const int8_t **tap) {
  spjax_count size = (spjax_count)((spjax_count)from->pixels * from->channels);
  spjax_count step = (spjax_count)((spjax_count)layer->apart_across * from->channels);
  int16_t y = (int16_t)(row * layer->down - layer->top);
  int16_t left = (int16_t)(column * layer->across - layer->left);
  for (uint8_t i = layer->high; i; --i) {
    int16_t x = left;
    spjax_count place = 0;
    uint8_t known = 0;
    for (uint8_t j = layer->wide; j; --j) {
      *tap = 0;
      if (y >= 0 && y < (int16_t)layer->height && x >= 0 &&
          x < (int16_t)layer->width) {
        if (known) {
          place = (spjax_count)(place + step);
          if (place >= size) place = (spjax_count)(place - size);
        } else {
          place = place_of(from, (uint16_t)((uint16_t)y * layer->width + (uint16_t)x));
          known = 1;
        }
        *tap = from->base + place;
      }
      ++tap;
      x = (int16_t)(x + layer->apart_across);
    }
    y = (int16_t)(y + layer->apart_down);
  }
}
"""

CONV_PIXEL = """\
/* All outputs of one pixel. If best is set, only values that are larger than what is
   there already are written. */
static void conv_pixel(const spjax_layer *layer, const spjax_map *from, uint16_t row,
                       uint16_t column, int8_t *to, uint8_t best) {
  const int8_t *tap[SPJAX_TAPS];
  spjax_cursor at = first_row(layer);
  uint16_t base = 0, left = layer->group;
  window(layer, from, row, column, tap);
  for (uint16_t o = 0; o < layer->outputs; ++o) {
    int8_t value = finish(layer, o, dot(layer, &at, tap, base));
    SPJAX_SEEN(layer, (row * layer->columns + column) * layer->outputs + o, value);
    if (!best || value > to[o]) to[o] = value;
    if (--left == 0) {
      base = (uint16_t)(base + layer->depth);
      left = layer->group;
    }
  }
}
"""

CONV = """\
/* A convolution or a dense layer on a whole map. */
static void conv(uint8_t number, const int8_t *input, uint16_t channels, int8_t *to) {
  spjax_layer copy;
  const spjax_layer *layer = layer_at(number, &copy);
  spjax_map from = {input, (uint16_t)(layer->height * layer->width), channels};
  for (uint16_t row = 0; row < layer->rows; ++row)
    for (uint16_t column = 0; column < layer->columns; ++column) {
      conv_pixel(layer, &from, row, column, to, 0);
      to += layer->outputs;
    }
}
"""

CLIP = """\
/* The part of a pooling's window that lies inside of its input. */
typedef struct {
  uint16_t top, bottom, left, right; /* bottom and right are outside already */
} spjax_area;

static spjax_area area_of(const spjax_layer *pool, uint16_t row, uint16_t column) {
  int16_t y = (int16_t)(row * pool->down - pool->top);
  int16_t x = (int16_t)(column * pool->across - pool->left);
  spjax_area area;
  area.top = (uint16_t)(y < 0 ? 0 : y);
  area.left = (uint16_t)(x < 0 ? 0 : x);
  area.bottom = (uint16_t)(y + pool->high);
  area.right = (uint16_t)(x + pool->wide);
  if (area.bottom > pool->height) area.bottom = pool->height;
  if (area.right > pool->width) area.right = pool->width;
  return area;
}
"""

POOL_RESULT = """\
/* From the maximum or the sum of a window to its value. An average is rounded to the
   nearest whole number, halves away from 0. */
static int8_t pool_result(const spjax_layer *pool, int32_t total, uint16_t count) {
  if (pool->kind == SPJAX_AVERAGE) {
    int32_t half = total > 0 ? count / 2 : -(int32_t)(count / 2);
    total = (total + half) / (int32_t)count;
  }
  return clamp(total, pool->minimum, pool->maximum);
}
"""

TAKE = """\
/* Takes one more value into a maximum or a sum. */
static int32_t take(const spjax_layer *pool, int32_t total, int8_t value) {
  if (pool->kind == SPJAX_AVERAGE) return total + value;
  return value > total ? value : total;
}
"""

NOTHING = """\
/* A maximum or a sum of nothing. */
static int32_t nothing_taken(const spjax_layer *pool) {
  return pool->kind == SPJAX_AVERAGE ? 0 : -128;
}
"""

POOL_VALUE = """\
/* One channel of one pixel of a pooling. */
static int8_t pool_value(const spjax_layer *pool, const spjax_map *from, uint16_t row,
                         uint16_t column, uint16_t channel) {
  spjax_count size = (spjax_count)((spjax_count)from->pixels * from->channels);
  uint16_t count = 0;
  spjax_area area = area_of(pool, row, column);
  int32_t total = nothing_taken(pool);
  for (uint16_t y = area.top; y < area.bottom; ++y) {
    spjax_count place = place_of(from, (uint16_t)(y * pool->width + area.left));
    for (uint16_t x = area.left; x < area.right; ++x) {
      total = take(pool, total, from->base[place + channel]);
      ++count;
      place = (spjax_count)(place + from->channels);
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
  for (uint16_t c = 0; c < pool->outputs; ++c) {
    to[c] = pool_value(pool, from, row, column, c);
    SPJAX_SEEN(pool, (row * pool->columns + column) * pool->outputs + c, to[c]);
  }
}
"""

POOL = """\
/* A pooling of a whole map. */
static void pool(uint8_t number, const int8_t *input, int8_t *to) {
  spjax_layer copy;
  const spjax_layer *layer = layer_at(number, &copy);
  spjax_map from = {input, (uint16_t)(layer->height * layer->width), layer->outputs};
  for (uint16_t row = 0; row < layer->rows; ++row)
    for (uint16_t column = 0; column < layer->columns; ++column) {
      pool_pixel(layer, &from, row, column, to);
      to += layer->outputs;
    }
}
"""

POOLED_PIXEL = """\
/* All channels of one pixel of a pooling whose input is computed here and now, by a
   convolution. If apart is set, the pixel's place is no input of it. */
static void pooled_pixel(const spjax_layer *layer, const spjax_layer *pool,
                         const spjax_map *from, uint16_t row, uint16_t column,
                         int8_t *to, uint8_t apart) {
  const int8_t *tap[SPJAX_TAPS];
  spjax_area area = area_of(pool, row, column);
  uint16_t count = (uint16_t)((area.bottom - area.top) * (area.right - area.left));
  uint16_t base = 0, left = layer->group;
  spjax_cursor at = first_row(layer);
  if (apart && pool->kind == SPJAX_MAXIMUM) { /* the maximum grows in its place */
    uint8_t best = 0;
    for (uint16_t y = area.top; y < area.bottom; ++y)
      for (uint16_t x = area.left; x < area.right; ++x) {
        conv_pixel(layer, from, y, x, to, best);
        best = 1;
      }
    for (uint16_t o = 0; o < layer->outputs; ++o) {
      to[o] = clamp(to[o], pool->minimum, pool->maximum);
      SPJAX_SEEN(pool, (row * pool->columns + column) * pool->outputs + o, to[o]);
    }
    return;
  }
  for (uint16_t o = 0; o < layer->outputs; ++o) {
    int32_t total = nothing_taken(pool);
    spjax_cursor start = at;
    for (uint16_t y = area.top; y < area.bottom; ++y)
      for (uint16_t x = area.left; x < area.right; ++x) {
        int8_t value;
        at = start; /* the same row of weights again */
        window(layer, from, y, x, tap);
        value = finish(layer, o, dot(layer, &at, tap, base));
        SPJAX_SEEN(layer, (y * layer->columns + x) * layer->outputs + o, value);
        total = take(pool, total, value);
      }
    to[o] = pool_result(pool, total, count);
    SPJAX_SEEN(pool, (row * pool->columns + column) * pool->outputs + o, to[o]);
    if (--left == 0) {
      base = (uint16_t)(base + layer->depth);
      left = layer->group;
    }
  }
}
"""

POOLED = """\
/* A convolution and the pooling after it; the map between them is never in memory. */
static void pooled(uint8_t number, uint8_t pool_number, const int8_t *input,
                   uint16_t channels, int8_t *to, uint8_t apart) {
  spjax_layer copy, pool_copy;
  const spjax_layer *layer = layer_at(number, &copy);
  const spjax_layer *pool = layer_at(pool_number, &pool_copy);
  spjax_map from = {input, (uint16_t)(layer->height * layer->width), channels};
  for (uint16_t row = 0; row < pool->rows; ++row)
    for (uint16_t column = 0; column < pool->columns; ++column) {
      pooled_pixel(layer, pool, &from, row, column, to, apart);
      to += pool->outputs;
    }
}
"""
