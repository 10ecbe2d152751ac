"""The dataflow graph's own types: frozen, and equal by structure."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from spjax import analysis


def _program(first="a", second="b"):
    def fn(p, x):
        y = jnp.tanh(x @ p[first])
        return (y.reshape(1, 2, 2).max(1) @ p[second]).reshape(3), y

    params = {first: np.eye(4, dtype=np.float32), second: np.ones((2, 3), np.float32)}
    return analysis.trace(fn, params, np.ones((1, 4), np.float32))


def test_tensors_views_and_readers():
    program = _program()
    assert program.storages == ("input", "a", "reduce_max", "b")
    view = program.tensors["a@1x2x2"]
    assert view.alias_of == "a" and view.producer == "a"
    assert program.storage("a@1x2x2") == "a" == program.storage("a")
    assert program.outputs == ("b@3", "a")
    assert program.tensors["a"].role == program.tensors["b@3"].role == "output"
    assert program.tensors["reduce_max"].role == "activation"
    assert program.tensors["a"].elements == 4
    assert program.reads(program.operation("reduce_max")) == ("a",)


def test_structure_ignores_names_and_values():
    assert _program() != _program("first", "second")
    assert _program().structure() == _program("first", "second").structure()
    assert _program().structure().structure() == _program().structure()


def test_structure_sees_everything_else():
    program = _program()
    ops = list(program.operations)
    ops[0] = dataclasses.replace(ops[0], epilogue=())
    changed = dataclasses.replace(program, operations=tuple(ops))
    assert changed.structure() != program.structure()


def test_frozen():
    program = _program()
    for thing, field in [
        (program, "outputs"),
        (program.operations[0], "name"),
        (program.tensors["a"], "shape"),
        (program.operations[0].weights[0], "nonzero"),
    ]:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, field, None)
    with pytest.raises(ValueError, match="read-only"):
        program.operations[0].weights[0].values[0] = 1


def test_unknown_names():
    with pytest.raises(KeyError):
        _program().operation("nothing")
    with pytest.raises(KeyError):
        _program().operation("a").attribute("strides")
    assert _program().operation("a").weight("bias") is None


def test_unused_parameters_are_named():
    params = {"used": np.ones((4, 2), np.float32), "idle": np.ones(3, np.float32)}
    program = analysis.trace(
        lambda p, x: x @ p["used"], params, np.ones((1, 4), np.float32)
    )
    assert program.unused == ("idle",)
