import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import genomes
from spjax.deploy import integer
from spjax.deploy.quantise import quantise
from spjax.deploy.quantised import QuantisationError
from tests.deploy import programs, slow_integer

_SMALL = dataclasses.replace(
    genomes.Bounds(), channels=(1, 12), dense_units=(1, 20), branch_units=(1, 9)
)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(-(2**30) + 1, 2**30 - 1),
    st.integers(2**30, 2**31 - 1) | st.just(0),
    st.integers(-31, 0),
)
def test_scaled_is_gemmlowp_s(a, multiplier, shift):
    expected = slow_integer.scaled(a, multiplier, shift)
    assert integer.scaled(np.array([a]), multiplier, shift).tolist() == [expected]


def test_scaled_rounds_ties_as_gemmlowp_does():
    half = 2**30  # a multiplier of one half
    values = [-5, -3, -1, 1, 3, 5]
    assert integer.scaled(np.array(values), half, 0).tolist() == [-2, -1, 0, 1, 2, 3]
    # 6 / 4, 2 / 4 and their negatives are ties of the second rounding.
    made = integer.scaled(np.array([12, 4, -4, -12]), half, -2)
    assert made.tolist() == [2, 1, -1, -2]


def _agree(program, images, precisions="int8"):
    quantised = quantise(program, images, precisions=precisions)
    inputs = quantised.scale(program.inputs[0]).to_int8(images)
    fast = integer.run(quantised, inputs)
    for index in (0, len(images) - 1):
        slow = slow_integer.run(quantised, inputs[index])
        assert slow.keys() == fast.keys()
        for name, values in slow.items():
            np.testing.assert_array_equal(values[0], fast[name][index], err_msg=name)
    return {op.kind for op in program.operations}


def test_every_kind_agrees_with_one_number_at_a_time():
    kinds = _agree(*programs.rich())
    kinds |= _agree(*programs.rich(1), precisions="ternary")
    assert kinds == {
        *("conv2d", "dense", "max_pool", "average_pool", "reduce"),
        *("elementwise", "concatenate"),
    }


@pytest.mark.parametrize("seed", [1, 4, 7, 10])
def test_genomes_agree_with_one_number_at_a_time(seed):
    program, images = programs.of_genome(seed, bounds=_SMALL)
    _agree(program, images, ("int8", "int4", "int2")[seed % 3])


def test_batches_are_cut_without_a_trace(monkeypatch):
    program, images = programs.rich()
    quantised = quantise(program, images)
    inputs = quantised.scale("input").to_int8(images)
    whole = integer.run(quantised, inputs)
    monkeypatch.setattr(integer, "_CHUNK", 1)
    one_by_one = integer.run(quantised, inputs)
    for name, values in whole.items():
        np.testing.assert_array_equal(values, one_by_one[name])
    assert (integer.predict(quantised, inputs) == whole[program.outputs[0]]).all()


@pytest.mark.parametrize("images", [np.zeros((2, 9, 8, 3)), np.zeros((2, 8), np.int8)])
def test_refuses_other_images(images):
    program, given = programs.rich()
    with pytest.raises(QuantisationError, match="takes int8 of the shape"):
        integer.run(quantise(program, given), images)
