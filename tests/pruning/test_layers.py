"""Flax layers: the same trees and outputs as the plain layers once pruned."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spjax.pruning import bayesian_compression, layers, sparse_vd

RNG = np.random.default_rng(0)
KEY = jax.random.key(0, impl="rbg")  # compiles faster than the default
X = jnp.asarray(RNG.normal(size=(2, 8, 8, 2)), jnp.float32)
CONV = dict(strides=(2, 1), padding=((1, 1), (0, 2)), feature_group_count=2)


class Net(nn.Module):
    conv: type
    dense: type

    @nn.compact
    def __call__(self, x, **how):
        x = nn.relu(self.conv(4, (3, 3), name="c", **CONV)(x, **how))
        x = self.dense(6, name="d", use_bias=False)(x.reshape(len(x), -1), **how)
        return self.dense(3, name="e")(nn.relu(x), **how)


PLAIN = Net(nn.Conv, nn.Dense)
KINDS = {
    "sparse_vd": Net(layers.SparseVDConv, layers.SparseVDDense),
    "compression": Net(layers.CompressedConv, layers.CompressedDense),
}


def random_params(net):
    """Random values in place of the initial ones, so that some weights go."""
    shapes = jax.eval_shape(lambda: net.init(KEY, X, **({} if net is PLAIN else HOW)))[
        "params"
    ]
    draw = lambda s: jnp.asarray(RNG.normal(size=s.shape), jnp.float32)  # noqa: E731
    return jax.tree.map(draw, shapes)


HOW = dict(deterministic=True)


@pytest.mark.parametrize("kind", KINDS)
def test_pruned_tree_runs_in_the_plain_network(kind):
    net = KINDS[kind]
    params = random_params(net)
    pruned = layers.prune(params)
    assert jax.tree.structure(pruned) == jax.tree.structure(random_params(PLAIN))
    zeros = sum(int((x == 0).sum()) for x in jax.tree.leaves(pruned))
    assert 0 < zeros < sum(x.size for x in jax.tree.leaves(pruned))
    want = jax.jit(lambda p: net.apply({"params": p}, X, **HOW))(params)
    got = jax.jit(PLAIN.apply)({"params": pruned}, X)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_comes_from_its_collection(kind):
    net = KINDS[kind]
    params = {"params": random_params(net)}
    run = jax.jit(lambda key: net.apply(params, X, rngs={"noise": key}))
    a, b, c = (run(jax.random.key(k, impl="rbg")) for k in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, c)


def test_noise_vanishes_with_the_variances():
    for kind, net in KINDS.items():
        params = random_params(net)
        quiet = jax.tree_util.tree_map_with_path(
            lambda path, x: jnp.full_like(x, -60.0) if "log_sigma2" in str(path) else x,
            params,
        )
        noisy = jax.jit(net.apply)({"params": quiet}, X, rngs={"noise": KEY})
        plain = jax.jit(PLAIN.apply)({"params": layers.prune(quiet)}, X)
        np.testing.assert_allclose(noisy, plain, rtol=1e-4, atol=1e-4, err_msg=kind)


def test_kl_sums_over_the_layers():
    params = random_params(KINDS["sparse_vd"])
    want = sum(
        float(
            sparse_vd.kl_divergence(
                sparse_vd.log_alpha(p["kernel"], p["log_sigma2"])
            ).sum()
        )
        for p in params.values()
    )
    assert float(layers.kl(params)) == pytest.approx(want, rel=1e-5)
    params = random_params(KINDS["compression"])
    names = ("kernel", "log_sigma2", "scale", "scale_log_sigma2")
    want = sum(
        float(bayesian_compression.kl(*(p[n] for n in names))) for p in params.values()
    )
    assert float(layers.kl({"nested": params})) == pytest.approx(want, rel=1e-5)
    assert float(layers.kl(random_params(PLAIN))) == 0.0


def test_initial_values():
    for net, value in ((KINDS["sparse_vd"], -10.0), (KINDS["compression"], -9.0)):
        params = jax.jit(lambda k, net=net: net.init(k, X, **HOW))(KEY)["params"]
        assert (params["c"]["log_sigma2"] == value).all()
        assert (params["d"]["log_sigma2"] == value).all()
        assert "bias" in params["c"] and "bias" not in params["d"]
        if "scale" in params["c"]:
            assert params["c"]["scale"].shape == (4,)  # output channels
            assert params["e"]["scale"].shape == (6,)  # input features
            assert (params["e"]["scale"] == 1).all()
