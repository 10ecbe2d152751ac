"""A program that runs a few images on the network and compares, and its Makefile.

It needs a C compiler and stdio only; the images and the outputs of the integer
reference are in a header beside it.
"""

import numpy as np

from spjax.deploy.emit.layers import EmitError
from spjax.deploy.emit.model import Model

_PROGRAM = """\
/* Runs the images of spjax_test_data.h and compares every output with what it has to
   be. Returns the number of images that came out wrong. */
#include <stdio.h>

#include "spjax_model.h"
#include "spjax_test_data.h"

int main(void) {
  int wrong = 0;
  for (int i = 0; i < SPJAX_TEST_IMAGES; ++i) {
    int8_t output[SPJAX_CLASSES];
    static int8_t input[SPJAX_INPUT_BYTES];
    int different = 0, best;
    for (int k = 0; k < SPJAX_INPUT_BYTES; ++k)
      input[k] = SPJAX_TEST_BYTE(spjax_test_input[i][k]);
    best = spjax_predict(input, output);
    for (int k = 0; k < SPJAX_CLASSES; ++k)
      different += output[k] != SPJAX_TEST_BYTE(spjax_test_output[i][k]);
    printf("image %d: class %d, %s\\n", i, best,
           different ? "WRONG: outputs differ" : "outputs as expected");
    wrong += different != 0;
  }
  printf("%d of %d images as expected\\n", SPJAX_TEST_IMAGES - wrong,
         SPJAX_TEST_IMAGES);
  return wrong;
}
"""

_FLASH = """\
/* In flash, as the network's constants are; SPJAX_TEST_BYTE reads an element. */
#ifdef __AVR__
#include <avr/pgmspace.h>
#define SPJAX_TEST_FLASH PROGMEM
#define SPJAX_TEST_BYTE(element) ((int8_t)pgm_read_byte(&(element)))
#else
#define SPJAX_TEST_FLASH
#define SPJAX_TEST_BYTE(element) (element)
#endif
"""

_MAKEFILE = """\
# Builds the network and its self-test on this computer:
#   make test    runs a few images and compares the outputs
#   make size    what the network takes, compiled for this computer
CC ?= cc
CFLAGS ?= -O2
NETWORK_FLAGS = -std=c99 -Wall -Wextra

test: selftest
\t./selftest

selftest: selftest.c @SOURCES@ spjax_model.h spjax_test_data.h
\t$(CC) $(CFLAGS) $(NETWORK_FLAGS) selftest.c @SOURCES@ -o $@

size: @OBJECTS@
\tsize $^

%.o: %.c spjax_model.h
\t$(CC) $(CFLAGS) $(NETWORK_FLAGS) -c $< -o $@

clean:
\trm -f selftest *.o

.PHONY: test size clean
"""


def self_test(model: Model, images: np.ndarray, outputs: np.ndarray) -> dict[str, str]:
    """A self-test for a firmware folder.

    Args:
      model: the network.
      images: int8 [n, ..], inputs of the network; n is 1 or more.
      outputs: int8 [n, classes], what the integer reference makes of them.

    Returns:
      File name -> text: ``selftest.c`` and ``spjax_test_data.h``.

    Raises:
      EmitError: if the arrays are not int8 or do not fit the network.
    """
    program = model.quantised.program
    elements = program.tensors[program.inputs[0]].elements
    classes = program.tensors[program.outputs[0]].elements
    for what, array, size in (
        ("images", images, elements),
        ("outputs", outputs, classes),
    ):
        if array.dtype != np.int8 or array[:1].size != size or not len(array):
            raise EmitError(
                f"{what} of the self-test are {array.dtype} of shape {array.shape};"
                f" give int8 with {size} numbers for each image."
            )
    if len(images) != len(outputs):
        raise EmitError(
            f"the self-test has {len(images)} images and {len(outputs)} outputs; give"
            " as many of both."
        )
    data = [
        "/* Inputs of the network, and what it has to make of them. */",
        '#include "spjax_model.h"\n',
        f"#define SPJAX_TEST_IMAGES {len(images)}\n",
        _FLASH,
        _arrays("spjax_test_input", "SPJAX_INPUT_BYTES", images),
        _arrays("spjax_test_output", "SPJAX_CLASSES", outputs),
    ]
    return {"selftest.c": _PROGRAM, "spjax_test_data.h": "\n".join(data)}


def makefile(model: Model) -> dict[str, str]:
    """``Makefile``: builds the self-test of `self_test` on this computer."""
    sources = " ".join(model.network_sources)
    text = _MAKEFILE.replace("@SOURCES@", sources)
    return {"Makefile": text.replace("@OBJECTS@", sources.replace(".c", ".o"))}


def _arrays(symbol: str, size: str, rows: np.ndarray) -> str:
    head = f"static const int8_t {symbol}[SPJAX_TEST_IMAGES][{size}]"
    lines = [f"{head} SPJAX_TEST_FLASH = {{"]
    for row in rows.reshape(len(rows), -1):
        numbers = [str(int(v)) for v in row]
        lines.append("    {")
        for start in range(0, len(numbers), 18):
            lines.append("        " + ", ".join(numbers[start : start + 18]) + ",")
        lines.append("    },")
    return "\n".join([*lines, "};", ""])
