"""Trees as vectors."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spjax.training.packed import layout_of, pack

SHAPES = st.lists(st.lists(st.integers(0, 7), max_size=3).map(tuple), max_size=6)


@given(shapes=SHAPES, seed=st.integers(0, 9))
def test_a_tree_comes_back(shapes, seed):
    rng = np.random.default_rng(seed)
    tree = {f"x{i}": rng.normal(size=s).astype("f") for i, s in enumerate(shapes)}
    packed = pack(tree)
    count = sum(leaf.size for leaf in tree.values())
    length = len(packed.vector)
    assert length >= max(count, 1024)
    assert length == 1024 or length < 2 * count
    assert length & (length - 1) == 0
    assert not packed.vector[count:].any()
    jax.tree.map(np.testing.assert_array_equal, packed.tree(), tree)


def test_traced_trees_pack_alike():
    tree = {"b": np.arange(6.0, dtype="f").reshape(2, 3), "a": np.float32(7)}

    @jax.jit
    def double(packed):
        return pack(jax.tree.map(lambda x: 2 * x, packed.tree()))

    doubled = double(pack(tree))
    assert isinstance(doubled.vector, jax.Array)
    assert doubled.layout == pack(tree).layout
    np.testing.assert_array_equal(doubled.vector, 2 * pack(tree).vector)
    np.testing.assert_array_equal(doubled.tree()["b"], 2 * tree["b"])


def test_masks_are_padded_with_what_is_asked_for():
    packed = pack({"m": np.array([True, False])}, fill=True)
    assert packed.vector.dtype == bool
    assert packed.vector.sum() == 1023 and not packed.vector[1]


def test_a_layout_is_that_of_shapes_too():
    tree = {"a": jnp.zeros((2, 3))}
    shapes = jax.eval_shape(lambda: tree)
    assert layout_of(shapes) == layout_of(tree)
    assert layout_of(tree).count == 6
    assert hash(layout_of(tree)) == hash(layout_of(shapes))
