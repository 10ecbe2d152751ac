"""Emitted C is compiled and run; every activation equals the integer reference's.

A few random genomes by default; a hundred, with two more schedules each, with::

    SPJAX_EMIT_GENOMES=100 python -m pytest -s tests/deploy/test_emit.py -k genomes
"""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spjax import analysis
from spjax.deploy import codecs, emit
from tests.deploy import compiled, nets

GENOMES = int(os.environ.get("SPJAX_EMIT_GENOMES", 6))
pytestmark = pytest.mark.skipif(
    compiled.compiler() is None, reason="there is no C compiler on this machine"
)


def check(quantised, images, plan, folder, *defines):
    """Emits, compiles, runs and compares; the model."""
    made = emit.model(quantised, plan)
    assert made.arena_bytes == plan.planned_arena
    assert made.encoded_bytes == codecs.model_size_encoded(quantised, plan)
    program = compiled.build(made, folder, *defines)
    assert compiled.compare(made, program, images) > 0
    return made


@pytest.mark.parametrize("seed", range(GENOMES))
def test_genomes(seed, tmp_path):
    quantised, images = nets.random_network(seed)
    names = list(nets.SCHEDULES)
    chosen = [names[2 * seed % 12], names[2 * seed % 12 + 1]]
    if GENOMES >= 100:
        chosen = list(dict.fromkeys(["streamed", "input rows", *chosen]))
    compared = 0
    for name in chosen:
        plan = nets.plan(quantised.program, name)
        if plan is not None:
            (folder := tmp_path / name.replace(" ", "_")).mkdir()
            made = emit.model(quantised, plan)
            program = compiled.build(made, folder)
            compared += compiled.compare(made, program, images)
            assert made.encoded_bytes == codecs.model_size_encoded(quantised, plan)
    print(f"genome {seed}: {compared} activations of {len(chosen)} plans compared")


def test_streamed_image_and_sums_of_a_global_average(tmp_path):
    """The MNIST chain: pools in registers, a global average in accumulators."""

    def network(x):
        x = nets.max_pool(
            jax.nn.relu(nets.conv(x, nets.weights(1, 3, 3, 1, 4), "VALID"))
        )
        x = jax.nn.relu(nets.conv(x, nets.weights(2, 3, 3, 4, 6), "VALID"))
        return x.mean((1, 2)) @ nets.weights(3, 6, 5)

    quantised, images = nets.of_function(network, (13, 13, 1))
    plan = nets.plan(quantised.program, "input rows")
    task = plan.steps[0]
    assert task.stream.units[0] == () and task.stream.accumulate is not None
    made = check(quantised, images, plan, tmp_path, "-DROWS")
    assert "SPJAX_STREAMED_INPUT 1" in made.files["spjax_model.h"]
    (tmp_path / "at_once").mkdir()
    check(quantised, images, plan, tmp_path / "at_once")


def test_streamed_image_into_a_dense_layer(tmp_path):
    """No map at all: each pixel goes into the sums; weights lie pixel by pixel."""

    def network(x):
        return x.reshape(1, -1) @ nets.weights(1, 24, 7)

    quantised, images = nets.of_function(network, (4, 3, 2))
    plan = nets.plan(quantised.program, "input rows")
    assert plan.steps[0].stream.units == ((),)
    made = check(quantised, images, plan, tmp_path, "-DROWS")
    encoded = codecs.encoded_weights(quantised, plan)
    (linear,) = quantised.operations.values()
    (one,) = encoded.values()
    assert (one.rows, one.length) == (12 * 7, 2)
    np.testing.assert_array_equal(
        codecs.decode(one),
        linear.weights.reshape(12, 2, 7).transpose(0, 2, 1).reshape(84, 2),
    )
    assert made.arena_bytes == 2 + 4 * 7


def test_a_streamed_image_may_be_larger_than_16_bits_count(tmp_path):
    """80,000 bytes pass through 17 bytes of memory; bytes are counted in 16 bits."""

    def network(x):
        return jax.nn.relu(nets.conv(x, nets.weights(4, 1, 1, 2, 3))).max((1, 2))

    quantised, images = nets.of_function(network, (200, 200, 2))
    plan = nets.plan(quantised.program, "input rows")
    assert plan.planned_arena == 2 + 3 + 4 * 3
    made = emit.model(quantised, plan)
    assert "typedef uint16_t spjax_count" in made.files["spjax_model.c"]
    program = compiled.build(made, tmp_path, "-DROWS")
    assert compiled.compare(made, program, images[:1]) == 3 * 200 * 200 + 3
    whole = emit.model(quantised, nets.plan(quantised.program, "whole none"))
    assert "typedef uint32_t spjax_count" in whole.files["spjax_model.c"]


def test_dense_layer_at_the_end_of_rows_and_an_average_in_registers(tmp_path):
    def network(x):
        x = jax.nn.relu(nets.conv(x, nets.weights(1, 3, 3, 2, 5)))
        x = nets.average_pool(x)
        return x.reshape(1, -1) @ nets.weights(2, 180, 4)

    quantised, images = nets.of_function(network, (12, 12, 2))
    plan = nets.plan(quantised.program, "input rows")
    assert plan.steps[-1].stream.accumulate is not None
    made = check(quantised, images, plan, tmp_path)
    assert "pooled_pixel" in made.files["spjax_model.c"]


@pytest.mark.parametrize("schedule", ["whole in place", "channels", "row buffer"])
def test_depthwise_chain(schedule, tmp_path):
    """Asymmetric padding, strides, and an average pooling, channel by channel."""

    def network(x):
        x = jax.nn.relu(nets.conv(x, nets.weights(1, 3, 3, 2, 6)))
        x = nets.conv(x, nets.weights(2, 5, 5, 1, 6), ((1, 2), (2, 1)), (1, 1), 6)
        x = nets.average_pool(x, 3, 2)
        return nets.conv(x, nets.weights(3, 1, 1, 6, 2))

    quantised, images = nets.of_function(network, (11, 9, 2))
    plan = nets.plan(quantised.program, schedule)
    modes = {task.mode for task in plan.steps}
    assert schedule.replace(" in place", "").replace(" ", "_") in modes
    check(quantised, images, plan, tmp_path)


@pytest.mark.parametrize("schedule", ["whole overlap", "streamed"])
def test_what_genomes_do_not_have(schedule, tmp_path):
    """Dilation, groups, padded and overlapping pools, clamps, joined maps, a maximum
    over the map, and pixels that nothing reads."""

    def network(x):
        a = nets.conv(x, nets.weights(1, 3, 3, 2, 4), "SAME", groups=2, dilation=(2, 2))
        a = nets.max_pool(jax.nn.relu(a), 3, 2, "SAME")
        b = nets.conv(x, nets.weights(2, 1, 1, 4, 3), strides=(2, 2))
        both = jnp.concatenate([a, jnp.minimum(b, 1.5)], -1)
        y = nets.conv(both, nets.weights(3, 3, 3, 7, 4), "VALID")
        y = jnp.clip(y, -0.5, 0.7)
        y = nets.conv(y, nets.weights(4, 1, 1, 4, 3), strides=(3, 3))
        return y.max((1, 2)) @ nets.weights(5, 3, 6)

    quantised, images = nets.of_function(network, (13, 14, 4))
    check(quantised, images, nets.plan(quantised.program, schedule), tmp_path)


def test_tables_are_what_is_promised():
    """The arrays in the C text, counted element by element, are encoded_bytes."""
    quantised, _ = nets.random_network(4)
    made = emit.model(quantised, nets.plan(quantised.program, "streamed"))
    text, total = made.files["spjax_model.c"], 0
    for line in text.splitlines():
        if line.startswith("static const") and (
            "spjax_w_" in line or "spjax_c_" in line
        ):
            kind, symbol = line.split()[2:4]
            body = text.split(f" {symbol} SPJAX_FLASH = {{")[1].split("}")[0]
            count = len([n for n in body.split(",") if n.strip()])
            total += count * {"uint8_t": 1, "int32_t": 4}[kind]
    assert total == made.encoded_bytes == sum(table.bytes for table in made.tables)
    assert f"SPJAX_WEIGHT_BYTES {total}" in made.files["spjax_model.h"]


def test_refusals():
    quantised, _ = nets.of_function(
        lambda x: x.reshape(1, -1) @ nets.weights(1, 4, 3), (2, 2, 1)
    )
    program = quantised.program
    plan = nets.plan(program, "whole none")
    with pytest.raises(emit.EmitError, match="name is 'a\"b'"):
        emit.model(quantised, plan, name='a"b')
    four = analysis.plan(analysis.whole(program, bytes_per_element=4))
    with pytest.raises(emit.EmitError, match="bytes_per_element=1"):
        emit.model(quantised, four)
    other, _ = nets.of_function(lambda x: nets.max_pool(x), (4, 4, 1))
    with pytest.raises(emit.EmitError, match="another network"):
        emit.model(other, plan)


def test_kernels_that_do_not_exist_are_named():
    quantised, _ = nets.of_function(
        lambda x: nets.conv(x, nets.weights(1, 1, 300, 1, 1), "VALID"), (1, 300, 1)
    )
    with pytest.raises(emit.EmitError, match="wide = 300; the kernels take 255"):
        emit.model(quantised, nets.plan(quantised.program, "whole none"))
    padded, _ = nets.of_function(
        lambda x: nets.conv(x, nets.weights(1, 1, 1, 1, 1), ((1, 1), (0, 0))), (4, 4, 1)
    )
    with pytest.raises(emit.EmitError, match="in the padding as a whole"):
        emit.model(padded, nets.plan(padded.program, "whole none"))
