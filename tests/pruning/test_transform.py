"""Zero stays zero: every optimiser, dtypes, donation, checkpoints, nesting."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

from spjax import pruning

RNG = np.random.default_rng(0)
PARAMS = {
    "kernel": jnp.asarray(RNG.normal(size=(6, 5)), jnp.float32),
    "bias": jnp.zeros(5),
}
TARGET = jnp.asarray(RNG.normal(size=(8, 5)), jnp.float32)
X = jnp.asarray(RNG.normal(size=(8, 6)), jnp.float32)
OPTIMISERS = {
    "sgd": optax.sgd(0.1),
    "momentum": optax.sgd(0.1, momentum=0.9),
    "nesterov": optax.sgd(0.1, momentum=0.9, nesterov=True),
    "adam": optax.adam(0.05),
    "adamw": optax.adamw(0.05, weight_decay=0.1),
    "nadam": optax.nadam(0.05),
    "amsgrad": optax.amsgrad(0.05),
    "radam": optax.radam(0.05),
    "lion": optax.lion(0.01),
    "rmsprop": optax.rmsprop(0.01, momentum=0.9),
    "adadelta": optax.adadelta(1.0),
    "lamb": optax.lamb(0.05),
    "lars": optax.lars(0.05),
    "adafactor": optax.adafactor(0.05),
    "signum": optax.chain(optax.trace(0.9), optax.sign_sgd(0.01)),
    "ema": optax.chain(optax.adam(0.05), optax.ema(0.9)),
    "clip": optax.chain(optax.clip_by_global_norm(0.5), optax.adam(0.05)),
    "noise": optax.noisy_sgd(0.05, eta=0.1, key=jax.random.key(0)),
    "decay": optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.1)),
    "steps": optax.MultiSteps(optax.adam(0.05), 3),
}


def loss(params):
    return jnp.mean((X @ params["kernel"] + params["bias"] - TARGET) ** 2)


def scan_steps(optimiser, params, state, steps):
    def step(carry, _):
        params, state = carry
        updates, state = optimiser.update(jax.grad(loss)(params), state, params)
        params = optax.apply_updates(params, updates)
        masks = pruning.masks(state)["kernel"]
        return (params, state), (params["kernel"], masks)

    return jax.lax.scan(step, (params, state), None, steps)


def is_plus_zero(x):
    x = np.asarray(x)
    return bool(((x == 0) & ~np.signbit(x)).all())


@pytest.mark.parametrize("name", OPTIMISERS)
def test_zero_stays_zero_through_fifty_steps(name):
    optimiser = pruning.magnitude(
        OPTIMISERS[name], sparsity=pruning.cubic(0.8, begin=5, end=20), interval=5
    )
    run = jax.jit(lambda p, s: scan_steps(optimiser, p, s, 50))
    _, (kernels, masks) = run(PARAMS, optimiser.init(PARAMS))
    kernels, masks = np.asarray(kernels), np.asarray(masks)
    for t in range(50):
        assert is_plus_zero(kernels[t][~masks[t]])
        assert not (masks[t] & ~masks[t - 1]).any() or t == 0
    assert masks[0].all() and masks[-1].sum() == 30 - round(0.8 * 30)
    assert np.count_nonzero(kernels[-1]) == masks[-1].sum()


@pytest.mark.parametrize(
    ("weights", "updates"),
    [
        (jnp.bfloat16, jnp.float32),
        (jnp.float16, jnp.bfloat16),
        (jnp.float32, jnp.bfloat16),
    ],
)
def test_narrow_and_mixed_dtypes(weights, updates):
    params = {"kernel": PARAMS["kernel"].astype(weights)}
    inner = optax.stateless(
        lambda g, p: jax.tree.map(lambda x: (-0.1 * x).astype(updates), g)
    )
    optimiser = pruning.magnitude(inner, sparsity=0.5, interval=1)
    state = optimiser.init(params)

    @jax.jit
    def step(params, state, t):
        grads = jax.tree.map(lambda x: jnp.sin(x + t).astype(x.dtype), params)
        out, state = optimiser.update(grads, state, params)
        return optax.apply_updates(params, out), state

    for t in range(3):
        params, state = step(params, state, t)
        assert params["kernel"].dtype == weights
        assert is_plus_zero(params["kernel"][~pruning.masks(state)["kernel"]])
    assert float(pruning.sparsity(params)) == 0.5


def test_donated_buffers_give_the_same_masks():
    optimiser = pruning.magnitude(optax.adam(0.05), sparsity=0.6, interval=2)

    def step(params, state):
        updates, state = optimiser.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    donating = functools.partial(jax.jit, donate_argnums=(0, 1))
    results = []
    for compiled in (jax.jit(step), donating(step)):
        params = jax.tree.map(jnp.array, PARAMS)
        state = optimiser.init(params)
        for _ in range(4):
            params, state = compiled(params, state)
        results.append((params, pruning.masks(state)))
    jax.tree.map(np.testing.assert_array_equal, *results)


def test_checkpoint_and_restore_continue_alike(tmp_path):
    optimiser = pruning.magnitude(
        optax.adam(0.05), sparsity=pruning.cubic(0.8, end=30), interval=3
    )
    run = jax.jit(lambda p, s: scan_steps(optimiser, p, s, 20)[0])
    half = run(PARAMS, optimiser.init(PARAMS))
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", half)
        checkpointer.wait_until_finished()
        template = jax.tree.map(jnp.zeros_like, half)
        restored = checkpointer.restore(tmp_path / "state", template)
    straight, resumed = run(*half), run(*restored)
    assert jax.tree.structure(straight) == jax.tree.structure(resumed)
    jax.tree.map(np.testing.assert_array_equal, straight, resumed)
    assert int(pruning.masks(resumed[1])["kernel"].sum()) == 6


def test_vmapped_networks_have_masks_of_their_own():
    stack = jax.tree.map(lambda x: jnp.stack([x, x[::-1], 2 * x]), PARAMS)

    def train(params, target):
        optimiser = pruning.magnitude(optax.adam(0.05), sparsity=target, interval=4)
        return scan_steps(optimiser, params, optimiser.init(params), 10)[0]

    targets = jnp.array([0.2, 0.5, 0.9])
    params, state = jax.jit(jax.vmap(train))(stack, targets)
    one = jax.jit(train)
    for i in range(3):
        alone, alone_state = one(jax.tree.map(lambda x, i=i: x[i], stack), targets[i])
        mask = pruning.masks(state)["kernel"][i]
        np.testing.assert_array_equal(mask, pruning.masks(alone_state)["kernel"])
        assert is_plus_zero(params["kernel"][i][~mask])
        np.testing.assert_allclose(
            params["kernel"][i], alone["kernel"], rtol=1e-4, atol=1e-6
        )


def test_masks_are_found_inside_a_chain():
    optimiser = optax.chain(
        optax.clip(1.0), pruning.magnitude(optax.sgd(0.1), sparsity=0.5)
    )
    state = optimiser.init(PARAMS)
    assert pruning.masks(state)["kernel"].shape == (6, 5)
    assert pruning.masks({"outer": [state]})["bias"].shape == ()


def test_states_without_masks_or_with_two():
    with pytest.raises(pruning.PruningError, match="holds 0 pruning states"):
        pruning.masks(optax.adam(0.1).init(PARAMS))
    state = pruning.magnitude(optax.sgd(0.1), sparsity=0.5).init(PARAMS)
    with pytest.raises(pruning.PruningError, match="holds 2 pruning states"):
        pruning.masks((state, state))


def test_update_needs_the_weights():
    optimiser = pruning.magnitude(optax.sgd(0.1), sparsity=0.5)
    with pytest.raises(pruning.PruningError, match=r"update\(grads, state, params\)"):
        optimiser.update(PARAMS, optimiser.init(PARAMS))


def test_masked_gradients_leave_norms_to_the_sparse_network():
    """With clipping inside, dead weights must not take up the norm when asked."""
    grads = {"kernel": jnp.ones((6, 5)), "bias": jnp.zeros(5)}
    inner = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(1.0))
    steps = {}
    for flag in (False, True):
        optimiser = pruning.magnitude(inner, sparsity=0.5, mask_gradients=flag)
        updates, state = optimiser.update(grads, optimiser.init(PARAMS), PARAMS)
        alive = np.asarray(updates["kernel"])[
            np.asarray(pruning.masks(state)["kernel"])
        ]
        steps[flag] = np.linalg.norm(alive)
    assert steps[True] == pytest.approx(1.0, rel=1e-5)
    assert steps[False] == pytest.approx(0.5**0.5, rel=1e-5)


def test_a_diverged_weight_stays_visible():
    params = {"kernel": PARAMS["kernel"].at[2, 3].set(jnp.nan)}
    optimiser = pruning.magnitude(optax.sgd(0.1), sparsity=0.9)

    @jax.jit
    def step(params, state):
        updates, state = optimiser.update(params, state, params)
        return optax.apply_updates(params, updates)

    assert np.isnan(step(params, optimiser.init(params))["kernel"]).sum() == 1
