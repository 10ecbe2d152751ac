"""Finds softmax and log-softmax among flat equations and makes each one equation.

The patterns (JAX's own functions, and what people write by hand)::

    m = reduce_max(x);  e = exp(x - m);  softmax     = e / reduce_sum(e)
    m = reduce_max(x);  s = x - m;       log_softmax = s - log(reduce_sum(exp(s)))

They are matched by their structure, never by the name of a function. ``m`` may be
absent: the result is the same number.
"""

import dataclasses

import numpy as np

from spjax.analysis._jaxpr import Equation, Flat

_WRAPPERS = {"broadcast_in_dim", "reshape", "expand_dims", "stop_gradient", "squeeze"}


def match(flat: Flat) -> Flat:
    """Returns the flat program with every softmax as one equation ``softmax``.

    The intermediate equations stay; those that nothing reads are dropped by
    `live_equations`.
    """
    made = {out: eqn for eqn in flat.equations for out in eqn.outputs}
    equations = []
    for eqn in flat.equations:
        found = None
        if eqn.primitive == "div":
            found = _softmax(eqn, made, flat)
        elif eqn.primitive == "sub":
            found = _log_softmax(eqn, made, flat)
        if found is not None:
            x, axis, log = found
            eqn = dataclasses.replace(
                eqn, primitive="softmax", inputs=(x,), params={"axis": axis, "log": log}
            )
        equations.append(eqn)
    return dataclasses.replace(flat, equations=equations)


def live_equations(flat: Flat) -> Flat:
    """Drops the equations that no output depends on."""
    needed = set(flat.outputs)
    kept = []
    for eqn in reversed(flat.equations):
        if any(out in needed for out in eqn.outputs):
            needed.update(eqn.inputs)
            kept.append(eqn)
    return dataclasses.replace(flat, equations=kept[::-1])


def _softmax(eqn: Equation, made: dict, flat: Flat) -> tuple | None:
    exp = made.get(eqn.inputs[0])
    total = _unwrapped(eqn.inputs[1], made)
    if exp is None or exp.primitive != "exp" or total is None:
        return None
    if total.primitive != "reduce_sum" or total.inputs != exp.outputs:
        return None
    axis = _one_axis(total)
    x = _without_maximum(exp.inputs[0], axis, made, flat)
    return None if axis is None else (x, axis, False)


def _log_softmax(eqn: Equation, made: dict, flat: Flat) -> tuple | None:
    log = _unwrapped(eqn.inputs[1], made)
    if log is None or log.primitive != "log":
        return None
    total = _unwrapped(log.inputs[0], made)
    if total is None or total.primitive != "reduce_sum":
        return None
    exp = made.get(total.inputs[0])
    if exp is None or exp.primitive != "exp" or exp.inputs[0] != eqn.inputs[0]:
        return None
    axis = _one_axis(total)
    x = _without_maximum(eqn.inputs[0], axis, made, flat)
    return None if axis is None else (x, axis, True)


def _one_axis(eqn: Equation) -> int | None:
    axes = tuple(eqn.params["axes"])
    return int(axes[0]) if len(axes) == 1 else None


def _without_maximum(number: int, axis: int | None, made: dict, flat: Flat) -> int:
    """x, where the number is x - max(x, axis); else the number itself."""
    shifted = made.get(number)
    if shifted is None or shifted.primitive != "sub":
        return number
    top = _unwrapped(shifted.inputs[1], made)
    if top is not None and top.primitive == "max":
        # JAX guards against an empty maximum with max(-inf, .).
        values = [flat.values[n].array for n in top.inputs]
        rest = [
            n
            for n, v in zip(top.inputs, values, strict=True)
            if not (v is not None and v.ndim == 0 and np.isneginf(v))
        ]
        top = _unwrapped(rest[0], made) if len(rest) == 1 else None
    if top is None or top.primitive != "reduce_max":
        return number
    same = top.inputs[0] == shifted.inputs[0] and _one_axis(top) == axis
    return shifted.inputs[0] if same else number


def _unwrapped(number: int, made: dict) -> Equation | None:
    eqn = made.get(number)
    while eqn is not None and eqn.primitive in _WRAPPERS:
        eqn = made.get(eqn.inputs[0])
    return eqn
