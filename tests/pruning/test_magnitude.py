"""Magnitude pruning: which weights, when, and in how many compilations."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from spjax import pruning

RNG = np.random.default_rng(0)
PARAMS = {
    "conv": {"kernel": RNG.normal(size=(3, 3, 2, 8)), "bias": RNG.normal(size=8)},
    "norm": {"scale": RNG.normal(size=8), "bias": RNG.normal(size=8)},
    "dense": {"kernel": RNG.normal(size=(8, 4)), "bias": RNG.normal(size=4)},
}
PARAMS = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), PARAMS)


def run(optimiser, steps, params=PARAMS):
    """Sparsity of the conv kernel's mask after each step, and the last weights."""

    def step(carry, t):
        params, state = carry
        grads = jax.tree.map(lambda x: jnp.sin(3 * x + t), params)
        updates, state = optimiser.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        mask = pruning.masks(state)["conv"]["kernel"]
        return (params, state), jnp.sum(~mask)

    scan = jax.jit(lambda c: jax.lax.scan(step, c, jnp.arange(steps)))
    (params, state), trace = scan((params, optimiser.init(params)))
    return np.asarray(trace) / 144, params, state


def test_the_smallest_weights_go():
    optimiser = pruning.magnitude(optax.sgd(0.0), sparsity=0.75)
    _, params, state = run(optimiser, 1)
    for name, kept in (("conv", 36), ("dense", 8)):
        before = np.asarray(PARAMS[name]["kernel"]).ravel()
        want = np.sort(np.argsort(-np.abs(before))[:kept])
        after = np.asarray(params[name]["kernel"]).ravel()
        np.testing.assert_array_equal(np.flatnonzero(after), want)
        np.testing.assert_array_equal(after[want], before[want])
    assert params["norm"]["scale"].all()


def test_masks_are_those_of_the_weights_and_gradients_given():
    grads = jax.tree.map(lambda x: jnp.cos(7 * x), PARAMS)
    optimiser = pruning.magnitude(optax.adam(0.1), sparsity=0.6, score="saliency")
    once = jax.jit(lambda p, g: optimiser.update(g, optimiser.init(p), p)[1])
    got = pruning.masks(once(PARAMS, grads))
    score = jax.tree.map(lambda w, g: np.abs(np.asarray(w * g)), PARAMS, grads)
    for name in ("conv", "dense"):
        mask, size = np.asarray(got[name]["kernel"]), score[name]["kernel"]
        assert mask.sum() == mask.size - round(0.6 * mask.size)
        assert size[mask].min() >= size[~mask].max()


def test_the_window_and_the_interval():
    optimiser = pruning.magnitude(
        optax.adam(0.01),
        sparsity=lambda t: 0.5 + t / 100,
        begin=3,
        end=13,
        interval=4,
    )
    trace, *_ = run(optimiser, 18)
    changed = np.flatnonzero(np.diff(trace, prepend=0.0))
    # every four steps from 3, and at the end although 10 is no multiple of 4
    np.testing.assert_array_equal(changed, [3, 7, 11, 13])
    assert trace[-1] == pytest.approx(1 - (144 - round(0.63 * 144)) / 144)


def test_cyclic_sparsity_lets_weights_return_from_zero():
    schedule = pruning.cyclic(0.8, period=6, end=12, low=0.2)
    trace, *_ = run(
        pruning.magnitude(optax.adam(0.01), sparsity=schedule, interval=2), 14
    )
    np.testing.assert_allclose(
        trace, [float(schedule(t - t % 2)) for t in range(14)], atol=1 / 144
    )
    assert (np.diff(trace) < 0).any()


def test_one_compilation_serves_all_targets():
    traces = []

    @jax.jit
    def step(params, state, target, end):
        traces.append(1)
        schedule = pruning.cubic(target, begin=0, end=end)
        optimiser = pruning.magnitude(optax.adam(0.01), sparsity=schedule, interval=end)
        updates, state = optimiser.update(params, state, params)
        return optax.apply_updates(params, updates), state

    for target in (0.25, 0.5, 0.9):
        for end in (1, 3):
            params = PARAMS
            state = pruning.magnitude(optax.adam(0.01), sparsity=0.1).init(params)
            for _ in range(end + 1):
                params, state = step(params, state, target, end)
            mask = pruning.masks(state)["conv"]["kernel"]
            assert int(mask.sum()) == 144 - round(target * 144)
    assert len(traces) == 1


def follow(path, leaf):
    """Ties the biases and the normalisation of a channel to its kernel."""
    return {
        "conv/bias": "conv/kernel",
        "norm/scale": "conv/kernel",
        "norm/bias": "conv/kernel",
    }.get(path)


def test_dead_channels_emit_exactly_zero():
    optimiser = pruning.magnitude(
        optax.adamw(0.05),
        sparsity=0.5,
        grain="channel",
        ties=follow,
        interval=3,
        where=lambda path, leaf: path == "conv/kernel",
    )
    _, params, state = run(optimiser, 8)
    x = jnp.asarray(RNG.normal(size=(2, 6, 6, 2)), jnp.float32)
    y = jax.lax.conv_general_dilated(
        x,
        params["conv"]["kernel"],
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    y = (y + params["conv"]["bias"]) * params["norm"]["scale"] + params["norm"]["bias"]
    dead = ~np.asarray(pruning.masks(state)["conv"]["bias"])
    assert dead.sum() == 4
    assert (np.asarray(y)[..., dead] == 0).all()
    assert (np.asarray(y)[..., ~dead] != 0).any(axis=(0, 1, 2)).all()
    assert params["dense"]["kernel"].all()


def test_without_jit_bad_scores_raise():
    grads = jax.tree.map(lambda x: x * jnp.nan, PARAMS)
    optimiser = pruning.magnitude(optax.sgd(0.1), sparsity=0.5, score="saliency")
    with pytest.raises(pruning.PruningError, match="leaf conv/kernel: its scores hold"):
        optimiser.update(grads, optimiser.init(PARAMS), PARAMS)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (dict(sparsity=1.2), "sparsity=1.2 is outside"),
        (dict(), "sparsity is missing"),
        (dict(sparsity=0.5, interval=0), "interval=0 must be at least 1"),
        (dict(sparsity=0.5, begin=9, end=3), "end=3 is before begin=9"),
        (dict(sparsity=0.5, grain="row"), "grain='row' is unknown"),
        (dict(sparsity=0.5, score="size"), "score='size' is unknown"),
        (dict(sparsity=0.5, distribution="even"), "distribution='even' is unknown"),
    ],
)
def test_bad_arguments_raise_at_once(how, message):
    with pytest.raises(pruning.PruningError, match=message):
        pruning.magnitude(optax.sgd(0.1), **how)


def test_bad_leaves_raise_at_init():
    optimiser = pruning.magnitude(optax.sgd(0.1), grain="3:5")
    with pytest.raises(pruning.PruningError, match="leaf conv/kernel .* multiple of 5"):
        optimiser.init(PARAMS)
