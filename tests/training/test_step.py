"""One jitted step against the same step written out with plain optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from spjax import networks, training
from spjax.genomes import Block, Conv, Genome, Pool, Training
from spjax.training.step import learning_rate_at

GENOME = Genome(
    blocks=(Block(convs=(Conv(channels=3),), pool=Pool("max", 2)),),
    training=Training(learning_rate=0.01),
)
SHAPE, CLASSES, BATCH = (6, 6, 1), 4, 8
CONFIG = training.TrainConfig(weight_decay=0.1, warmup=0.5)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH, *SHAPE), np.uint8)
    return images, rng.integers(0, CLASSES, BATCH).astype(np.int32)


def start(seed=0):
    variables = networks.init_variables(GENOME, SHAPE, CLASSES, seed)
    settings = training.make_settings(GENOME.training, CONFIG, 10, (100.0,), (50.0,))
    return variables, settings, training.init_state(variables, settings)


def reference_step(variables, opt_state, count, images, labels):
    """AdamW by optax on the tree, with the inference lowering in training mode."""
    module = networks.build(GENOME, CLASSES, lowering="inference")
    x = (images.astype(np.float32) - 100.0) / 50.0

    def loss_of(params):
        logits, changed = module.apply(
            {"params": params, "batch_stats": variables["batch_stats"]},
            x,
            train=True,
            mutable=["batch_stats"],
        )
        log = jax.nn.log_softmax(logits)
        return -jnp.mean(log[jnp.arange(BATCH), labels]), changed["batch_stats"]

    rise, fall = min(1.0, (count + 1) / 5), 0.5 * (1 + np.cos(np.pi * count / 10))
    optimiser = optax.adamw(0.01 * rise * fall, weight_decay=0.1)
    if opt_state is None:
        opt_state = optimiser.init(variables["params"])
    (loss, stats), grads = jax.value_and_grad(loss_of, has_aux=True)(
        variables["params"]
    )
    updates, opt_state = optimiser.update(grads, opt_state, variables["params"])
    params = optax.apply_updates(variables["params"], updates)
    return {"params": params, "batch_stats": stats}, opt_state, float(loss)


def test_three_steps_are_those_of_plain_optax(batch):
    variables, settings, state = start()
    step = training.make_step(GENOME, CLASSES)
    expected, opt_state, losses = variables, None, []
    for count in range(3):
        state = step(state, settings, *batch)
        expected, opt_state, loss = reference_step(expected, opt_state, count, *batch)
        losses.append(loss)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)  # noqa: E731
    jax.tree.map(close, state.params.tree(), expected["params"])
    jax.tree.map(close, state.batch_stats.tree(), expected["batch_stats"])
    assert float(state.totals[0]) == pytest.approx(BATCH * sum(losses), rel=1e-3)


def test_masked_weights_are_exactly_zero_and_stay_so(batch):
    _, settings, state = start()
    masks = training.genome_masks(Training(), state.params.tree(), 0.6)
    state = training.with_masks(state, masks)
    step = training.make_step(GENOME, CLASSES)
    for _ in range(5):
        state = step(state, settings, *batch)
        for mask, weight in zip(
            jax.tree.leaves(masks), jax.tree.leaves(state.params.tree()), strict=True
        ):
            assert np.all(np.asarray(weight)[~mask] == 0)
            assert np.all(np.asarray(weight)[mask] != 0) or weight.ndim == 1


def test_the_state_starts_as_the_optimiser_would_start_it():
    variables, settings, state = start()
    assert state.opt_state.masks.shape == (1024,)  # 145 values, padded
    jax.tree.map(
        np.testing.assert_array_equal, state.params.tree(), variables["params"]
    )
    assert state.opt_state.masks.all()
    rest = jax.tree.leaves(state.opt_state._replace(masks=np.zeros(1)))
    assert all(not np.any(leaf) for leaf in rest)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(state))


def test_genomes_that_differ_in_training_genes_share_a_program():
    other = Genome(
        blocks=GENOME.blocks,
        training=Training(learning_rate=0.02, pruning="channel", sparsity=0.3),
    )
    step = training.make_step(GENOME, CLASSES)
    assert training.make_step(other, CLASSES) is step
    assert training.make_step(GENOME, CLASSES + 1) is not step


def test_the_learning_rate_by_hand():
    settings = training.make_settings(
        Training(learning_rate=0.1),
        training.TrainConfig(warmup=0.1),
        100,
        (0.0,),
        (1.0,),
    )
    at = lambda t: float(learning_rate_at(jnp.int32(t), settings))  # noqa: E731
    assert at(0) == pytest.approx(0.01)
    assert at(50) == pytest.approx(0.05)
    assert at(75) == pytest.approx(0.1 * 0.5 * (1 - np.sqrt(0.5)))
    assert at(100) == pytest.approx(0.0, abs=1e-9)
    assert max(at(t) for t in range(101)) < 0.1


@pytest.mark.parametrize("lowering", ["inference", "training"])
def test_the_step_as_one_function_is_that_of_two_programs(lowering, batch):
    _, settings, state = start()
    masks = training.genome_masks(Training(), state.params.tree(), 0.5)
    state = training.with_masks(state, masks)
    whole = jax.jit(training.step_function(GENOME, CLASSES, lowering))
    ours = training.make_step(GENOME, CLASSES)
    alone, other = whole(state, settings, *batch), ours(state, settings, *batch)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)  # noqa: E731
    jax.tree.map(close, alone, other)


def test_a_population_is_the_step_mapped(batch):
    states = [training.with_masks(start(seed)[2], masks_of(seed)) for seed in range(3)]
    settings = start()[1]
    step = training.step_function(GENOME, CLASSES, "inference")
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *states)
    mapped = jax.jit(jax.vmap(step, (0, None, None, None)))(stacked, settings, *batch)
    for index, state in enumerate(states):
        alone = jax.jit(step)(state, settings, *batch)
        one = jax.tree.map(lambda leaf, i=index: leaf[i], mapped)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
            one,
            alone,
        )
        kernel = one.params.tree()["classifier"]["kernel"]
        assert np.mean(kernel == 0) >= 0.1 * index


def masks_of(seed):
    params = start(seed)[2].params.tree()
    return training.genome_masks(Training(), params, 0.3 * seed)
