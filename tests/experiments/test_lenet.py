"""The LeNets: sizes of the papers, and removal of dead weights by brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import _lenet

RNG = np.random.default_rng(0)


def sparse_params(name, density):
    """Random weights, most of them zero, with whole channels missing."""
    net = _lenet.MODELS[name]()
    shapes = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, 28, 28, 1)))

    def draw(s):
        x = RNG.normal(size=s.shape).astype(np.float32)
        if len(s.shape) > 1:
            x *= RNG.random(s.shape) < density
            x *= RNG.random(s.shape[-1]) < 0.7
        return x

    return jax.tree.map(draw, shapes["params"])


@pytest.mark.parametrize(
    ("name", "weights"), [("lenet_300_100", 266_200), ("lenet_5", 430_500)]
)
def test_sizes_are_those_of_the_papers(name, weights):
    params = sparse_params(name, 1.0)
    assert sum(p["kernel"].size for p in params.values()) == weights


@pytest.mark.parametrize(
    ("name", "density"), [("lenet_300_100", 0.01), ("lenet_5", 0.02)]
)
def test_dead_weights_do_nothing(name, density):
    params = sparse_params(name, density)
    live = _lenet.remove_dead(params)
    assert _lenet.count(live) < _lenet.count(params)
    x = jnp.asarray(RNG.random((8, 28, 28, 1)), jnp.float32)
    run = jax.jit(lambda p: _lenet.MODELS[name]().apply({"params": p}, x))
    np.testing.assert_allclose(run(live), run(params), rtol=1e-5, atol=1e-5)
    # What is left is needed: units with weights coming in have weights going out.
    names = sorted(live)
    for first, second in zip(names[:-1], names[1:], strict=True):
        units = live[first]["kernel"].shape[-1]
        fed = live[first]["kernel"].reshape(-1, units).any(axis=0)
        out = live[second]["kernel"]
        used = out.reshape(-1, units, out.shape[-1]).any(axis=(0, 2))
        assert fed.any() and (used | ~fed).all()


def test_architecture():
    params = {
        "conv_0": {"kernel": np.ones((5, 5, 1, 3)), "bias": np.zeros(3)},
        "dense_0": {"kernel": np.ones((12, 4)), "bias": np.zeros(4)},
        "dense_1": {"kernel": np.ones((4, 2)), "bias": np.zeros(2)},
    }
    params["conv_0"]["kernel"][..., 1] = 0
    params["dense_1"]["kernel"][3] = 0
    live = _lenet.remove_dead(params)
    # Channel 1 takes four flattened inputs with it, input 3 a unit of dense_0.
    assert _lenet.architecture(live) == "2-8-3"
    assert _lenet.count(live) == 2 * 25 + 8 * 3 + 3 * 2
    assert (params["dense_0"]["kernel"] == 1).all()  # the input is not changed
