"""Which leaves are selected, and how they are named, in trees of several libraries."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from spjax.pruning import PruningError, default_where
from spjax.pruning.leaves import leaf_paths, resolve_ties, select


def chosen(tree, where=default_where):
    paths = leaf_paths(tree)
    return [paths[i] for i in select(tree, where)]


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Conv(4, (3, 3))(x)
        x = nn.LayerNorm()(nn.BatchNorm(use_running_average=True)(x))
        return nn.Dense(2)(x.reshape(len(x), -1))


def test_flax_linen():
    variables = jax.eval_shape(Linen().init, jax.random.key(0), jnp.zeros((1, 4, 4, 1)))
    assert chosen(variables) == ["params/Conv_0/kernel", "params/Dense_0/kernel"]


def test_flax_nnx():
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.linear = nnx.Linear(3, 4, rngs=rngs)
            self.norm = nnx.BatchNorm(4, rngs=rngs)

    state = nnx.state(Net(nnx.Rngs(0)), nnx.Param)
    (path,) = chosen(state)
    assert path.removesuffix("/value") == "linear/kernel"


def test_haiku_names():
    tree = {
        "conv2_d": {"w": jnp.ones((3, 3, 1, 4)), "b": jnp.ones(4)},
        "batch_norm": {"scale": jnp.ones((1, 1, 1, 4)), "offset": jnp.ones((1, 4))},
    }
    assert chosen(tree) == ["conv2_d/w"]


def test_equinox_style_modules():
    @jax.tree_util.register_dataclass
    @dataclasses.dataclass
    class Conv:
        weight: jax.Array
        bias: jax.Array  # Equinox keeps convolution biases in three axes

    @jax.tree_util.register_dataclass
    @dataclasses.dataclass
    class Net:
        layers: list

    net = Net([Conv(jnp.ones((4, 1, 3, 3)), jnp.ones((4, 1, 1)))])
    assert chosen(net) == ["layers/0/weight"]


def test_bare_tuples():
    assert chosen([(jnp.ones((2, 3)), jnp.ones(3))]) == ["0/0"]


def test_integers_are_left_alone():
    assert chosen({"w": jnp.ones((2, 2)), "table": jnp.ones((2, 2), int)}) == ["w"]


def test_nothing_selected_names_the_leaves():
    with pytest.raises(PruningError, match="none of the 1 leaves .b.*give a where"):
        select({"b": jnp.ones(3)}, default_where)


@pytest.mark.parametrize(
    ("leaf", "message"),
    [(jnp.ones(3, int), "leaf a has dtype int32"), (jnp.ones((0, 2)), "leaf a has no")],
)
def test_leaves_that_cannot_be_pruned(leaf, message):
    with pytest.raises(PruningError, match=message):
        select({"a": leaf}, lambda path, leaf: True)


def test_ties_follow_pruned_leaves_only():
    tree = {"k": jnp.ones((2, 3)), "b": jnp.ones(3), "c": jnp.ones(3)}
    paths = leaf_paths(tree)
    follow = {"b": "k", "c": "k"}.get
    tied = resolve_ties(tree, [paths.index("k")], lambda path, leaf: follow(path))
    assert tied == {paths.index("b"): 2, paths.index("c"): 2}
    with pytest.raises(PruningError, match="leaf b is tied to c, which is not"):
        resolve_ties(tree, [2], lambda path, leaf: {"b": "c"}.get(path))


def test_chains_of_ties_are_refused():
    tree = {"a": jnp.ones((2, 3)), "k": jnp.ones((2, 3)), "z": jnp.ones(3)}
    with pytest.raises(PruningError, match="tie all of them to the same leaf"):
        resolve_ties(tree, [0, 1], lambda p, leaf: {"a": "k", "z": "a"}.get(p))
