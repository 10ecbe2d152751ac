import dataclasses

import numpy as np
import pytest

from spjax import networks
from spjax.deploy import integer
from spjax.deploy.files import load_quantised, save_quantised
from spjax.deploy.quantise import quantise
from spjax.deploy.quantised import Linear, QuantisationError
from tests.deploy import programs


@pytest.fixture(params=["rich", 3, 5])
def quantised(request):
    rich = request.param == "rich"
    return quantise(*(programs.rich() if rich else programs.of_genome(request.param)))


def test_a_program_comes_back(tmp_path, quantised):
    save_quantised(tmp_path / "network.npz", quantised)
    read = load_quantised(tmp_path / "network.npz")
    assert read.program == quantised.program  # values are not compared
    assert read.scales == quantised.scales
    assert read.operations.keys() == quantised.operations.keys()
    for name, old in quantised.operations.items():
        new = read.operations[name]
        assert type(new) is type(old)
        for field in dataclasses.fields(old):
            a, b = getattr(old, field.name), getattr(new, field.name)
            np.testing.assert_array_equal(a, b)
            assert type(a) is type(b) and getattr(a, "dtype", 0) == getattr(
                b, "dtype", 0
            )
        if isinstance(new, Linear):
            assert not new.weights.flags.writeable
    shape = quantised.program.tensors["input"].shape
    image = np.random.default_rng(0).integers(-128, 128, (3, *shape[1:]), np.int8)
    np.testing.assert_array_equal(
        integer.predict(read, image), integer.predict(quantised, image)
    )


def test_other_files_are_refused(tmp_path):
    networks.save_tree(tmp_path / "weights.npz", {"kernel": np.zeros(3)})
    with pytest.raises(QuantisationError, match="is not a quantised program"):
        load_quantised(tmp_path / "weights.npz")
    with pytest.raises(networks.FileError, match="no such file"):
        load_quantised(tmp_path / "missing.npz")


def test_another_version_is_refused(tmp_path):
    text = np.frombuffer(b'{"version": 99}', np.uint8)
    networks.save_tree(tmp_path / "new.npz", {"program.json": text})
    with pytest.raises(QuantisationError, match="format version 99"):
        load_quantised(tmp_path / "new.npz")
