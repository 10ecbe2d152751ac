"""TensorFlow Lite Micro's interpreter: its answers, and what its arena holds."""

import dataclasses
import os
import re
import sys
import tempfile

import numpy as np

_ROOM_BYTES = 8_000_000


@dataclasses.dataclass(frozen=True)
class Arena:
    """TFLM's arena for a network, in bytes.

    Attributes:
      head: its plan for the activations, 16-byte aligned; the same on every target.
      tail: what stays for good: tensors' and operators' structs, quantisation
        parameters, operators' own data. That of a 64-bit build: a microcontroller's
        pointers are half as long.
    """

    head: int
    tail: int


def tflm(blob: bytes, images: np.ndarray) -> np.ndarray:
    """Runs a .tflite file in TensorFlow Lite Micro; int8 [N, classes]."""
    interpreter = _interpreter(blob)
    answers = []
    for image in images:
        interpreter.set_input(image[None], 0)
        interpreter.invoke()
        answers.append(interpreter.get_output(0).reshape(-1))
    return np.stack(answers)


def arena(blob: bytes) -> Arena:
    """What TFLM's recording allocator says of a .tflite file."""
    interpreter = _interpreter(blob)
    details = interpreter.get_input_details(0)
    interpreter.set_input(np.zeros(details["shape"], details["dtype"]), 0)
    interpreter.invoke()
    with tempfile.TemporaryFile() as file:
        sys.stderr.flush()
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)  # it prints to the descriptor itself
        try:
            interpreter.print_allocations()
        finally:
            os.dup2(saved, 2)
            os.close(saved)
        file.seek(0)
        text = file.read().decode()
    parts = (
        int(re.search(rf"Arena allocation {part} (\d+)", text)[1])
        for part in ("head", "tail")
    )
    return Arena(*parts)


def _interpreter(blob: bytes):  # noqa: ANN202
    from tflite_micro.python.tflite_micro import runtime

    return runtime.Interpreter.from_bytes(blob, arena_size=_ROOM_BYTES)
