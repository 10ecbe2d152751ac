"""Round trips of every format, byte counts by closed form, and the choice."""

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest

from spjax.deploy import codecs

_ALPHABETS = {
    "int8": st.integers(-128, 127),
    "int4": st.integers(-8, 7),
    "int2": st.sampled_from([-3, -1, 0, 1, 3]),
    "ternary": st.sampled_from([-1, 0, 1]),
    "sign": st.sampled_from([-1, 0, 1]),
}
_SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)


@st.composite
def matrices(draw, kind):
    """Weights of a type, often with long runs of zeros."""
    weights = draw(hnp.arrays(np.int8, draw(_SHAPES), elements=_ALPHABETS[kind]))
    zeros = draw(hnp.arrays(bool, weights.shape))
    return np.where(zeros & draw(st.booleans()), 0, weights).astype(np.int8)


def holds(form, weights):
    """Whether a format can hold weights, told from its definition."""
    dense = form.codec == "dense"
    values = weights.reshape(-1) if dense else weights[weights != 0]
    low, high = {"int8": (-128, 127), "int4": (-8, 7)}.get(form.values, (-3, 3))
    allowed = {"int2": (-3, -1, 1, 3), "sign": (-1, 1), "ternary": (-1, 0, 1)}
    fits = all(low <= v <= high for v in values)
    fits &= all(v in allowed.get(form.values, range(low, high + 1)) for v in values)
    if form.codec == "csr":
        fits &= weights.shape[1] <= 1 << form.index_bits
        fits &= max(np.count_nonzero(weights, 1)) < 1 << form.index_bits
    return fits


def bits_of(form, weights):
    """Bits of (values, index), by counting field by field."""
    rows, length = weights.shape
    stored = np.count_nonzero(weights)
    value = {"int8": 8, "int4": 4, "int2": 2, "sign": 1, "ternary": 8 / 5}[form.values]
    if form.codec == "dense":
        return rows * length * value, 0
    if form.codec == "bitmap":
        return stored * value, rows * length + 1
    if form.codec == "csr":
        return stored * value, (rows + stored) * form.index_bits
    text = "".join("v" if w else "0" for w in weights.reshape(-1)) + "v"
    escape = (1 << form.index_bits) - 1
    fields = sum(len(run) // escape + 1 for run in text.split("v")[:-1])
    return stored * value, fields * form.index_bits


@pytest.mark.parametrize("kind", sorted(_ALPHABETS))
@hypothesis.given(data=st.data())
@hypothesis.settings(max_examples=25, deadline=None)
def test_round_trip(kind, data):
    weights = data.draw(matrices(kind))
    for form in codecs.formats():
        if not holds(form, weights):
            with pytest.raises(codecs.CodecError):
                codecs.encode(weights, form)
            continue
        encoded = codecs.encode(weights, form)
        back = codecs.decode(encoded)
        assert back.dtype == np.int8
        np.testing.assert_array_equal(back, weights)
        expected = [int(np.ceil(bits / 8)) for bits in bits_of(form, weights)]
        assert [encoded.values.size, encoded.index.size] == expected
        assert encoded.encoded_bytes == sum(expected)


@pytest.mark.parametrize("form", codecs.formats(), ids=lambda f: f.name)
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (2, 255), (2, 256), (1, 700)])
def test_extremes(form, shape):
    """All zeros, no zeros, one value at either end; gaps over several escapes."""
    value = 3 if form.values == "int2" else 1
    cases = [np.zeros(shape, np.int8), np.full(shape, value, np.int8)]
    for end in (0, -1):
        cases.append(np.zeros(shape, np.int8))
        cases[-1].reshape(-1)[end] = -value
    for weights in cases:
        if holds(form, weights):
            decoded = codecs.decode(codecs.encode(weights, form))
            np.testing.assert_array_equal(decoded, weights)


def test_every_ternary_byte_carries_its_digits():
    digits = np.stack(np.meshgrid(*[[-1, 0, 1]] * 5, indexing="ij"), -1).reshape(-1, 5)
    encoded = codecs.encode(digits, codecs.Format("dense", "ternary"))
    assert encoded.encoded_bytes == 243
    np.testing.assert_array_equal(codecs.decode(encoded), digits)


@hypothesis.given(weights=matrices("int8"))
@hypothesis.settings(max_examples=25, deadline=None)
def test_choice_is_smallest_and_dense_wins_ties(weights):
    chosen = codecs.choose(weights)
    sizes = {e.format: e.encoded_bytes for e in codecs.candidates(weights)}
    assert chosen.encoded_bytes == min(sizes.values())
    dense = [n for form, n in sizes.items() if form.codec == "dense"]
    if min(dense) == min(sizes.values()):
        assert chosen.format.codec == "dense"


@pytest.mark.parametrize(
    "sparsity, expected", [(0.0, {"dense"}), (0.5, {"bitmap"}), (0.95, {"gaps", "csr"})]
)
def test_choice_by_sparsity(sparsity, expected):
    rng = np.random.default_rng(0)
    weights = rng.integers(1, 128, (32, 200)) * rng.choice([-1, 1], (32, 200))
    weights[rng.random(weights.shape) < sparsity] = 0
    assert codecs.choose(weights).format.codec in expected


@pytest.mark.parametrize(
    "weights, message",
    [
        (np.zeros(3, np.int8), r"shape \(3,\)"),
        (np.zeros((2, 2)), "float64"),
        (np.full((2, 2), 200), "reach from 200 to 200"),
    ],
)
def test_what_is_no_matrix_of_int8_is_refused(weights, message):
    with pytest.raises(codecs.CodecError, match=message):
        codecs.choose(weights)


def test_a_weight_outside_of_the_type_is_named():
    with pytest.raises(codecs.CodecError, match="int4 cannot hold the weight 9"):
        codecs.encode(np.array([[1, 9]]), codecs.Format("dense", "int4"))
