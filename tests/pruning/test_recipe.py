"""The three lines of the page, in the pytrees of four libraries."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from spjax import pruning

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(32, 6)), jnp.float32)
Y = jnp.asarray(RNG.normal(size=(32, 2)), jnp.float32)


def linen():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.LayerNorm()(nn.relu(nn.Dense(16)(x)))
            return nn.Dense(2)(x)

    net = Net()
    return net.init(jax.random.key(0), X), net.apply


def nnx_module():
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.first = nnx.Linear(6, 16, rngs=rngs)
            self.norm = nnx.LayerNorm(16, rngs=rngs)
            self.last = nnx.Linear(16, 2, rngs=rngs)

        def __call__(self, x):
            return self.last(self.norm(nnx.relu(self.first(x))))

    graph, params = nnx.split(Net(nnx.Rngs(0)), nnx.Param)
    return params, lambda params, x: nnx.merge(graph, params)(x)


def haiku():
    """Haiku's names: ``module/~/linear``, with ``w`` and ``b``."""
    params = {
        "net/~/linear": {"w": normal(6, 16), "b": jnp.zeros(16)},
        "net/~/layer_norm": {"scale": jnp.ones(16), "offset": jnp.zeros(16)},
        "net/~/linear_1": {"w": normal(16, 2), "b": jnp.zeros(2)},
    }

    def apply(params, x):
        one, norm, two = (params[name] for name in sorted(params, key=order.index))
        x = jax.nn.relu(x @ one["w"] + one["b"])
        return (x * norm["scale"] + norm["offset"]) @ two["w"] + two["b"]

    order = list(params)
    return params, apply


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Linear:
    """An Equinox module: a dataclass that is a pytree, output features first."""

    weight: jax.Array
    bias: jax.Array


def equinox():
    params = (
        Linear(normal(16, 6), jnp.zeros(16)),
        Linear(normal(2, 16), jnp.zeros(2)),
    )

    def apply(params, x):
        one, two = params
        x = jax.nn.relu(x @ one.weight.T + one.bias)
        return x @ two.weight.T + two.bias

    return params, apply


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape) / 4, jnp.float32)


@pytest.mark.parametrize("library", [linen, nnx_module, haiku, equinox])
def test_three_lines_prune_and_train(library):
    params, apply = library()
    optimiser = pruning.magnitude(
        optax.adamw(1e-2, weight_decay=0.01),
        sparsity=pruning.cubic(0.75, end=20),
        interval=5,
    )
    state = optimiser.init(params)

    def loss(params):
        return jnp.mean((apply(params, X) - Y) ** 2)

    @jax.jit
    def step(params, state):
        updates, state = optimiser.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    before = float(loss(params))
    for _ in range(60):
        params, state = step(params, state)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(params)]
    kernels = [leaf for leaf in leaves if leaf.ndim > 1]
    assert sorted(k.size for k in kernels) == [32, 96]
    # A quarter of each kernel is left, and every bias and normalisation is whole.
    assert sorted(np.count_nonzero(k) for k in kernels) == [8, 24]
    assert all(leaf.all() for leaf in leaves if leaf.ndim < 2)
    assert float(pruning.sparsity(params)) == 0.75
    assert float(loss(params)) < 0.9 * before
