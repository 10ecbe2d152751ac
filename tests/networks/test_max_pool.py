"""Max pooling by reshaping, against loops."""

import jax
import numpy as np
import pytest

from spjax.networks.max_pool import max_pool


def loops(x, window, dy):
    """Value and gradient, one window at a time; ties share."""
    height, channels, width, count = x.shape
    y = np.zeros((height // window, channels, width // window, count))
    dx = np.zeros(x.shape)
    for h, c, w, n in np.ndindex(y.shape):
        at = (
            slice(h * window, (h + 1) * window),
            c,
            slice(w * window, (w + 1) * window),
            n,
        )
        y[h, c, w, n] = x[at].max()
        is_max = x[at] == x[at].max()
        dx[at] = is_max * dy[h, c, w, n] / is_max.sum()
    return y, dx


@pytest.mark.parametrize(("window", "size"), [(2, 6), (2, 7), (3, 8), (4, 4)])
@pytest.mark.parametrize("ties", [False, True])
def test_equals_loops(window, size, ties):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(size, 2, size + 1, 3)).astype(np.float32)
    if ties:
        x = np.round(x)
    shape = jax.eval_shape(lambda x: max_pool(x, window), x).shape
    dy = rng.normal(size=shape).astype(np.float32)
    y, pull = jax.vjp(lambda x: max_pool(x, window), x)
    want_y, want_dx = loops(x, window, dy)
    np.testing.assert_array_equal(y, want_y)
    np.testing.assert_allclose(pull(dy)[0], want_dx, rtol=1e-6)
