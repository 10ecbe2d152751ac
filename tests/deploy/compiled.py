"""Compiles emitted C on this machine and runs it, hearing every activation.

The C compiler is an independent judge: warnings are errors, and addresses and
undefined behaviour are checked as it runs.
"""

import pathlib
import shutil
import subprocess

import numpy as np

from spjax.deploy import integer

FLAGS = (
    "-std=c99 -pedantic -Wall -Wextra -Werror -O1 -g -fsanitize=address,undefined"
    " -fno-sanitize-recover=all"
).split()

# Reads images, predicts each, and writes one record of 8 bytes for each activation;
# operation 0xffff is a result, 0xfffe the class.
_MAIN = """
#include <stdio.h>
#include "spjax_model.h"
static void record(uint16_t operation, int16_t value, uint32_t element) {
  fwrite(&operation, 2, 1, stdout);
  fwrite(&value, 2, 1, stdout);
  fwrite(&element, 4, 1, stdout);
}
void spjax_trace(uint16_t operation, uint32_t element, int8_t value) {
  record(operation, value, element);
}
static int next(void *context, int8_t *pixels, uint16_t bytes) {
  (void)context;
  return fread(pixels, 1, bytes, stdin) != bytes;
}
int main(void) {
  static int8_t input[SPJAX_INPUT_BYTES], output[SPJAX_OUTPUT_BYTES];
  int first = getchar(), best;
  while (first != EOF) {
    ungetc(first, stdin);
#ifdef ROWS
    (void)input;
    best = spjax_predict_rows(next, 0, output);
#else
    if (next(0, input, SPJAX_INPUT_BYTES)) return 1;
    best = spjax_predict(input, output);
#endif
    for (int i = 0; i < SPJAX_OUTPUT_BYTES; ++i) record(0xffff, output[i], i);
    record(0xfffe, (int16_t)best, 0);
    first = getchar();
  }
  return 0;
}
"""
_RECORD = np.dtype([("operation", "<u2"), ("value", "<i2"), ("element", "<u4")])


def compiler() -> str | None:
    """The C compiler of this machine, if there is one."""
    return shutil.which("gcc") or shutil.which("cc")


def write(made, folder: pathlib.Path) -> None:
    """Writes the emitted files."""
    for name, text in made.files.items():
        (folder / name).write_text(text)


def build(made, folder: pathlib.Path, *defines: str) -> pathlib.Path:
    """Compiles a network with the tracing main."""
    write(made, folder)
    (folder / "main.c").write_text(_MAIN)
    program = folder / "traced"
    sources = [str(folder / name) for name in (*made.network_sources, "main.c")]
    command = [compiler(), *FLAGS, "-DSPJAX_TRACE", *defines, *sources]
    subprocess.run([*command, "-o", str(program)], check=True)
    return program


def run(program: pathlib.Path, images: np.ndarray) -> np.ndarray:
    """Runs images; all records, in order."""
    result = subprocess.run(
        [program], input=images.tobytes(), capture_output=True, check=False
    )
    assert result.returncode == 0, result.stderr.decode()[:2000]
    return np.frombuffer(result.stdout, _RECORD)


def compare(made, program: pathlib.Path, images: np.ndarray) -> int:
    """Holds every record against the integer reference.

    Returns:
      how many activations were compared.

    Raises:
      AssertionError: if one differs, or a storage of the plan is not complete.
    """
    quantised = made.quantised
    expected = integer.run(quantised, images)
    records = run(program, images)
    ends = np.flatnonzero(records["operation"] == 0xFFFE)
    assert len(ends) == len(images)
    compared = 0
    result = quantised.program.storage(quantised.program.outputs[0])
    for n, (start, end) in enumerate(zip([0, *ends[:-1] + 1], ends, strict=True)):
        part = records[start:end]
        logits = part["value"][part["operation"] == 0xFFFF]
        np.testing.assert_array_equal(logits, expected[result][n].reshape(-1))
        assert records[end]["value"] == np.argmax(logits)
        for number, operation in enumerate(quantised.program.operations):
            seen = part[part["operation"] == number]
            storage = quantised.program.storage(operation.output)
            right = expected[storage][n].reshape(-1)
            np.testing.assert_array_equal(
                seen["value"],
                right[seen["element"]],
                err_msg=f"{operation.name} of image {n}",
            )
            if storage in made.plan.schedule.sizes:
                assert len(np.unique(seen["element"])) == right.size, operation.name
            compared += seen.size
    return compared
