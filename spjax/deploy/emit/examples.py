"""Example programs around a network: an Arduino sketch, and a main without a library.

Both take the image as the network's plan wants it: pixel by pixel from a line where
the plan streams it, row by row into the arena where it has a place there, and as an
array of the caller's where it lies outside of the arena.
"""

from spjax.deploy.emit.model import Model

_SKETCH = """\
/* Arduino: classifies images that come over the serial line.

   Put this file, spjax_model.h and spjax_model.c into a folder called spjax_example
   (rename this file to spjax_example.ino), open it, upload. The sketch writes '?' and
   the number of bytes it can take now (two bytes, low one first) whenever it is ready
   for more of an image: answer with so many int8 pixels. After the last ones it writes
   the class as text, and a new line. */
#include "spjax_model.h"

static int take(void *context, int8_t *pixels, uint16_t bytes) {
  (void)context;
  Serial.write('?');
  Serial.write((uint8_t)bytes);
  Serial.write((uint8_t)(bytes >> 8));
  for (uint16_t i = 0; i < bytes; ++i) {
    while (!Serial.available()) {
    }
    pixels[i] = (int8_t)Serial.read();
  }
  return 0;
}

void setup() { Serial.begin(115200); }

void loop() {
  int8_t output[SPJAX_CLASSES];
@PREDICT@
  Serial.println(best);
}
"""

_SKETCH_ROWS = "  int best = spjax_predict_rows(take, 0, output);"
_SKETCH_ARRAY = """\
  static int8_t image[SPJAX_INPUT_BYTES];
  for (uint16_t row = 0; row < SPJAX_INPUT_ROWS; ++row)
    take(0, image + row * SPJAX_ROW_BYTES, SPJAX_ROW_BYTES);
  int best = spjax_predict(image, output);"""

_BARE = """\
/* Bare metal: classifies images in a loop; no library, no heap, no operating system.

   next_pixel is where your camera or line goes. Here it delivers the self-test's images
   again and again, so that the program can be built and watched as it is. */
#include "spjax_model.h"
#include "spjax_test_data.h"

volatile int spjax_class; /* the latest result: watch it with a debugger */

static int8_t next_pixel(void) {
  static uint32_t position;
  uint32_t at = position++ % ((uint32_t)SPJAX_TEST_IMAGES * SPJAX_INPUT_BYTES);
  uint32_t image = at / SPJAX_INPUT_BYTES, element = at % SPJAX_INPUT_BYTES;
  return SPJAX_TEST_BYTE(spjax_test_input[image][element]);
}

static int take(void *context, int8_t *pixels, uint16_t bytes) {
  (void)context;
  while (bytes--) *pixels++ = next_pixel();
  return 0;
}

int main(void) {
  static int8_t output[SPJAX_CLASSES];
  for (;;) {
@PREDICT@
  }
}
"""

_BARE_ROWS = "    spjax_class = spjax_predict_rows(take, 0, output);"
_BARE_ARRAY = """\
    static int8_t image[SPJAX_INPUT_BYTES];
    for (uint16_t row = 0; row < SPJAX_INPUT_ROWS; ++row)
      take(0, image + row * SPJAX_ROW_BYTES, SPJAX_ROW_BYTES);
    spjax_class = spjax_predict(image, output);"""


def examples(model: Model) -> dict[str, str]:
    """Example programs.

    Args:
      model: the network.

    Returns:
      File name -> text: ``example_arduino.ino``, and ``example_bare_metal.c``, which
      includes the ``spjax_test_data.h`` of `spjax.deploy.emit.self_test`.
    """
    rows = "spjax_predict_rows" in model.files["spjax_model.h"]
    sketch, bare = (_SKETCH_ROWS, _BARE_ROWS) if rows else (_SKETCH_ARRAY, _BARE_ARRAY)
    return {
        "example_arduino.ino": _SKETCH.replace("@PREDICT@", sketch),
        "example_bare_metal.c": _BARE.replace("@PREDICT@", bare),
    }
