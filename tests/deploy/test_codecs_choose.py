"""The formats of a network against all sets of formats, on small cases."""

import itertools

import numpy as np
import pytest

from spjax.deploy import codecs


def cost(encoded, kernel_bytes):
    """What is minimised: encoded bytes, and the code of the formats in use."""
    used = {e.format for e in encoded.values()}
    return sum(e.encoded_bytes for e in encoded.values()) + kernel_bytes * len(used)


def layers(seed):
    """Weights of a few layers of different sizes, sparsities and types."""
    rng = np.random.default_rng(seed)
    made = {}
    for i in range(4):
        shape = rng.integers(1, 24), rng.integers(1, 90)
        values = rng.choice([-1, 1], shape) * rng.integers(1, rng.choice([2, 8, 128]))
        made[f"layer{i}"] = values * (rng.random(shape) < rng.choice([1, 0.5, 0.1]))
    return made


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kernel_bytes", [0, 60, 256])
def test_no_pair_of_formats_is_better(seed, kernel_bytes):
    """Descent ends nowhere above the best of all sets of one and two formats."""
    matrices = layers(seed)
    chosen = codecs.choose_together(matrices, kernel_bytes)
    for name, encoded in chosen.items():
        np.testing.assert_array_equal(codecs.decode(encoded), matrices[name])
    sizes = {
        name: {e.format: e.encoded_bytes for e in codecs.candidates(matrix)}
        for name, matrix in matrices.items()
    }
    for pair in itertools.combinations_with_replacement(codecs.formats(), 2):
        if all(set(pair) & set(options) for options in sizes.values()):
            best = [min(o[f] for f in pair if f in o) for o in sizes.values()]
            assert cost(chosen, kernel_bytes) <= sum(best) + kernel_bytes * len({*pair})


@pytest.mark.parametrize("seed", range(4))
def test_without_a_price_every_layer_has_its_smallest_format(seed):
    matrices = layers(seed)
    for name, encoded in codecs.choose_together(matrices, 0).items():
        assert encoded.encoded_bytes == codecs.choose(matrices[name]).encoded_bytes


def test_a_few_bytes_are_not_worth_a_format():
    """Half of 40 weights is zero: a bitmap saves 15 bytes of encoded weights."""
    weights = np.tile([[7, 0], [100, 0]], (10, 1))
    assert codecs.choose(weights).format.codec != "dense"
    big = np.random.default_rng(0).integers(1, 128, (40, 40))
    together = codecs.choose_together({"small": weights, "big": big})
    assert {e.format.name for e in together.values()} == {"dense_int8"}


def test_refusal():
    with pytest.raises(codecs.CodecError, match="kernel_bytes is -1"):
        codecs.choose_together({}, -1)
