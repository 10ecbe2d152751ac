"""The only file that touches jaxprs: JAX function -> flat list of plain equations.

Everything that may move between JAX releases is here: tracing, the walk over
equations, call-like primitives, literals, source lines. What comes out holds
integers, strings, tuples and numpy arrays only.

Call-like primitives (``jit``, ``custom_jvp_call``, ``remat``, ..) are inlined. Every
call gets fresh value numbers, as JAX shares one inner jaxpr between equal calls.
"""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax.extend import core

from spjax.analysis.errors import AnalysisError

# Primitives that only wrap a sub-program, by all the names of recent releases.
_CALLS = {
    "jit", "pjit", "closed_call", "core_call", "xla_call", "custom_jvp_call",
    "custom_vjp_call", "custom_vjp_call_jaxpr", "remat", "remat2", "checkpoint",
    "custom_lin",
}  # fmt: skip
_BODY_KEYS = ("jaxpr", "call_jaxpr", "fun_jaxpr")
# Parameters of equations that say where or how precisely to compute, not what.
_IGNORED = {
    "sharding", "out_sharding", "precision", "preferred_element_type", "accuracy",
    "weak_type", "out_dtype", "num_consts", "symbolic_zeros",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Value:
    """One value of the flat program.

    Attributes:
      shape: dimensions.
      dtype: element type, e.g. ``float32``.
      kind: ``input``, ``parameter``, ``constant`` (captured from outside),
        ``literal`` (a number in the function's text) or ``computed``.
      path: path of a parameter, e.g. ``params/conv1/kernel``; else empty.
      array: the value, where it is known before anything is computed.
    """

    shape: tuple[int, ...]
    dtype: str
    kind: str
    path: str = ""
    array: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Equation:
    """One primitive applied to values.

    Attributes:
      primitive: its name.
      inputs: value numbers.
      outputs: value numbers, -1 for a dropped result.
      params: its parameters as plain Python values.
      source: ``file:line`` of the call, if known.
      bodies: number of sub-programs among its parameters.
      bind: evaluates it on arrays with JAX; returns a list of numpy arrays.
    """

    primitive: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    params: dict
    source: str
    bodies: int
    bind: Callable[..., list]


@dataclasses.dataclass(frozen=True)
class Flat:
    """A traced function without calls: values by number, equations in order."""

    values: list[Value]
    equations: list[Equation]
    inputs: tuple[int, ...]
    parameters: tuple[int, ...]
    outputs: tuple[int, ...]


def _check_result(result: object) -> None:
    leaves = jax.tree_util.tree_leaves(result)
    if not leaves:
        raise AnalysisError(f"the function returns {result!r}; return activations.")
    for leaf in leaves:
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic | int | float):
            raise AnalysisError(
                f"the function returns a {type(leaf).__name__}; return activations."
            )


def flatten(fn: Callable, params: object, inputs: Sequence) -> Flat:
    """Traces ``fn(params, *inputs)`` and inlines all calls.

    Args:
      fn: inference function.
      params: pytree of arrays or of shapes (anything with shape and dtype).
      inputs: arrays or shapes.

    Returns:
      The flat program.

    Raises:
      AnalysisError: if the function cannot be traced or returns no arrays.
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path(params)
    paths = [_path(key) or "params" for key, _ in leaves]
    arrays = [leaf for _, leaf in leaves]
    shapes = [_shape_of(leaf, path) for leaf, path in zip(arrays, paths, strict=True)]
    shaped = [_shape_of(x, f"input {i}") for i, x in enumerate(inputs)]

    def call(flat_params: list, *xs: object) -> object:
        result = fn(jax.tree_util.tree_unflatten(tree, flat_params), *xs)
        _check_result(result)
        return result

    try:
        closed = jax.make_jaxpr(call)(shapes, *shaped)
    except (jax.errors.JAXTypeError, jax.errors.JAXIndexError) as e:
        first = str(e).strip().splitlines()[0]
        raise AnalysisError(
            f"the function cannot be traced: {first} Write it so that jax.jit accepts"
            " it."
        ) from e
    walk = _Walk()
    for array, shape, path in zip(arrays, shapes, paths, strict=True):
        known = None if isinstance(array, jax.ShapeDtypeStruct) else np.asarray(array)
        walk.new(shape.shape, shape.dtype, "parameter", path, known)
    for shape in shaped:
        walk.new(shape.shape, shape.dtype, "input")
    parameters = tuple(range(len(shapes)))
    given = tuple(range(len(shapes), len(walk.values)))
    outputs = walk.inline(closed.jaxpr, closed.consts, parameters + given)
    return Flat(walk.values, walk.equations, given, parameters, tuple(outputs))


class _Walk:
    """Accumulates values and equations while calls are inlined."""

    def __init__(self):
        self.values: list[Value] = []
        self.equations: list[Equation] = []
        self._captured: dict[int, int] = {}

    def new(
        self,
        shape: Sequence[int],
        dtype: object,
        kind: str = "computed",
        path: str = "",
        array: object = None,
    ) -> int:
        if array is not None:
            array = np.asarray(array)
        shape = tuple(int(n) for n in shape)
        self.values.append(Value(shape, str(np.dtype(dtype)), kind, path, array))
        return len(self.values) - 1

    def constant(self, array: object) -> int:
        """A captured array; the same object is the same value."""
        if id(array) not in self._captured:
            array_ = np.asarray(array)
            kind = "constant" if array_.ndim else "literal"
            path = f"constant_{len(self._captured)}" if array_.ndim else ""
            number = self.new(array_.shape, array_.dtype, kind, path, array_)
            self._captured[id(array)] = number
        return self._captured[id(array)]

    def inline(
        self,
        jaxpr: core.Jaxpr,
        consts: Sequence,
        arguments: Sequence[int],
        source: str = "",
    ) -> list[int]:
        names = dict(zip(jaxpr.invars, arguments, strict=True))
        for var, const in zip(jaxpr.constvars, consts, strict=True):
            names[var] = self.constant(const)

        def read(atom: object) -> int:
            if isinstance(atom, core.Literal):
                if np.ndim(atom.val):
                    return self.constant(atom.val)
                dtype = atom.aval.dtype
                return self.new((), dtype, "literal", "", np.asarray(atom.val, dtype))
            return names[atom]

        for eqn in jaxpr.eqns:
            inputs = tuple(read(atom) for atom in eqn.invars)
            body = _body(eqn)
            # An inner jaxpr is shared by equal calls and remembers the first one's
            # lines: the outermost call's line is the right one.
            where = source or _source(eqn)
            if body is not None:
                outputs = self.inline(body[0], body[1], inputs, where)
                names.update(zip(eqn.outvars, outputs, strict=True))
                continue
            outputs = []
            for var in eqn.outvars:
                if _is_dropped(var):
                    outputs.append(-1)
                    continue
                names[var] = self.new(var.aval.shape, var.aval.dtype)
                outputs.append(names[var])
            self.equations.append(_equation(eqn, inputs, tuple(outputs), where))
        return [read(atom) for atom in jaxpr.outvars]


def _body(eqn: core.JaxprEqn) -> tuple | None:
    """The jaxpr and constants that a call-like equation runs, or None."""
    if eqn.primitive.name not in _CALLS:
        return None
    for key in _BODY_KEYS:
        body = eqn.params.get(key)
        if body is None:
            continue
        closed = hasattr(body, "jaxpr")
        jaxpr, consts = (body.jaxpr, body.consts) if closed else (body, ())
        if len(jaxpr.invars) == len(eqn.invars):
            return jaxpr, consts
    return None


def _equation(
    eqn: core.JaxprEqn, inputs: tuple, outputs: tuple, source: str
) -> Equation:
    params = {}
    for key, value in eqn.params.items():
        if key == "dimension_numbers" and hasattr(value, "lhs_spec"):
            params["specs"] = tuple(
                tuple(spec) for spec in (value.lhs_spec, value.rhs_spec, value.out_spec)
            )
        elif key not in _IGNORED:
            params[key] = _plain(value)
    try:
        bodies = len(list(core.jaxprs_in_params(eqn.params)))
    except (AttributeError, TypeError):
        bodies = 0

    def bind(*arrays: np.ndarray) -> list:
        params = eqn.primitive.get_bind_params(eqn.params)
        # Releases differ: the parameters, or functions to pass first as well.
        more, params = params if isinstance(params, tuple) else ((), params)
        result = eqn.primitive.bind(*more, *arrays, **params)
        many = eqn.primitive.multiple_results
        return [np.asarray(r) for r in (result if many else [result])]

    return Equation(eqn.primitive.name, inputs, outputs, params, source, bodies, bind)


def _plain(value: object) -> object:
    """Numbers, strings and tuples as they are; anything else as it is given."""
    if isinstance(value, list | tuple):
        return tuple(_plain(v) for v in value)
    if isinstance(value, np.dtype) or (
        isinstance(value, type) and issubclass(value, np.generic)
    ):
        return str(np.dtype(value))
    if isinstance(value, np.generic):
        return value.item()
    return value


def _is_dropped(var: object) -> bool:
    drop = getattr(core, "DropVar", None)
    return (drop is not None and isinstance(var, drop)) or str(var) == "_"


def _shape_of(leaf: object, what: str) -> jax.ShapeDtypeStruct:
    if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
        try:
            leaf = np.asarray(leaf)
        except (TypeError, ValueError):
            leaf = None
        if leaf is None or leaf.dtype == object:
            raise AnalysisError(
                f"{what} is neither an array nor a shape; pass arrays or"
                " jax.ShapeDtypeStruct."
            )
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        raise AnalysisError(
            f"{what} is a random key; an inference function must be deterministic."
        )
    dtype = jax.dtypes.canonicalize_dtype(leaf.dtype)
    return jax.ShapeDtypeStruct(tuple(leaf.shape), dtype)


def _path(keys: tuple) -> str:
    """``params/conv1/kernel`` from a key path; nnx's trailing ``.value`` is dropped."""
    parts = []
    for key in keys:
        for attribute in ("key", "name", "idx"):
            if hasattr(key, attribute):
                parts.append(str(getattr(key, attribute)))
                break
        else:
            parts.append(str(key).strip(".[]'\""))
    if len(parts) > 1 and parts[-1] in ("value", "raw_value"):
        parts.pop()
    return "/".join(parts)


def _source(eqn: core.JaxprEqn) -> str:
    """The innermost frame outside installed packages, else the innermost one."""
    try:
        frames = eqn.source_info.traceback.frames
    except AttributeError:
        return ""
    first = ""
    for frame in frames:
        file = getattr(frame, "file_name", "")
        if file == __file__:  # beyond it: whoever called the analyser
            break
        if not file or file.startswith("<"):
            continue
        if "/jax/" in file or "/jaxlib/" in file:
            continue
        where = f"{file}:{getattr(frame, 'line_num', 0)}"
        if "site-packages" not in file:
            return where
        first = first or where
    return first
