"""A dense layer in hand-written C, with the interface of emitted networks.

Its outputs are worked out by numpy; its RAM, weights and constants are known.
"""

import os
import pathlib

import numpy as np
import pytest

from spjax import deploy

PIXELS, CLASSES = 64, 3
ARENA_BYTES = PIXELS + 7  # no multiple of a word
INTERFACE = deploy.Interface("spjax_model.h", PIXELS, CLASSES)
WEIGHTS = {"spjax_test_weights": CLASSES * PIXELS}
BOARDS = ("uno", "microbit", "stm32vldiscovery", "netduinoplus2")

HEADER = f"""
#include <stdint.h>
#define SPJAX_CLASSES {CLASSES}
#define SPJAX_ARENA_BYTES {ARENA_BYTES}
typedef int (*spjax_read)(void *context, int8_t *pixels, uint16_t bytes);
int spjax_predict_rows(spjax_read read, void *context, int8_t *output);
"""

SOURCE = """
#include "spjax_model.h"
#ifdef __AVR__
#include <avr/pgmspace.h>
#define ROM PROGMEM
#define READ(p) ((int8_t)pgm_read_byte(p))
#else
#define ROM
#define READ(p) (*(p))
#endif
static uint8_t spjax_arena[SPJAX_ARENA_BYTES];
static const int8_t spjax_test_weights[] ROM = {%(weights)s};
static const int8_t spjax_test_bias[] ROM = {%(bias)s};
%(before)s
int spjax_predict_rows(spjax_read read, void *context, int8_t *output)
{
  int8_t *const x = (int8_t *)spjax_arena;
  int best = 0;
  for (int row = 0; row < 8; ++row) {
    if (read(context, x + 8 * row, 8)) {
      return -1;
    }
  }
  %(inside)s
  for (int c = 0; c < SPJAX_CLASSES; ++c) {
    int32_t sum = READ(spjax_test_bias + c) * (int32_t)256;
    for (int i = 0; i < 64; ++i) {
      sum += (int32_t)x[i] * READ(spjax_test_weights + 64 * c + i);
    }
    output[c] = (int8_t)(sum >> 11);
    if (output[c] > output[best]) {
      best = c;
    }
  }
  return best;
}
"""


def board_named(name: str) -> deploy.Board:
    return deploy.HOST_BOARD if name == "host" else deploy.get_board(name)


def need(name: str) -> deploy.Board:
    """The board; without its tools the test is skipped, and fails where CI is set."""
    board = board_named(name)
    missing = deploy.missing_packages(board)
    if missing:
        message = f"needs the packages {' '.join(missing)}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    return board


def images(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, (count, 8, 8), np.int8)


def parameters() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(-127, 128, (CLASSES, PIXELS)), rng.integers(-9, 9, CLASSES)


def expected(x: np.ndarray) -> np.ndarray:
    weights, bias = parameters()
    sums = x.reshape(len(x), -1).astype(int) @ weights.T + 256 * bias
    return (sums >> 11).astype(np.int8)


def write(folder: pathlib.Path, *, before: str = "", inside: str = "") -> pathlib.Path:
    """Writes the sources; ``before`` and ``inside`` are C to add."""
    folder.mkdir(parents=True, exist_ok=True)
    weights, bias = parameters()
    (folder / "spjax_model.h").write_text(HEADER)
    text = SOURCE % {
        "weights": ",".join(map(str, weights.reshape(-1))),
        "bias": ",".join(map(str, bias)),
        "before": before,
        "inside": inside,
    }
    (folder / "spjax_model.c").write_text(text)
    return folder / "spjax_model.c"


def build(
    board: deploy.Board, folder: pathlib.Path, *, before: str = "", inside: str = ""
) -> deploy.Firmware:
    source = write(folder / "source", before=before, inside=inside)
    return deploy.build_firmware(board, [source], INTERFACE, folder / "build")
