"""The LeNets: sizes of the papers, and removal of dead weights by brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import _lenet
from spjax import networks, pruning

NAMES = ("kernel", "log_sigma2", "scale", "scale_log_sigma2")
RNG = np.random.default_rng(0)


def sparse_params(name, density):
    """Random weights, most of them zero, with whole channels missing."""

    def draw(x):
        x = RNG.normal(size=x.shape).astype(np.float32)
        if x.ndim > 1:
            x *= RNG.random(x.shape) < density
            x *= RNG.random(x.shape[-1]) < 0.7
        return x

    return jax.tree.map(draw, _lenet.initial(name, "plain", 0, 0.0))


def reference(params, x):
    """The networks as the papers' frameworks have them, by JAX's own operations."""
    for name in sorted(params):
        kernel, bias = params[name]["kernel"], params[name]["bias"]
        if name.startswith("conv"):
            x = jax.lax.conv_general_dilated(
                x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = jax.nn.relu(x + bias)
            size = (1, 2, 2, 1)
            x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, size, size, "VALID")
        else:
            x = x.reshape(len(x), -1) @ kernel + bias
            x = jax.nn.relu(x) if kernel.shape[1] > 10 else x
    return x


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
    expected = reference(params, x)
    np.testing.assert_allclose(_lenet.apply(params, x), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(_lenet.apply(live, x), expected, rtol=1e-4, atol=1e-4)
    # What is left is needed: units with weights coming in have weights going out.
    names = sorted(live)
    for first, second in zip(names[:-1], names[1:], strict=True):
        units = live[first]["kernel"].shape[-1]
        fed = live[first]["kernel"].reshape(-1, units).any(axis=0)
        out = live[second]["kernel"]
        used = out.reshape(-1, units, out.shape[-1]).any(axis=(0, 2))
        assert fed.any() and (used == fed).all()


@pytest.mark.parametrize(
    ("name", "density"), [("lenet_300_100", 0.003), ("lenet_5", 0.01)]
)
def test_a_cut_network_is_the_same_and_comes_back(name, density):
    params = sparse_params(name, density)
    live = _lenet.remove_dead(params)
    units = _lenet.live_units(live)
    small = _lenet.cut(live, units)
    sizes = [sum(p["kernel"].size for p in tree.values()) for tree in (small, live)]
    assert sizes[0] < 0.7 * sizes[1]
    x = jnp.asarray(RNG.random((8, 28, 28, 1)), jnp.float32)
    expected = reference(params, x)
    if name == "lenet_300_100":
        x = x.reshape(8, -1)[:, units["dense_0"][0]]
    np.testing.assert_allclose(_lenet.apply(small, x), expected, rtol=1e-4, atol=1e-4)
    restored = _lenet.restore(small, params, units)
    jax.tree.map(np.testing.assert_array_equal, restored, live)


@pytest.mark.parametrize("method", ["sparse_vd", "bayesian_compression"])
@pytest.mark.parametrize("name", _lenet.MODELS)
def test_noisy_parameters_are_cut_alike(name, method):
    params = _lenet.initial(name, method, 0, -1.0)
    live = _lenet.remove_dead(sparse_params(name, 0.01))
    units = _lenet.live_units(live)
    small = _lenet.cut(params, units)
    for layer, (inputs, outputs) in units.items():
        kernel = small[layer]["kernel"]
        assert kernel.shape == small[layer]["log_sigma2"].shape
        assert kernel.shape[-2:] == (len(inputs), len(outputs))
        last = params[layer]["kernel"][..., inputs[-1], outputs[-1]]
        np.testing.assert_array_equal(kernel[..., -1, -1], last)
        if method == "bayesian_compression":
            groups = outputs if layer.startswith("conv") else inputs
            assert small[layer]["scale"].shape == (len(groups),)
    x = jnp.asarray(RNG.random((2, 28, 28, 1)), jnp.float32)
    if name == "lenet_300_100":
        x = x.reshape(2, -1)[:, units["dense_0"][0]]
    logits = _lenet.apply(small, x, jax.random.key(0))
    other = _lenet.apply(small, x, jax.random.key(1))
    assert logits.shape == (2, 10) and np.abs(logits - other).max() > 0.01


def test_noise_has_the_moments_of_the_layers():
    """Over many draws against ``pruning``'s own dense and convolution."""
    params = _lenet.initial("lenet_5", "bayesian_compression", 0, -3.0)
    p = params["conv_0"]
    x = jnp.asarray(RNG.random((1, 28, 28, 1)), jnp.float32)
    x = jnp.repeat(x, 4000, 0)[:, :6, :6]
    ours = _lenet._conv(networks.TRAINING.enter(x), p, jax.random.key(0))
    ours = ours.transpose(3, 0, 2, 1)
    theirs = pruning.bayesian_compression.conv(
        jax.random.key(1), x, *(p[n] for n in NAMES), p["bias"], padding="VALID"
    )
    for moment in (np.mean, np.std):
        np.testing.assert_allclose(moment(ours, 0), moment(theirs, 0), atol=0.06)


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


def test_a_constant_unit_goes_into_the_next_biases():
    params = sparse_params("lenet_300_100", 0.05)
    params["dense_0"]["kernel"][:, 7] = 0
    params["dense_0"]["bias"][7] = 2.0
    params["dense_1"]["kernel"][7, :] = 0.5
    live = _lenet.remove_dead(params)
    assert not live["dense_1"]["kernel"][7].any()
    x = jnp.asarray(RNG.random((4, 28, 28, 1)), jnp.float32)
    want = reference(params, x)
    np.testing.assert_allclose(reference(live, x), want, rtol=1e-4, atol=1e-4)
