"""Programs as int8 .tflite files, and what TensorFlow Lite Micro makes of them.

Written with flatbuffers' object API alone. Weights are noise: only shapes matter for
the arena. The package `tflite-micro` carries interpreter and schema.
"""

import os
import re
import sys
import tempfile

import numpy as np


def _schema():
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated

    return schema_py_generated


class _Writer:
    def __init__(self):
        self.s = _schema()
        self.buffers = [self.s.BufferT()]
        self.tensors, self.codes, self.operators = [], [], []

    def tensor(self, name, shape, kind, data=None, channels=0, axis=0):
        t = self.s.TensorT()
        t.name, t.shape, t.type, t.buffer = name, [int(n) for n in shape], kind, 0
        if data is not None:
            buffer = self.s.BufferT()
            raw = np.ascontiguousarray(data).tobytes()
            buffer.data = np.frombuffer(raw, np.uint8)
            self.buffers.append(buffer)
            t.buffer = len(self.buffers) - 1
        q = self.s.QuantizationParametersT()
        many = max(channels, 1)
        scale = 2.0**-10 if kind == self.s.TensorType.INT32 else 2.0**-5
        q.scale = np.full(many, scale, np.float32)
        q.zeroPoint = np.zeros(many, np.int64)
        q.quantizedDimension = axis
        t.quantization = q
        self.tensors.append(t)
        return len(self.tensors) - 1

    def operator(self, name, inputs, output, options, version=1):
        key = (getattr(self.s.BuiltinOperator, name), version)
        if key not in self.codes:
            self.codes.append(key)
        o = self.s.OperatorT()
        o.opcodeIndex, o.inputs, o.outputs = self.codes.index(key), inputs, [output]
        kind = type(options).__name__[:-1]
        o.builtinOptionsType = getattr(self.s.BuiltinOptions, kind)
        o.builtinOptions = options
        self.operators.append(o)

    def finish(self, inputs, outputs):
        import flatbuffers

        g, m = self.s.SubGraphT(), self.s.ModelT()
        g.tensors, g.inputs, g.outputs = self.tensors, inputs, outputs
        g.operators, g.name = self.operators, "main"
        m.version, m.description = 3, "by hand"
        m.subgraphs, m.buffers, m.operatorCodes = [g], self.buffers, []
        for code, version in self.codes:
            o = self.s.OperatorCodeT()
            o.builtinCode, o.version = code, version
            o.deprecatedBuiltinCode = min(code, 127)
            m.operatorCodes.append(o)
        builder = flatbuffers.Builder(1024)
        builder.Finish(m.Pack(builder), b"TFL3")
        return bytes(builder.Output())


class CannotWrite(Exception):  # noqa: N818
    """A program that TFLite has no operators for, without reshapes."""


def write(program):
    """An int8 .tflite file with a program's operations, in its order.

    Raises:
      CannotWrite: if a reshape or an explicit padding would have to be added.
    """
    w = _Writer()
    int8 = w.s.TensorType.INT8
    index = {}
    for name in program.storages:
        index[name] = w.tensor(name, program.tensors[name].shape, int8)
    for op in program.operations:
        _operator(w, program, op, index)
    outputs = [index[program.storage(n)] for n in program.outputs]
    return w.finish([index[n] for n in program.inputs], outputs)


def _operator(w, program, op, index):
    s, int8 = w.s, w.s.TensorType.INT8
    shapes = [program.tensors[n].shape for n in op.inputs]
    stored = [program.tensors[program.storage(n)].shape for n in op.inputs]
    reads = [index[program.storage(n)] for n in op.inputs]
    out = index[op.output]
    if shapes != stored and op.kind != "dense":
        raise CannotWrite(f"{op.name} reads a reshaped tensor")
    if op.kind == "conv2d":
        high, wide, per_group, count = op.weight("kernel").shape
        depthwise = per_group == 1 and op.attribute("groups") == shapes[0][-1]
        o = s.DepthwiseConv2DOptionsT() if depthwise else s.Conv2DOptionsT()
        o.padding = _padding(w, op, shapes[0], (high, wide))
        o.strideH, o.strideW = op.attribute("strides")
        o.dilationHFactor, o.dilationWFactor = op.attribute("dilation")
        shape = (1, high, wide, count) if depthwise else (count, high, wide, per_group)
        if depthwise:
            o.depthMultiplier = count // shapes[0][-1]
        elif op.attribute("groups") != 1:
            raise CannotWrite("grouped convolution")
        reads += _weights(w, op, shape, count, 3 if depthwise else 0)
        name = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        w.operator(name, reads, out, o, 3)
    elif op.kind == "dense":
        size, count = op.weight("kernel").shape
        o = s.FullyConnectedOptionsT()
        o.keepNumDims = False
        kernel = w.tensor("k", (count, size), int8, np.ones((count, size), np.int8))
        bias = w.tensor("b", (count,), s.TensorType.INT32, np.zeros(count, np.int32))
        w.operator("FULLY_CONNECTED", [*reads, kernel, bias], out, o, 4)
    elif op.kind in ("max_pool", "average_pool", "sum_pool", "reduce"):
        o = s.Pool2DOptionsT()
        if op.kind == "reduce":
            o.filterHeight, o.filterWidth = shapes[0][1:3]
            o.strideH = o.strideW = 1
            o.padding = s.Padding.VALID
            # The pooled map keeps four axes; its bytes are the same.
            w.tensors[out].shape = [1, 1, 1, shapes[0][-1]]
        else:
            o.filterHeight, o.filterWidth = op.attribute("window")
            o.strideH, o.strideW = op.attribute("strides")
            o.padding = _padding(w, op, shapes[0], op.attribute("window"))
        name = "MAX_POOL_2D" if op.kind == "max_pool" else "AVERAGE_POOL_2D"
        w.operator(name, reads, out, o, 2)
    elif op.function == "add" or (op.kind == "elementwise" and len(op.inputs) == 2):
        w.operator("ADD", reads, out, s.AddOptionsT(), 2)
    elif op.kind == "elementwise" and len(op.inputs) == 1:
        w.operator("TANH", reads, out, None or _no_options(w), 2)
    elif op.kind == "concatenate":
        o = s.ConcatenationOptionsT()
        o.axis = op.attribute("axis")
        w.operator("CONCATENATION", reads, out, o, 2)
    else:
        raise CannotWrite(op.kind)


def _no_options(w):
    """Any options without fields: TANH takes none."""
    return w.s.AbsOptionsT()


def _weights(w, op, shape, count, axis):
    s = w.s
    kernel = w.tensor(
        "k", shape, s.TensorType.INT8, np.ones(shape, np.int8), count, axis
    )
    bias = w.tensor("b", (count,), s.TensorType.INT32, np.zeros(count, np.int32), count)
    return [kernel, bias]


def _padding(w, op, shape, window):
    """SAME or VALID, where one of them means the operation's padding."""
    given = op.attribute("padding")
    if given == ((0, 0), (0, 0)):
        return w.s.Padding.VALID
    same = []
    for n, size, stride in zip(
        shape[1:3], window, op.attribute("strides"), strict=True
    ):
        total = max((-(-n // stride) - 1) * stride + size - n, 0)
        same.append((total // 2, total - total // 2))
    if tuple(same) != given:
        raise CannotWrite(f"{op.name} has an explicit padding")
    return w.s.Padding.SAME


def head(blob):
    """Bytes of the head of TFLM's arena: its plan for the activations."""
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(blob)
    details = interpreter.get_input_details(0)
    interpreter.set_input(np.zeros(details["shape"], details["dtype"]), 0)
    interpreter.invoke()
    with tempfile.TemporaryFile() as file:
        sys.stderr.flush()
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            interpreter.print_allocations()
        finally:
            os.dup2(saved, 2)
            os.close(saved)
        file.seek(0)
        text = file.read().decode()
    return int(re.search(r"Arena allocation head (\d+)", text)[1])
