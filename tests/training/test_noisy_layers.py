"""Noisy networks: parameters, and moments against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spjax import networks, training
from spjax.genomes import Block, Conv, Genome, Pool
from spjax.training.noisy_layers import PRODUCTS

CLASSES = 3
KINDS = ("variational", "bayesian")
MIXED = Genome(
    blocks=(
        Block(
            convs=(
                Conv(channels=5, stride=2),
                Conv(kind="separable", channels=4, kernel=2),
                Conv(kind="downsampled", channels=6, batch_norm=False, relu=False),
            ),
            residual=True,
            pool=Pool("max", 2),
            branch=3,
        ),
    ),
    input_branch=2,
    dense=(7,),
)
_PLAIN = Conv(channels=2, padding="VALID", batch_norm=False, relu=False)
LINEAR = Genome(blocks=(Block(convs=(_PLAIN,)),))


def drawn(genome, shape, kind, log_sigma2):
    variables = networks.init_variables(genome, shape, CLASSES, 0)
    params = training.noisy_params(variables["params"], kind)
    rng = np.random.default_rng(0)

    def fill(path, leaf):
        name = path[-1].key
        if name.endswith("log_sigma2"):
            return np.full_like(leaf, log_sigma2)
        if name == "scale" and path[-2].key not in ("norm", "depthwise_norm"):
            return rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
        return leaf

    return variables, jax.tree_util.tree_map_with_path(fill, params)


@pytest.mark.parametrize("kind", KINDS)
def test_without_variance_the_network_is_that_of_the_means(kind):
    shape = (8, 8, 1)
    variables, params = drawn(MIXED, shape, kind, -80.0)
    x = np.random.default_rng(1).normal(size=(6, *shape)).astype(np.float32)
    noisy = networks.build(MIXED, CLASSES, lowering="training", product=PRODUCTS[kind])
    stats = variables["batch_stats"]
    got, changed = noisy.apply(
        {"params": params, "batch_stats": stats},
        x,
        train=True,
        mutable=["batch_stats"],
        rngs={"noise": jax.random.key(0)},
    )
    plain = networks.build(MIXED, CLASSES)
    means = training.mean_params(params)
    want, stats = plain.apply(
        {"params": means, "batch_stats": stats}, x, train=True, mutable=["batch_stats"]
    )
    np.testing.assert_allclose(got, want, rtol=2e-3, atol=2e-4)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)  # noqa: E731
    jax.tree.map(close, changed["batch_stats"], stats["batch_stats"])
    assert jax.tree.structure(means) == jax.tree.structure(variables["params"])
    if kind == "variational":
        jax.tree.map(np.testing.assert_array_equal, means, variables["params"])


@pytest.mark.parametrize("kind", KINDS)
def test_moments_of_the_logits_are_those_of_the_maths(kind):
    """One convolution and a noiseless classifier that reads two of its outputs."""
    shape, draws = (5, 5, 1), 20_000
    _, params = drawn(LINEAR, shape, kind, -2.0)
    classifier = np.zeros((3 * 3 * 2, CLASSES), np.float32)
    classifier[0, 0] = 1.0  # pixel (0, 0) of channel 0
    classifier[2 * (3 * 1 + 2) + 1, 1] = 1.0  # pixel (1, 2) of channel 1
    classifier[:2, 2] = 1.0, 2.0  # both channels of pixel (0, 0)
    params["classifier"]["kernel"] = classifier
    for name in set(params["classifier"]) - {"kernel", "bias"}:
        params["classifier"][name] = np.full_like(
            params["classifier"][name], 1.0 if name == "scale" else -80.0
        )
    x = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    module = networks.build(
        LINEAR, CLASSES, lowering="training", product=PRODUCTS[kind]
    )
    logits = jax.jit(
        lambda key: module.apply(
            {"params": params}, jnp.repeat(x[None], draws, 0), rngs={"noise": key}
        )
    )(jax.random.key(3))
    layer = params["block0_conv0"]["conv"]
    theta, variance = layer["kernel"][:, :, 0], np.exp(layer["log_sigma2"][:, :, 0])

    def moments(row, column, channel):
        window = x[row : row + 3, column : column + 3, 0]
        mean = np.sum(window * theta[..., channel])
        var = np.sum(window**2 * variance[..., channel])
        if kind == "bayesian":
            z, z_var = layer["scale"][channel], np.exp(-2.0)
            # Of a product of independent variables.
            mean, var = z * mean, (z**2 + z_var) * (var + mean**2) - (z * mean) ** 2
        return mean, var

    (a, va), (b, vb), (c, vc) = moments(0, 0, 0), moments(1, 2, 1), moments(0, 0, 1)
    means, variances = np.mean(logits, 0), np.var(logits, 0)
    np.testing.assert_allclose(means, [a, b, a + 2 * c], atol=0.05)
    np.testing.assert_allclose(variances, [va, vb, va + 4 * vc], rtol=0.06)
    assert np.unique(np.asarray(logits[:, 0])).size > draws // 2  # each example its own


def test_scales_of_a_channel_are_shared_by_its_pixels():
    """With weights known exactly, two pixels of a channel vary together."""
    shape, draws = (5, 5, 1), 4000
    _, params = drawn(LINEAR, shape, "bayesian", -80.0)
    conv = params["block0_conv0"]["conv"]
    conv["scale_log_sigma2"] = np.full_like(conv["scale"], -1.0)
    x = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    classifier = np.zeros((18, CLASSES), np.float32)
    classifier[0, 0] = classifier[2, 1] = classifier[1, 2] = 1.0
    params["classifier"]["kernel"] = classifier
    module = networks.build(
        LINEAR, CLASSES, lowering="training", product=PRODUCTS["bayesian"]
    )
    logits = module.apply(
        {"params": params},
        jnp.repeat(x[None], draws, 0),
        rngs={"noise": jax.random.key(0)},
    )
    correlation = np.corrcoef(np.asarray(logits).T)
    assert abs(correlation[0, 1]) > 0.999  # pixels of one channel
    assert abs(correlation[0, 2]) < 0.1  # two channels


@pytest.mark.parametrize("kind", KINDS)
def test_removed_share_counts_the_weights_behind_log_alpha_3(kind):
    _, params = drawn(MIXED, (8, 8, 1), kind, -1.0)
    rng = np.random.default_rng(5)
    removed = total = 0
    for _, layer in training.noisy_layers(params):
        signal = layer["scale"] if kind == "bayesian" else layer["kernel"]
        noise = "scale_log_sigma2" if kind == "bayesian" else "log_sigma2"
        layer[noise] = rng.normal(0, 4, signal.shape).astype(np.float32)
        gone = layer[noise] - np.log(signal**2) >= 3
        removed += gone.mean() * layer["kernel"].size
        total += layer["kernel"].size
    # Every kernel of the network: two convolutions, four kernels in pairs, a shortcut,
    # two branches, a hidden layer and the classifier.
    assert len(list(training.noisy_layers(params))) == 10
    assert float(training.removed_share(params)) == pytest.approx(removed / total)
