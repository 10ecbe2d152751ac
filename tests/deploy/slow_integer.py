"""The integer arithmetic once more: one number at a time, in Python's integers.

Fixed-point multiplication follows gemmlowp's original definition
(SaturatingRoundingDoublingHighMul, then RoundingDivideByPOT).
"""

import itertools

import numpy as np


def truncated(a, b):
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def scaled(a, multiplier, shift):
    product = a * multiplier
    nudge = 2**30 if product >= 0 else 1 - 2**30
    high = truncated(product + nudge, 2**31)
    assert -(2**31) <= high < 2**31
    mask = 2**-shift - 1
    threshold = mask // 2 + (1 if high < 0 else 0)
    return (high >> -shift) + (1 if (high & mask) > threshold else 0)


def clip(value, numbers):
    return min(max(value, numbers.minimum), numbers.maximum)


def run(quantised, image):
    """Storage name -> int8 array of one image, by the docstring of `quantised`."""
    program = quantised.program
    values = {program.inputs[0]: image[None]}
    for op in program.operations:
        xs = [
            values[program.storage(n)].reshape(program.tensors[n].shape)
            for n in op.inputs
        ]
        numbers = quantised.operations[op.name]
        out = np.zeros(program.tensors[op.output].shape, int)
        for place in np.ndindex(out.shape):
            total = _element(op, numbers, [x.astype(int) for x in xs], place, out)
            out[place] = clip(total, numbers)
        assert out.min() >= -128 and out.max() <= 127
        values[op.output] = out.astype(np.int8)
    return values


def _element(op, numbers, xs, place, out):
    x = xs[0]
    if op.kind in ("conv2d", "dense"):
        c = place[-1]
        total = 0 if numbers.bias is None else int(numbers.bias[c])
        for value, weight in _products(op, numbers, x, place):
            total += (value - numbers.input_zero_point) * weight
            assert abs(total) < 2**30
        m, s = int(numbers.multipliers[c]), int(numbers.shifts[c])
        return numbers.output_zero_point + scaled(total, m, s)
    if op.kind == "concatenate":
        axis, at = op.attribute("axis"), list(place)
        for x in xs:
            if at[axis] < x.shape[axis]:
                return x[tuple(at)]
            at[axis] -= x.shape[axis]
    if op.kind == "elementwise" and len(xs) == 1:
        return x[place]
    if op.kind == "elementwise":
        total = 0
        for i, y in enumerate(xs):
            moved = (int(y[place]) - numbers.input_zero_points[i]) * 2**20
            m, s = numbers.input_multipliers[i], numbers.input_shifts[i]
            total += scaled(moved, m, s)
        m, s = numbers.output_multiplier, numbers.output_shift
        return numbers.output_zero_point + scaled(total, m, s)
    values = list(_window(op, x, place))
    if op.kind == "max_pool" or dict(op.attributes).get("function") == "max":
        return max(values)
    n = len(values)
    total = sum(values)
    return truncated(total + n // 2 if total > 0 else total - n // 2, n)


def _products(op, numbers, x, place):
    weights, c = numbers.weights.astype(int), place[-1]
    if op.kind == "dense":
        yield from zip(x.reshape(-1).tolist(), weights[:, c].tolist(), strict=True)
        return
    high, wide, per_group, outputs = weights.shape
    group = c // (outputs // op.attribute("groups"))
    for i, j, k in itertools.product(range(high), range(wide), range(per_group)):
        row, column = _tap(op, place, i, j)
        if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
            yield (
                int(x[0, row, column, group * per_group + k]),
                int(weights[i, j, k, c]),
            )


def _tap(op, place, i, j):
    strides, padding = op.attribute("strides"), op.attribute("padding")
    dilation = dict(op.attributes).get("dilation", (1, 1))
    return tuple(
        place[1 + a] * strides[a] - padding[a][0] + (i, j)[a] * dilation[a]
        for a in (0, 1)
    )


def _window(op, x, place):
    if op.kind == "reduce":
        yield from x[0, :, :, place[-1]].reshape(-1).tolist()
        return
    for i, j in itertools.product(*map(range, op.attribute("window"))):
        row, column = _tap(op, place, i, j)
        if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
            yield int(x[0, row, column, place[3]])
