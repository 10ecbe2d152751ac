import numpy as np
import pytest

from spjax import training
from spjax.training.result import history_entry


def test_the_share_of_zeros_is_that_of_kernels_alone():
    params = {
        "a": {"kernel": np.array([[0.0, 1.0], [2.0, 0.0]]), "bias": np.zeros(2)},
        "b": {"kernel": np.ones((1, 4))},
    }
    assert training.kernel_sparsity(params) == 2 / 8
    entry = history_entry(3, np.float32(0.5), np.float32(0.25), 0.1, params)
    assert entry == {
        "epoch": 3,
        "loss": 0.5,
        "train_error": 0.25,
        "validation_error": 0.1,
        "sparsity": 0.25,
    }
    numbers = [entry[name] for name in ("loss", "train_error", "sparsity")]
    assert all(type(number) is float for number in numbers)
    assert training.kernel_sparsity({"k": np.eye(3)}) == pytest.approx(6 / 9)
