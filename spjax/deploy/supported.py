"""Which operations have an integer kernel, and their activation functions.

What fusing left as an epilogue must be a clamp: a relu (``max(x, 0)``), or a maximum
and a minimum with constants. Everything else is refused by name.
"""

import math

from spjax import analysis
from spjax.deploy.quantised import QuantisationError

LINEAR = ("conv2d", "dense")
# Families of kernels, as the classes of `spjax.deploy.quantised`.
FAMILIES = ("linear", "addition", "pool", "copy")


def family(program: analysis.Program, operation: analysis.Operation) -> str:
    """The family of kernels that an operation belongs to.

    Args:
      program: the program.
      operation: one of its operations.

    Returns:
      One of `FAMILIES`.

    Raises:
      QuantisationError: if it has no integer kernel, naming it and why.
    """
    if operation.prologue:
        raise _refused(
            operation, f"computes '{operation.prologue[0].function}' on load"
        )
    clamp(operation)
    kind = operation.kind
    if kind in LINEAR:
        return "linear"
    if kind == "max_pool":
        return "pool"
    if kind == "average_pool":
        padded = any(n for pair in operation.attribute("padding") for n in pair)
        if padded and operation.attribute("count_padding"):
            raise _refused(operation, "counts its padding as zeros")
        return "pool"
    if kind == "reduce":
        shape = program.tensors[operation.inputs[0]].shape
        function = operation.attribute("function")
        if len(shape) == 4 and tuple(operation.attribute("axes")) == (1, 2):
            if function in ("max", "mean"):
                return "pool"
        raise _refused(operation, f"is a {function} other than over height and width")
    if kind == "concatenate":
        return "copy"
    if kind == "elementwise":
        return _elementwise(program, operation)
    raise _refused(operation, f"is of the kind {kind}")


def _elementwise(program: analysis.Program, operation: analysis.Operation) -> str:
    first = operation.epilogue[0]
    if len(operation.inputs) == 1 and first.function in ("max", "min", "clamp"):
        return "copy"
    shapes = {program.tensors[name].shape for name in operation.inputs}
    if first.function in ("add", "add_any") and len(operation.inputs) == 2:
        if sorted(map(str, first.operands)) != ["x0", "x1"]:
            raise _refused(operation, "adds something else to its two inputs")
        if len(shapes) > 1:
            raise _refused(operation, "adds tensors of different shapes")
        return "addition"
    raise _refused(operation, f"computes '{first.function}'")


def clamp(operation: analysis.Operation) -> tuple[float, float]:
    """The bounds that an operation's activation function keeps its results within.

    Args:
      operation: the operation.

    Returns:
      (low, high), infinite where there is no bound.

    Raises:
      QuantisationError: if its epilogue is not a clamp.
    """
    low, high = -math.inf, math.inf
    steps = operation.epilogue
    before = "x"
    start = 0
    if operation.kind == "elementwise":
        if steps[0].function in ("add", "add_any"):
            before, start = "%0", 1
        else:
            before = "x0"
    for index, step in enumerate(steps[start:], start):
        bounds = _bounds(step, before)
        if bounds is None:
            raise _refused(operation, f"is followed by '{step.function}'")
        # What follows bounds the bounds as well.
        low, high = (min(max(v, bounds[0]), bounds[1]) for v in (low, high))
        before = f"%{index}"
    return low, high


def _bounds(step: analysis.Step, before: str) -> tuple[float, float] | None:
    rest = [o for o in step.operands if o != before]
    numbers = all(isinstance(o, int | float) for o in rest)
    if not numbers or before not in step.operands:
        return None
    if step.function == "max" and len(rest) == 1:
        return float(rest[0]), math.inf
    if step.function == "min" and len(rest) == 1:
        return -math.inf, float(rest[0])
    if step.function == "clamp" and step.operands[1] == before:
        return float(rest[0]), float(rest[1])
    return None


def _refused(operation: analysis.Operation, why: str) -> QuantisationError:
    place = f" ({operation.source})" if operation.source else ""
    return QuantisationError(
        f"operation '{operation.name}'{place} has no integer kernel: it {why}. Use "
        "convolutions, dense layers, max and average pooling, additions, "
        "concatenations, and relu or clip after them."
    )
