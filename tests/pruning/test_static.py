"""Fixed masks, and straight-through training."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from spjax import pruning

RNG = np.random.default_rng(0)
PARAMS = {
    "kernel": jnp.asarray(RNG.normal(size=(6, 5)), jnp.float32),
    "bias": jnp.zeros(5),
}
X = jnp.asarray(RNG.normal(size=(16, 6)), jnp.float32)
Y = jnp.asarray(RNG.normal(size=(16, 5)), jnp.float32)


def loss(params):
    return jnp.mean((X @ params["kernel"] + params["bias"] - Y) ** 2)


def test_fixed_masks_hold():
    masks = pruning.compute_masks(PARAMS, 0.7)
    optimiser = pruning.fixed(optax.adam(0.1), masks)

    @jax.jit
    def step(params, state):
        updates, state = optimiser.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    params, state = PARAMS, optimiser.init(PARAMS)
    for _ in range(5):
        params, state = step(params, state)
        np.testing.assert_array_equal(params["kernel"] != 0, masks["kernel"])
    jax.tree.map(np.testing.assert_array_equal, pruning.masks(state), masks)


def test_fixed_masks_of_another_tree():
    optimiser = pruning.fixed(optax.adam(0.1), {"kernel": jnp.ones((6, 5), bool)})
    with pytest.raises(pruning.PruningError, match="differ in structure"):
        optimiser.init(PARAMS)


def test_straight_through_weights_stay_dense_and_can_come_back():
    # Start with the useful weights small: only dense gradients bring them in.
    truth = jnp.zeros((6, 5)).at[:2].set(3.0)
    target = X @ truth
    params = {"kernel": jnp.ones((6, 5)).at[:2].set(0.01)}
    optimiser = pruning.straight_through(optax.sgd(0.1), sparsity=2 / 3)

    def sparse_loss(params, masks):
        sparse = pruning.apply_masks(params, masks, straight_through=True)
        return jnp.mean((X @ sparse["kernel"] - target) ** 2)

    @jax.jit
    def step(params, state):
        grads = jax.grad(sparse_loss)(params, pruning.masks(state))
        updates, state = optimiser.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    state = optimiser.init(params)
    first = None
    for t in range(200):
        params, state = step(params, state)
        first = pruning.masks(state)["kernel"] if t == 0 else first
    last = np.asarray(pruning.masks(state)["kernel"])
    assert not np.asarray(first)[:2].all()
    assert last[:2].all() and not last[2:].any()
    assert float(sparse_loss(params, pruning.masks(state))) < 1e-3
    assert np.count_nonzero(params["kernel"]) > last.sum()


def test_straight_through_refreshes_its_masks_from_the_weights():
    optimiser = pruning.straight_through(optax.sgd(0.0), sparsity=0.5, interval=2)
    state, seen = optimiser.init(PARAMS), []
    for t in range(4):
        params = jax.tree.map(lambda x, t=t: jnp.sin((t + 1) * 5 * x), PARAMS)
        _, state = optimiser.update(params, state, params)
        want = pruning.compute_masks(params, 0.5)["kernel"]
        seen.append(bool((pruning.masks(state)["kernel"] == want).all()))
    assert seen == [True, False, True, False]
