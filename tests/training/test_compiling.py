"""Programs compiled quickly compute the same, and options that XLA lacks are left."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spjax.training import compiling


@pytest.fixture
def other_options(monkeypatch):
    compiling.quick_options.cache_clear()
    yield lambda options: monkeypatch.setattr(compiling, "_OPTIONS", options)
    compiling.quick_options.cache_clear()


def test_the_options_are_known_here_and_change_no_result():
    assert "xla_backend_optimization_level" in compiling.quick_options()
    x = np.random.default_rng(0).normal(size=(64, 50)).astype(np.float32)

    def function(x):
        return jnp.sum(jnp.exp(x) @ x.T, 1) / jnp.sum(x * x)

    quick = compiling.quick_jit(function)
    np.testing.assert_allclose(quick(x), jax.jit(function)(x), rtol=1e-5)


def test_an_option_that_is_gone_is_left_out(other_options):
    other_options({"xla_no_such_option": 1, "xla_backend_optimization_level": 1})
    assert compiling.quick_options() == {"xla_backend_optimization_level": 1}
    assert compiling.quick_jit(lambda x: x + 1)(1) == 2
