"""SET and RigL: sparse throughout, moving masks, growth where it should be."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from spjax import pruning

RNG = np.random.default_rng(0)
PARAMS = {
    "a": {"kernel": jnp.asarray(RNG.normal(size=(10, 12)), jnp.float32)},
    "b": {"kernel": jnp.asarray(RNG.normal(size=(12, 30)), jnp.float32)},
}
KEY = jax.random.key(0, impl="rbg")  # compiles faster than the default
MAKERS = {
    "set": lambda **kw: pruning.sparse_evolution(optax.adam(0.01), key=KEY, **kw),
    "rigl": lambda **kw: pruning.rigl(optax.adam(0.01), key=KEY, end=40, **kw),
}


def history(optimiser, steps, params=PARAMS):
    def step(carry, t):
        params, state = carry
        grads = jax.tree.map(lambda x: jnp.sin(3 * x + t), params)
        updates, state = optimiser.update(grads, state, params)
        new = optax.apply_updates(params, updates)
        return (new, state), (params, grads, pruning.masks(state), new)

    def run(params):
        state = optimiser.init(params)
        trace = jax.lax.scan(step, (params, state), jnp.arange(steps))[1]
        return pruning.masks(state), trace

    return jax.tree.map(np.asarray, jax.jit(run)(params))


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("grain", ["weight", "channel"])
def test_counts_stay_and_masks_move(name, grain):
    optimiser = MAKERS[name](
        sparsity=0.75, interval=5, grain=grain, distribution="uniform"
    )
    first, (_, _, masks, weights) = history(optimiser, 22)
    for leaf in PARAMS:
        m, w = masks[leaf]["kernel"], weights[leaf]["kernel"]
        counts = m.reshape(22, -1).sum(axis=1)
        groups = m.shape[-1] if grain == "channel" else m[0].size
        size = m[0].size // groups
        assert (counts == size * (groups - round(0.75 * groups))).all()
        assert (w[~m] == 0).all()
        moved = [t for t in range(22) if t and (m[t] != m[t - 1]).any()]
        assert moved and all(t % 5 == 0 for t in moved)
        np.testing.assert_array_equal(m[0], first[leaf]["kernel"])


def test_rigl_drops_the_smallest_and_grows_the_steepest():
    optimiser = pruning.rigl(
        optax.sgd(0.0), sparsity=0.8, key=KEY, end=40, interval=5, fraction=0.5
    )
    _, (weights, grads, masks, new) = history(optimiser, 6)
    t = 5
    share = 0.25 * (1 + np.cos(np.pi * t / 40))
    for leaf in PARAMS:
        old = masks[leaf]["kernel"][t - 1].ravel()
        now = masks[leaf]["kernel"][t].ravel()
        size = np.abs(weights[leaf]["kernel"][t]).ravel()
        slope = np.abs(grads[leaf]["kernel"][t]).ravel()
        dropped = round(share * old.sum())
        by_size = sorted(np.flatnonzero(old), key=lambda i: -size[i])
        stay = set(by_size[: old.sum() - dropped])
        others = [i for i in range(old.size) if i not in stay]
        grown = sorted(others, key=lambda i: -slope[i])[:dropped]
        assert set(np.flatnonzero(now)) == stay | set(grown)
        fresh = now & ~old
        assert fresh.any() and (new[leaf]["kernel"][t].ravel()[fresh] == 0).all()


def test_rigl_stops_at_its_end():
    optimiser = pruning.rigl(optax.sgd(0.1), sparsity=0.5, key=KEY, end=10, interval=5)
    _, (_, _, masks, _) = history(optimiser, 21)
    m = masks["b"]["kernel"]
    assert (m[5] != m[4]).any() and (m[10:] == m[9]).all()


def test_set_grows_at_random_and_by_its_key():
    @jax.jit
    def run(key):  # keys may be traced as well
        optimiser = pruning.sparse_evolution(
            optax.sgd(0.0), sparsity=0.8, key=key, interval=1
        )
        state = optimiser.init(PARAMS)
        first = pruning.masks(state)["b"]["kernel"]
        for _ in range(2):
            _, state = optimiser.update(PARAMS, state, PARAMS)
        return first, pruning.masks(state)["b"]["kernel"]

    runs = [run(jax.random.key(k, impl="rbg")) for k in (0, 0, 1)]
    for again, other in zip(runs[1], runs[2], strict=True):
        assert (again != other).any()
    jax.tree.map(np.testing.assert_array_equal, runs[0], runs[1])
    assert (runs[0][1] & ~runs[0][0]).any()


def test_grown_weights_start_without_momentum():
    """With no gradient on what is masked, its moment is zero when it grows."""
    optimiser = pruning.sparse_evolution(
        optax.sgd(0.1, momentum=0.9), sparsity=0.8, key=KEY, interval=4, begin=4
    )
    _, (_, grads, masks, new) = history(optimiser, 5)
    fresh = masks["b"]["kernel"][4] & ~masks["b"]["kernel"][3]
    assert fresh.any()
    got = new["b"]["kernel"][4][fresh]
    np.testing.assert_allclose(got, -0.1 * grads["b"]["kernel"][4][fresh], rtol=1e-5)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    ("how", "message"),
    [
        (dict(sparsity=1.0), "sparsity=1.0 is outside"),
        (dict(sparsity=0.5, fraction=1.5), "fraction=1.5 is outside"),
        (dict(sparsity=0.5, grain="2:4"), "grain other than N:M"),
        (dict(sparsity=0.5, distribution="global"), "other than 'global'"),
        (dict(sparsity=0.5, interval=0), "interval=0 must be"),
    ],
)
def test_bad_arguments(name, how, message):
    with pytest.raises(pruning.PruningError, match=message):
        MAKERS[name](**how)
