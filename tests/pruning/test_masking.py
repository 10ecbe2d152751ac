"""Masks of whole trees: exact counts, order, ties, history, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import pruning

FEW = settings(max_examples=20, deadline=None)
RNG = np.random.default_rng(0)
TREE = {
    "conv": {"kernel": RNG.normal(size=(3, 3, 2, 8)), "bias": np.ones(8)},
    "dense": {"kernel": RNG.normal(size=(72, 10)) * 5, "bias": np.ones(10)},
}
TREE = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), TREE)
NAMES = ("conv", "dense")


def kept(size, sparsity):
    return max(1, size - round(float(np.float32(sparsity) * np.float32(size))))


def counts(masks):
    return [int(masks[name]["kernel"].sum()) for name in NAMES]


@given(
    st.sampled_from([(1,), (7,), (5, 4), (3, 3, 2, 4)]),
    st.floats(0, 0.9999),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
@FEW
def test_exact_counts_even_with_ties(shape, sparsity, seed, tied):
    rng = np.random.default_rng(seed)
    weights = rng.integers(-1, 2, shape) if tied else rng.normal(size=shape)
    tree = {"w": jnp.asarray(weights, jnp.float32)}
    masks = pruning.compute_masks(tree, sparsity, where=lambda path, leaf: True)
    mask = np.asarray(masks["w"])
    assert mask.sum() == kept(mask.size, sparsity)
    size = np.abs(np.asarray(tree["w"]))
    if not mask.all():
        assert size[mask].min() >= size[~mask].max()


@pytest.mark.parametrize("grain", ["weight", "channel", "1x2"])
@pytest.mark.parametrize("distribution", ["uniform", "erk", "global"])
def test_counts_of_every_grain_and_distribution(grain, distribution):
    masks = pruning.compute_masks(TREE, 0.7, grain=grain, distribution=distribution)
    per_group = {"weight": (1, 1), "channel": (18, 72), "1x2": (2, 2)}[grain]
    groups = [144 // per_group[0], 720 // per_group[1]]
    got = [c / g for c, g in zip(counts(masks), per_group, strict=True)]
    if distribution == "uniform":
        assert got == [kept(g, 0.7) for g in groups]
    if distribution == "global":
        assert sum(got) == kept(sum(groups), 0.7)
    for name in NAMES:
        assert masks[name]["bias"].shape == () and bool(masks[name]["bias"])


def test_global_is_one_ranking():
    masks = pruning.compute_masks(TREE, 0.6, distribution="global", allow_empty=True)
    size = np.concatenate([np.abs(TREE[n]["kernel"]).ravel() for n in NAMES])
    mask = np.concatenate([np.asarray(masks[n]["kernel"]).ravel() for n in NAMES])
    assert mask.sum() == kept(size.size, 0.6)
    assert size[mask].min() >= size[~mask].max()


def test_no_leaf_is_emptied_unless_asked():
    tree = {"tiny": TREE["conv"]["kernel"] * 1e-9, "big": TREE["dense"]["kernel"]}
    for how in ("uniform", "global"):
        masks = pruning.compute_masks(tree, 0.999, distribution=how)
        assert int(masks["tiny"].sum()) == 1
    masks = pruning.compute_masks(tree, 0.999, distribution="global", allow_empty=True)
    assert int(masks["tiny"].sum()) == 0


def test_two_of_four():
    masks = pruning.compute_masks(TREE["dense"], grain="2:4")
    groups = np.asarray(masks["kernel"]).reshape(18, 4, 10)
    assert (groups.sum(axis=1) == 2).all()


def test_what_was_removed_stays_removed():
    first = pruning.compute_masks(TREE, 0.5)
    grown = jax.tree.map(  # removed weights are now the largest
        lambda w, m: jnp.where(m, w, 100.0) if m.ndim else w, TREE, first
    )
    second = pruning.compute_masks(grown, 0.8, previous=first)
    for name in NAMES:
        assert not (second[name]["kernel"] & ~first[name]["kernel"]).any()
    assert counts(second) == counts(pruning.compute_masks(TREE, 0.8))


def test_weights_return_by_gradient_when_the_sparsity_falls():
    first = pruning.compute_masks(TREE, 0.9)
    grads = jax.tree.map(lambda x: jnp.asarray(RNG.normal(size=x.shape)), TREE)
    second = pruning.compute_masks(TREE, 0.5, previous=first, grads=grads)
    for name in NAMES:
        old = np.asarray(first[name]["kernel"])
        new = np.asarray(second[name]["kernel"])
        slope = np.abs(np.asarray(grads[name]["kernel"], np.float32))
        assert new[old].all()
        back, out = slope[new & ~old], slope[~new]
        assert back.min() >= out.max()


def test_saliency_random_and_user_scores():
    grads = jax.tree.map(lambda x: 1 / (x**3 + 1e-3), TREE)  # turns the order round
    saliency = pruning.compute_masks(TREE, 0.5, score="saliency", grads=grads)
    size = pruning.compute_masks(TREE, 0.5)
    user = pruning.compute_masks(
        TREE, 0.5, score=lambda p, g, t: jax.tree.map(lambda x: -jnp.abs(x), p)
    )
    for name in NAMES:
        np.testing.assert_array_equal(
            user[name]["kernel"], ~np.asarray(size[name]["kernel"])
        )
        want = np.abs(np.asarray(TREE[name]["kernel"] * grads[name]["kernel"]))
        got = np.asarray(saliency[name]["kernel"])
        assert want[got].min() >= want[~got].max()
    random = pruning.random_scores(jax.random.key(3))
    assert counts(pruning.compute_masks(TREE, 0.5, score=random)) == [72, 360]


def test_ties_give_biases_the_channels_of_their_kernel():
    follow = {"conv/bias": "conv/kernel", "dense/bias": "dense/kernel"}
    masks = pruning.compute_masks(
        TREE, 0.5, grain="channel", ties=lambda path, leaf: follow.get(path)
    )
    for name in NAMES:
        kernel = np.asarray(masks[name]["kernel"])
        alive = kernel.any(axis=tuple(range(kernel.ndim - 1)))
        np.testing.assert_array_equal(masks[name]["bias"], alive)
        assert 0 < alive.sum() < alive.size


def test_jit_vmap_and_a_traced_sparsity_agree_with_plain():
    stack = jax.tree.map(lambda x: jnp.stack([x, jnp.sin(9 * x)]), TREE)
    targets = jnp.array([0.3, 0.85])
    got = jax.jit(jax.vmap(pruning.compute_masks))(stack, targets)
    for i in range(2):
        one = jax.tree.map(lambda x, i=i: x[i], stack)
        want = pruning.compute_masks(one, float(targets[i]))
        for name in NAMES:
            np.testing.assert_array_equal(got[name]["kernel"][i], want[name]["kernel"])


def test_apply_masks():
    masks = pruning.compute_masks(TREE, 0.7)
    sparse = pruning.apply_masks(TREE, masks)
    for name in NAMES:
        m = np.asarray(masks[name]["kernel"])
        assert (np.asarray(sparse[name]["kernel"])[~m] == 0).all()
        np.testing.assert_array_equal(
            np.asarray(sparse[name]["kernel"])[m], np.asarray(TREE[name]["kernel"])[m]
        )
        np.testing.assert_array_equal(sparse[name]["bias"], TREE[name]["bias"])


def test_straight_through_has_the_masked_value_and_the_dense_gradient():
    masks = pruning.compute_masks(TREE, 0.7)
    value = pruning.apply_masks(TREE, masks)
    through = pruning.apply_masks(TREE, masks, straight_through=True)
    jax.tree.map(np.testing.assert_array_equal, value, through)

    def loss(params, straight):
        params = pruning.apply_masks(params, masks, straight_through=straight)
        return sum(jnp.sum(jnp.square(x - 1)) for x in jax.tree.leaves(params))

    dense = jax.tree.map(lambda x: 2 * (x - 1), value)
    got = jax.grad(loss)(TREE, True)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), got, dense)
    blocked = jax.grad(loss)(TREE, False)["conv"]["kernel"]
    assert (np.asarray(blocked)[~np.asarray(masks["conv"]["kernel"])] == 0).all()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (dict(sparsity=1.0), r"sparsity=1.0 is outside \[0, 1\)"),
        (dict(sparsity=-0.1), r"outside \[0, 1\)"),
        (dict(), "sparsity is missing"),
        (dict(sparsity=0.5, where=lambda p, x: False), "selects none of the 4 leaves"),
        (dict(grain="2:5"), "leaf conv/kernel .* multiple of 5"),
        (dict(grain="2:4", sparsity=0.7), "sparsity=0.7 contradicts 2:4"),
        (dict(grain="2:4", distribution="erk"), "does not apply to N:M"),
        (dict(sparsity=0.5, grain="7x7"), "leaf conv/kernel .* not tiled"),
        (dict(sparsity=0.5, ties=lambda p, x: None), "use them with grain='channel'"),
        (
            dict(
                sparsity=0.5,
                grain="channel",
                ties=lambda p, x: "conv/kernel" if p == "dense/bias" else None,
            ),
            "leaf dense/bias of shape .10,. is tied to conv/kernel with 8 channels",
        ),
        (
            dict(sparsity=0.5, score=lambda p, g, t: jax.tree.map(jnp.sum, p)),
            "leaf conv/kernel: its scores have shape",
        ),
        (
            dict(
                sparsity=0.5,
                score=lambda p, g, t: jax.tree.map(lambda x: x * jnp.nan, p),
            ),
            "leaf conv/kernel: its scores hold NaN",
        ),
    ],
)
def test_bad_input_names_the_leaf_and_the_remedy(how, message):
    with pytest.raises(pruning.PruningError, match=message):
        pruning.compute_masks(TREE, **how)
