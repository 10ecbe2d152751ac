import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spjax import analysis
from spjax.deploy.quantised import QuantisationError
from spjax.deploy.supported import clamp, family
from tests.deploy import programs

_X = jax.ShapeDtypeStruct((1, 6, 6, 4), np.float32)
_KERNEL = np.ones((3, 3, 4, 5), np.float32)


def _families(fn):
    program = analysis.trace(fn, _KERNEL, _X)
    return [family(program, operation) for operation in program.operations]


def _conv(kernel, x):
    return programs.conv(x, kernel)


def test_every_genome_is_supported():
    seen = set()
    for seed in range(9):
        program, _ = programs.of_genome(seed)
        seen |= {family(program, operation) for operation in program.operations}
    assert seen == {"linear", "addition", "pool", "copy"}


def test_families_of_functions():
    def fn(kernel, x):
        y = jax.nn.relu(_conv(kernel, x)) + _conv(kernel, x)
        return jnp.clip(programs.pool(y, (2, 2), (2, 2)), -1, 1).mean((1, 2))

    assert _families(fn) == ["linear", "linear", "addition", "pool", "pool"]
    assert _families(lambda kernel, x: _conv(kernel, jax.nn.relu6(x))) in (
        ["copy", "linear"],
    )


@pytest.mark.parametrize(
    ("activation", "bounds"),
    [
        (lambda y: y, (-math.inf, math.inf)),
        (jax.nn.relu, (0, math.inf)),
        (jax.nn.relu6, (0, 6)),
        (lambda y: jnp.clip(y, -2, 3), (-2, 3)),
        (lambda y: jnp.minimum(jnp.maximum(y, -1), 0.5), (-1, 0.5)),
        (lambda y: jnp.maximum(jnp.minimum(y, 4), 1), (1, 4)),
        (lambda y: jnp.maximum(jnp.minimum(y, 0), 1), (1, 1)),
    ],
)
def test_clamps_are_read(activation, bounds):
    program = analysis.trace(lambda k, x: activation(_conv(k, x)), _KERNEL, _X)
    (operation,) = program.operations
    assert clamp(operation) == bounds
    rng = np.random.default_rng(0)
    x = rng.normal(size=_X.shape).astype(np.float32)
    made = np.asarray(activation(_conv(_KERNEL, x)))
    assert made.min() >= bounds[0] and made.max() <= bounds[1]


def _average_with_padding(kernel, x):
    pads = ((0, 0), (1, 1), (1, 1), (0, 0))
    total = jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 3, 3, 1), (1, 3, 3, 1), pads)
    return total / 9


@pytest.mark.parametrize(
    ("fn", "why"),
    [
        (lambda k, x: jnp.tanh(_conv(k, x)), "followed by 'tanh'"),
        (lambda k, x: jax.nn.softmax(x.mean((1, 2))), "of the kind softmax"),
        (lambda k, x: _conv(k, x) * _conv(k, x), "'mul'"),
        (lambda k, x: jax.nn.relu(_conv(k, x)) ** 2, "followed by"),
        (lambda k, x: x.sum((1, 2)), "other than over height and width"),
        (lambda k, x: x.mean(3), "other than over height and width"),
        (lambda k, x: jnp.argmax(x.mean((1, 2)), 1), "argmax"),
        (lambda k, x: x.transpose(0, 2, 1, 3), "of the kind transpose"),
        (lambda k, x: x[:, ::2], "of the kind slice"),
        (_average_with_padding, "counts its padding"),
        (lambda k, x: x + x.max((1, 2))[:, None, None], "has no integer kernel"),
    ],
)
def test_refusals_name_the_operation_and_the_reason(fn, why):
    with pytest.raises(QuantisationError, match=why) as caught:
        _families(fn)
    message = str(caught.value)
    assert "has no integer kernel" in message and "operation '" in message
    assert "\n" not in message
