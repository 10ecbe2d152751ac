"""The loop in C of every format against the integer reference."""

import dataclasses

import numpy as np
import pytest

from spjax.deploy import codecs, emit
from tests.deploy import compiled, nets

pytestmark = pytest.mark.skipif(
    compiled.compiler() is None, reason="there is no C compiler on this machine"
)


@pytest.mark.parametrize("form", codecs.formats(), ids=lambda form: form.name)
def test_every_format(form, tmp_path):
    """A padded convolution and a dense layer, with rows and gaps of all kinds."""
    precision = {"sign": "ternary"}.get(form.values, form.values)

    def network(x):
        x = nets.conv(x, nets.weights(7, 3, 3, 3, 5))
        return x.reshape(1, -1) @ nets.weights(8, 180, 6)

    quantised, images = nets.of_function(network, (6, 6, 3), precisions=precision)
    operations = dict(quantised.operations)
    if form.codec == "dense" and form.values in ("int2", "sign"):  # hold no zeros
        for name, linear in operations.items():
            full = np.where(linear.weights == 0, 1, linear.weights).astype(np.int8)
            operations[name] = dataclasses.replace(linear, weights=full)
    quantised = dataclasses.replace(quantised, operations=operations)
    plan = nets.plan(quantised.program, "whole in place")
    given = dict.fromkeys(operations, form)
    made = emit.model(quantised, plan, formats=given)
    program = compiled.build(made, tmp_path)
    assert compiled.compare(made, program, images[:1]) == 180 + 6
    assert set(made.formats.values()) == {form.name}
    assert made.files["spjax_model.c"].count("static int32_t dot_") == 1


def test_formats_side_by_side(tmp_path):
    """Every layer has a format of its own; the choice is made in C."""

    def network(x):
        for i in range(3):
            x = nets.conv(x, nets.weights(i, 3, 3, 3, 3))
        return x.reshape(1, -1) @ nets.weights(8, 108, 6)

    quantised, images = nets.of_function(network, (6, 6, 3))
    names = ("dense", 0), ("bitmap", 0), ("gaps", 4), ("csr", 8)
    given = {
        name: codecs.Format(codec, "int8", bits)
        for name, (codec, bits) in zip(quantised.operations, names, strict=True)
    }
    made = emit.model(
        quantised, nets.plan(quantised.program, "streamed"), formats=given
    )
    assert len(set(made.formats.values())) == 4
    program = compiled.build(made, tmp_path)
    assert compiled.compare(made, program, images[:1]) == 3 * 108 + 6


def test_a_format_that_cannot_hold_the_weights_is_named():
    quantised, _ = nets.of_function(
        lambda x: x.reshape(1, -1) @ nets.weights(1, 4, 3), (2, 2, 1)
    )
    (name,) = quantised.operations
    plan = nets.plan(quantised.program, "whole none")
    given = {name: codecs.Format("dense", "ternary")}
    with pytest.raises(codecs.CodecError, match="ternary cannot hold the weight"):
        emit.model(quantised, plan, formats=given)
