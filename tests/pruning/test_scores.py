"""Scores."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spjax.pruning import PruningError, random_scores, saliency_scores
from spjax.pruning.scores import as_score

PARAMS = {"a": jnp.array([[1.0, -2.0]]), "b": jnp.array([[3.0, -4.0]])}
GRADS = {"a": jnp.array([[-5.0, 1.0]]), "b": jnp.array([[0.0, -1.0]])}


def test_magnitude_and_saliency():
    np.testing.assert_array_equal(as_score("magnitude")(PARAMS, None, 0)["b"], [[3, 4]])
    got = as_score("saliency")(PARAMS, GRADS, 0)
    np.testing.assert_array_equal(got["a"], [[5, 2]])
    np.testing.assert_array_equal(got["b"], [[0, 4]])


def test_saliency_needs_gradients():
    with pytest.raises(PruningError, match="needs gradients"):
        saliency_scores(PARAMS, None, 0)


def test_random_scores_differ_by_step_leaf_and_key():
    score = random_scores(jax.random.key(0))
    first = score(PARAMS, None, 0)
    assert not np.array_equal(first["a"], first["b"])
    assert not np.array_equal(first["a"], score(PARAMS, None, 1)["a"])
    other = random_scores(jax.random.key(1))(PARAMS, None, 0)
    assert not np.array_equal(first["a"], other["a"])
    np.testing.assert_array_equal(first["a"], score(PARAMS, None, 0)["a"])


def test_unknown_names():
    with pytest.raises(PruningError, match="score='size' is unknown"):
        as_score("size")
