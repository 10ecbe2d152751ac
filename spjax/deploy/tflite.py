"""Writes a quantised program as a .tflite file: int8, weights stored densely.

LiteRT with the reference kernels and TensorFlow Lite Micro compute from the file what
`spjax.deploy.integer` computes, bit for bit. So that they do:

* A dense layer is a CONV_2D whose window is the whole map. LiteRT's FULLY_CONNECTED
  rounds once where TensorFlow Lite Micro's rounds twice, while both CONV_2D do the
  latter (ai-edge-litert 2.3, tflite-micro of October 2026).
* Vectors have the shape (1, 1, 1, n); a RESHAPE stands where a map becomes a vector
  without a dense layer, and before an output that is not a map.

LiteRT's default kernels (XNNPACK) round once: about one result of a thousand differs
by one step.
"""

import dataclasses
import math

import numpy as np

from spjax import analysis
from spjax.deploy.flatbuffer import Scalar, Table, serialise
from spjax.deploy.geometry import is_maximum
from spjax.deploy.quantised import (
    Linear,
    QuantisationError,
    QuantisedProgram,
    TensorScale,
)
from spjax.deploy.supported import clamp, family

# Numbers of TFLite's schema: operator -> (code, version, type of its options).
_OPERATORS = {
    "ADD": (0, 2, 11),
    "AVERAGE_POOL_2D": (1, 2, 5),
    "CONCATENATION": (2, 2, 10),
    "CONV_2D": (3, 3, 1),
    "DEPTHWISE_CONV_2D": (4, 3, 2),
    "MAX_POOL_2D": (17, 2, 5),
    "RELU": (19, 2, 0),
    "RELU6": (21, 2, 0),
    "RESHAPE": (22, 1, 17),
    "PAD": (34, 2, 22),
}
_INT32, _INT8 = 2, 9
_SAME, _VALID = 0, 1
_ACTIVATIONS = {
    (-math.inf, math.inf): 0,
    (0.0, math.inf): 1,
    (-1.0, 1.0): 2,
    (0.0, 6.0): 3,
}


def to_tflite(quantised: QuantisedProgram, description: str = "spjax") -> bytes:
    """Writes a program as a .tflite file.

    Args:
      quantised: the program.
      description: text for the file's description.

    Returns:
      The file's bytes.

    Raises:
      QuantisationError: if an operation has no counterpart in TFLite.
    """
    model = _Model(quantised)
    for operation in quantised.program.operations:
        model.add(operation)
    return model.finish(description)


@dataclasses.dataclass(frozen=True)
class _Stored:
    index: int
    shape: tuple[int, ...]


class _Model:
    def __init__(self, quantised: QuantisedProgram):
        self.quantised, self.program = quantised, quantised.program
        self.buffers, self.tensors, self.operators = [Table({})], [], []
        self.codes: list[str] = []
        self.made: dict[tuple[str, tuple[int, ...]], int] = {}
        self.stored: dict[str, _Stored] = {}
        for name in self.program.storages:
            shape = _lifted(self.program.tensors[name].shape, name)
            self.stored[name] = _Stored(self._activation(name, shape, name), shape)

    # Tensors.

    def _tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        kind: int,
        scales: np.ndarray,
        zero: int = 0,
        axis: int = 0,
        values: np.ndarray | None = None,
    ) -> int:
        buffer = 0
        if values is not None:
            raw = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
            self.buffers.append(Table({0: raw.reshape(-1).view(np.uint8)}))
            buffer = len(self.buffers) - 1
        scales = np.atleast_1d(np.asarray(scales, np.float32))
        zeros = np.full(len(scales), zero, np.int64)
        fields = {
            0: np.array(shape, np.int32),
            1: Scalar("b", kind),
            2: Scalar("I", buffer),
            3: name,
        }
        if len(scales):
            fields[4] = Table({2: scales, 3: zeros, 6: Scalar("i", axis)})
        self.tensors.append(Table(fields))
        return len(self.tensors) - 1

    def _activation(self, storage: str, shape: tuple[int, ...], name: str) -> int:
        scale: TensorScale = self.quantised.scales[storage]
        return self._tensor(name, shape, _INT8, scale.scale, scale.zero_point)

    def _operator(self, name: str, inputs: list, output: int, options: dict) -> None:
        if name not in self.codes:
            self.codes.append(name)
        kind = _OPERATORS[name][2]
        fields = {
            0: Scalar("I", self.codes.index(name)),
            1: np.array(inputs, np.int32),
            2: np.array([output], np.int32),
        }
        if kind:
            fields |= {3: Scalar("B", kind), 4: Table(options)}
        self.operators.append(Table(fields))

    def _shaped(self, storage: str, shape: tuple[int, ...]) -> int:
        """The tensor that holds a storage in a shape; reshapes it once if need be."""
        if shape == self.stored[storage].shape:
            return self.stored[storage].index
        if (storage, shape) not in self.made:
            name = f"{storage}@{'x'.join(map(str, shape))}"
            index = self._activation(storage, shape, name)
            wanted = np.array(shape, np.int32)
            given = self._tensor(
                f"{name}/shape", wanted.shape, _INT32, np.zeros(0), values=wanted
            )
            self._operator(
                "RESHAPE", [self.stored[storage].index, given], index, {0: wanted}
            )
            self.made[storage, shape] = index
        return self.made[storage, shape]

    # Operations.

    def add(self, operation: analysis.Operation) -> None:
        """Appends an operation, and the reshapes that it needs."""
        storages = [self.program.storage(name) for name in operation.inputs]
        shapes = [_lifted(self.program.tensors[n].shape, n) for n in operation.inputs]
        output = self.stored[operation.output].index
        kind = family(self.program, operation)
        if kind == "linear":
            self._linear(operation, storages[0], shapes[0], output)
            return
        inputs = [self._shaped(*pair) for pair in zip(storages, shapes, strict=True)]
        if kind == "addition":
            inputs = [inputs[0], inputs[-1]]
            options = {0: Scalar("b", _activation(operation))}
            self._operator("ADD", inputs, output, options)
        elif kind == "pool":
            self._pool(operation, inputs, shapes[0], output)
        elif operation.kind == "concatenate":
            rank = len(self.program.tensors[operation.output].shape)
            axis = operation.attribute("axis") % rank + 4 - rank
            options = {0: Scalar("i", axis), 1: Scalar("b", _activation(operation))}
            self._operator("CONCATENATION", inputs, output, options)
        else:
            name = {1: "RELU", 3: "RELU6"}.get(_activation(operation))
            if name is None:
                raise _refused(operation, "clips to other bounds than a relu's")
            self._operator(name, inputs, output, {})

    def _pool(
        self, operation: analysis.Operation, inputs: list, shape: tuple, output: int
    ) -> None:
        window, strides, padding = shape[1:3], (1, 1), _VALID
        if operation.kind != "reduce":
            window, strides = (operation.attribute(n) for n in ("window", "strides"))
            padding = _padding(operation, shape, window)
            if padding is None:
                raise _refused(operation, "has a padding that is not SAME or VALID")
        options = {
            0: Scalar("b", padding),
            1: Scalar("i", strides[1]),
            2: Scalar("i", strides[0]),
            3: Scalar("i", window[1]),
            4: Scalar("i", window[0]),
            5: Scalar("b", _activation(operation)),
        }
        name = "MAX_POOL_2D" if is_maximum(operation) else "AVERAGE_POOL_2D"
        self._operator(name, inputs, output, options)

    def _linear(
        self, operation: analysis.Operation, storage: str, shape: tuple, output: int
    ) -> None:
        numbers = self.quantised.operations[operation.name]
        if operation.kind == "dense":
            # Whatever map is stored, the window covers all of it.
            stored = self.stored[storage]
            weights = numbers.weights.reshape(*stored.shape[1:], -1)
            kernel, depthwise = np.moveaxis(weights, -1, 0), False
            source, padding, strides, dilation = stored.index, _VALID, (1, 1), (1, 1)
        else:
            depthwise = numbers.weights.shape[2] == 1 and shape[-1] > 1
            kernel = (
                np.moveaxis(numbers.weights, 2, 0)
                if depthwise
                else np.moveaxis(numbers.weights, -1, 0)
            )
            strides = operation.attribute("strides")
            dilation = operation.attribute("dilation")
            source = self._shaped(storage, shape)
            reach = [
                (n - 1) * d + 1
                for n, d in zip(numbers.weights.shape[:2], dilation, strict=True)
            ]
            padding = _padding(operation, shape, reach)
            if padding is None:
                source, padding = self._padded(operation, storage, source, shape)
        inputs = [source, *self._weights(operation, numbers, kernel, depthwise)]
        options = [
            Scalar("b", padding),
            Scalar("i", strides[1]),
            Scalar("i", strides[0]),
            Scalar("b", _activation(operation)),
            Scalar("i", dilation[1]),
            Scalar("i", dilation[0]),
        ]
        if depthwise:
            options.insert(3, Scalar("i", kernel.shape[-1] // shape[-1]))
        name = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        self._operator(name, inputs, output, dict(enumerate(options)))

    def _weights(
        self,
        operation: analysis.Operation,
        numbers: Linear,
        kernel: np.ndarray,
        depthwise: bool,
    ) -> list[int]:
        scales, name = numbers.weight_scales, operation.name
        (source,) = (self.program.storage(n) for n in operation.inputs)
        products = scales * np.float32(self.quantised.scales[source].scale)
        bias = numbers.bias
        if bias is None:
            bias = np.zeros(len(scales), np.int32)
        axis = 3 if depthwise else 0
        return [
            self._tensor(
                f"{name}/kernel", kernel.shape, _INT8, scales, axis=axis, values=kernel
            ),
            self._tensor(f"{name}/bias", bias.shape, _INT32, products, values=bias),
        ]

    def _padded(
        self, operation: analysis.Operation, storage: str, source: int, shape: tuple
    ) -> tuple[int, int]:
        amounts = ((0, 0), *operation.attribute("padding"), (0, 0))
        if any(n < 0 for pair in amounts for n in pair):
            raise _refused(operation, "crops its input by a negative padding")
        shape = tuple(n + sum(pair) for n, pair in zip(shape, amounts, strict=True))
        name = f"{operation.name}/padded"
        index = self._activation(storage, shape, name)
        values = np.array(amounts, np.int32)
        given = self._tensor(
            f"{name}/amounts", values.shape, _INT32, np.zeros(0), values=values
        )
        self._operator("PAD", [source, given], index, {})
        return index, _VALID

    def finish(self, description: str) -> bytes:
        """The file, once every operation has been added."""
        outputs = []
        for name in self.program.outputs:
            storage = self.program.storage(name)
            outputs.append(self._shaped(storage, self.program.tensors[name].shape))
        inputs = [self.stored[name].index for name in self.program.inputs]
        codes = []
        for name in self.codes:
            code, version, _ = _OPERATORS[name]
            fields = {0: Scalar("b", code), 2: Scalar("i", version)}
            codes.append(Table(fields | {3: Scalar("i", code)}))
        graph = Table(
            {
                0: self.tensors,
                1: np.array(inputs, np.int32),
                2: np.array(outputs, np.int32),
                3: self.operators,
                4: "main",
            }
        )
        fields = {0: Scalar("I", 3), 1: codes, 2: [graph], 3: description}
        return serialise(Table(fields | {4: self.buffers}), "TFL3")


def _lifted(shape: tuple[int, ...], name: str) -> tuple[int, ...]:
    """A shape with four axes: missing ones go in behind the batch."""
    if len(shape) > 4 or shape[0] != 1:
        raise QuantisationError(
            f"tensor '{name}' of the shape {shape} cannot be a map of TFLite."
        )
    return (1, *(1,) * (4 - len(shape)), *shape[1:])


def _activation(operation: analysis.Operation) -> int:
    bounds = clamp(operation)
    if bounds not in _ACTIVATIONS:
        raise _refused(operation, f"clips to {bounds}")
    return _ACTIVATIONS[bounds]


def _padding(
    operation: analysis.Operation, shape: tuple, window: tuple[int, int]
) -> int | None:
    """SAME or VALID, where one of them means the operation's padding."""
    given = operation.attribute("padding")
    if not any(n for pair in given for n in pair):
        return _VALID
    strides, same = operation.attribute("strides"), []
    for n, size, stride in zip(shape[1:3], window, strides, strict=True):
        total = max((-(-n // stride) - 1) * stride + size - n, 0)
        same.append((total // 2, total - total // 2))
    return _SAME if tuple(map(tuple, given)) == tuple(same) else None


def _refused(operation: analysis.Operation, why: str) -> QuantisationError:
    return QuantisationError(
        f"operation '{operation.name}' has no counterpart in TFLite: it {why}."
    )
