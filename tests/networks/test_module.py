"""Networks of random genomes against NumPy; both lowerings against each other."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import genomes, networks
from spjax.genomes import Block, Conv, Genome, Pool
from tests.networks.numpy_network import forward, random_variables

CLASSES = 4
BOUNDS = genomes.Bounds(channels=(1, 10), dense_units=(4, 20), branch_units=(4, 20))
SHAPES = ((8, 8, 1), (28, 28, 1), (12, 10, 3))
# Every kind of layer, pooling and shortcut, and no two sizes alike.
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
        Block(
            convs=(
                Conv(channels=6, kernel=1),
                Conv(kind="separable", channels=6, batch_norm=False),
            ),
            residual=True,
            pool=Pool("global_average"),
        ),
    ),
    input_branch=2,
    dense=(7,),
)


def images(genome, shape, count=3):
    size = (count, *genomes.deployed_shape(genome, shape))
    return np.random.default_rng(1).normal(size=size).astype(np.float32)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_networks_equal_numpy(seed):
    rng = np.random.default_rng(seed)
    shape = SHAPES[seed % len(SHAPES)]
    genome = genomes.random_genome(rng, shape, BOUNDS)
    variables = random_variables(rng, genome, shape, CLASSES)
    x = images(genome, shape)
    want, _ = forward(genome, variables, x)
    scale = 1e-5 * (1 + np.abs(want).max())
    for lowering in ("inference", "training"):
        module = networks.build(genome, CLASSES, lowering=lowering)
        got = jax.jit(module.apply)(variables, x)
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=10 * scale)


def test_lowerings_agree_in_training():
    """Values, running statistics and gradients of a network with everything in it."""
    shape = (14, 13, 2)
    variables = random_variables(np.random.default_rng(0), MIXED, shape, CLASSES)
    x = images(MIXED, shape, count=5)
    results = []
    for lowering in ("inference", "training"):
        module = networks.build(MIXED, CLASSES, lowering=lowering)

        def loss(params, module=module):
            logits, changed = module.apply(
                variables | {"params": params}, x, train=True, mutable=["batch_stats"]
            )
            return (logits**2).sum(), (logits, changed)

        grad = jax.jit(jax.grad(loss, has_aux=True))
        results.append(grad(variables["params"]))
    inference, training = map(networks.flatten, map(_as_tree, results))
    assert inference.keys() == training.keys()
    for path, want in inference.items():
        atol = 1e-4 * (1 + np.abs(want).max())
        np.testing.assert_allclose(training[path], want, atol=atol, err_msg=path)
    # All parameters matter, or the comparison says little.
    idle = [path for path, value in inference.items() if not np.any(value)]
    assert not idle


def _as_tree(result):
    gradient, (logits, changed) = result
    return {"gradient": gradient, "logits": logits, **changed}


@pytest.mark.parametrize("lowering", ["inference", "training"])
def test_batch_norm_in_training(lowering):
    """Batch statistics normalise; the running ones move by a tenth."""
    genome = Genome(blocks=(Block(convs=(Conv(channels=3, relu=False),)),))
    shape = (5, 4, 1)
    variables = random_variables(np.random.default_rng(2), genome, shape, CLASSES)
    x = 3 + 2 * images(genome, shape, count=6)
    module = networks.build(genome, CLASSES, lowering=lowering)
    logits, changed = module.apply(variables, x, train=True, mutable=["batch_stats"])
    before = variables["batch_stats"]["block0_conv0"]["norm"]
    after = changed["batch_stats"]["block0_conv0"]["norm"]
    # The same network with an identity batch norm emits the convolution itself.
    plain = jax.tree.map(np.array, variables)
    plain["params"]["block0_conv0"]["norm"] = {"scale": np.ones(3), "bias": np.zeros(3)}
    plain["batch_stats"]["block0_conv0"]["norm"] = {
        "mean": np.zeros(3),
        "var": np.full(3, 1 - 1e-5),
    }
    _, seen = forward(genome, plain, x)
    y = seen["block0_conv0"]
    mean, var = y.mean((0, 1, 2)), y.var((0, 1, 2))
    np.testing.assert_allclose(after["mean"], 0.9 * before["mean"] + 0.1 * mean, 1e-4)
    np.testing.assert_allclose(after["var"], 0.9 * before["var"] + 0.1 * var, 1e-4)
    batch = jax.tree.map(np.array, variables)
    batch["batch_stats"]["block0_conv0"]["norm"] = {"mean": mean, "var": var}
    want, _ = forward(genome, batch, x)
    np.testing.assert_allclose(logits, want, rtol=1e-3, atol=1e-3)


def test_parameter_counts_by_closed_form():
    params = networks.variable_shapes(MIXED, (14, 13, 2), CLASSES)["params"]

    def count(name):
        return sum(leaf.size for leaf in jax.tree.leaves(params[name]))

    # 14x13 -> stride 2 -> 7x7 -> pool 2 -> 3x3 -> global average.
    assert count("block0_conv0") == 9 * 2 * 5 + 2 * 5
    assert count("block0_conv1") == 4 * 5 + 2 * 5 + 5 * 4 + 2 * 4
    assert count("block0_conv2") == 4 * 2 + 9 * 2 * 6 + 6
    assert count("block0_shortcut") == 2 * 4 + 4
    assert count("block0_branch") == 3 * 3 * 6 * 3 + 3
    assert count("block1_conv0") == 6 * 6 + 2 * 6
    assert count("block1_conv1") == 9 * 6 + 6 + 6 * 6 + 6
    assert count("input_branch") == 14 * 13 * 2 * 2 + 2
    assert count("dense0") == 6 * 7 + 7
    assert count("classifier") == (7 + 2 + 3) * CLASSES + CLASSES
    assert len(params) == 10, "an identity shortcut has no parameters"


def test_the_module_can_draw_its_own_weights():
    """Flax's init gives He variances too, if slowly."""
    genome = Genome(blocks=(Block(convs=(Conv(channels=50),)),))
    module = networks.build(genome, CLASSES)
    x = np.zeros((1, 4, 4, 2), np.float32)
    kernel = jax.jit(
        lambda: module.init(jax.random.key(0), x)["params"]["block0_conv0"]["conv"]
    )()["kernel"]
    assert 0.8 < np.std(kernel) / np.sqrt(2 / 18) < 1.2


def test_variables_of_another_genome_are_named():
    variables = networks.init_variables(MIXED, (14, 13, 2), CLASSES, 0)
    module = networks.build(MIXED, CLASSES + 1)
    with pytest.raises(ValueError, match=r"classifier/kernel is of shape \(12, 4\)"):
        module.apply(variables, np.zeros((1, 14, 13, 2)))
    del variables["params"]["dense0"]["bias"]
    module = networks.build(MIXED, CLASSES)
    with pytest.raises(ValueError, match="dense0/bias is missing"):
        module.apply(variables, np.zeros((1, 14, 13, 2)))


def test_unknown_lowering_is_named():
    with pytest.raises(ValueError, match="lowering='fast'.*inference, training"):
        networks.build(MIXED, CLASSES, lowering="fast")


def test_modules_are_equal_by_genome():
    assert networks.build(MIXED, 3) == networks.build(MIXED, 3)
    assert hash(networks.build(MIXED, 3)) == hash(networks.build(MIXED, 3))
    assert networks.build(MIXED, 3) != networks.build(MIXED, 4)
