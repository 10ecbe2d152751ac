"""The cross entropy against optax's, and errors counted by hand."""

import jax
import numpy as np
import optax

from spjax.training.losses import loss_and_errors


def test_the_loss_and_its_gradient_are_optaxs():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 5, (17, 6)).astype(np.float32)
    labels = rng.integers(0, 6, 17).astype(np.int32)

    def reference(z):
        return optax.softmax_cross_entropy_with_integer_labels(z, labels).mean()

    wanted, slopes = jax.value_and_grad(reference)(logits)
    (loss, errors), found = jax.value_and_grad(loss_and_errors, has_aux=True)(
        logits, labels
    )
    np.testing.assert_allclose(loss, wanted, rtol=1e-6)
    np.testing.assert_allclose(found, slopes, rtol=1e-5, atol=1e-8)
    assert errors == np.sum(np.argmax(logits, 1) != labels)


def test_large_logits_overflow_nothing():
    loss, errors = loss_and_errors(
        np.array([[1e4, 0.0], [0.0, 1e4]], np.float32), np.zeros(2, np.int32)
    )
    assert loss == 5e3 and errors == 1


def test_a_tie_counts_as_right():
    _, errors = loss_and_errors(
        np.zeros((3, 4), np.float32), np.array([0, 1, 3], np.int32)
    )
    assert errors == 0
