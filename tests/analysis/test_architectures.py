"""Other people's networks, in three dialects: one Program, and the known counts."""

import jax
import numpy as np
import pytest

from spjax import analysis
from tests.analysis.architectures import ARCHITECTURES, DIALECTS


def _traced(name, dialect):
    architecture, image, _, _ = ARCHITECTURES[name]
    fn, params = DIALECTS[dialect](architecture, image)
    x = jax.ShapeDtypeStruct((1, *image), np.float32)
    return analysis.trace(fn, params, x), fn, params, x


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_three_dialects_one_program(name):
    programs = {d: _traced(name, d)[0] for d in DIALECTS}
    structure = programs["linen"].structure()
    assert programs["nnx"].structure() == structure
    assert programs["bare"].structure() == structure


def _by_hand(name):
    """Layers as (rows x columns out, kernel area, in per group, out, bias, norm)."""
    if name == "lenet5":
        return [
            (28 * 28, 25, 1, 6, 1, 0), (10 * 10, 25, 6, 16, 1, 0),
            (1, 25, 16, 120, 1, 0), (1, 1, 120, 84, 1, 0), (1, 1, 84, 10, 1, 0),
        ]  # fmt: skip
    if name == "resnet8":
        return [
            (1024, 9, 3, 16, 1, 1), (1024, 9, 16, 16, 1, 1), (1024, 9, 16, 16, 1, 1),
            (256, 9, 16, 32, 1, 1), (256, 9, 32, 32, 1, 1), (256, 1, 16, 32, 1, 0),
            (64, 9, 32, 64, 1, 1), (64, 9, 64, 64, 1, 1), (64, 1, 32, 64, 1, 0),
            (1, 1, 64, 10, 1, 0),
        ]  # fmt: skip
    if name == "ds_cnn":
        pair = [(125, 9, 1, 64, 1, 1), (125, 1, 64, 64, 1, 1)]
        return [(125, 40, 1, 64, 1, 1), *pair * 4, (1, 1, 64, 12, 1, 0)]
    # Side after each depthwise convolution, and widths: the paper's table 1 by 0.25.
    sides = [112, 56, 56, 28, 28, 14, 14, 14, 14, 14, 14, 7, 7]
    widths = [8, 16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256]
    layers = [(112 * 112, 9, 3, 8, 0, 1)]
    for side, a, b in zip(sides, widths, widths[1:], strict=False):
        layers += [(side * side, 9, 1, a, 0, 1), (side * side, 1, a, b, 0, 1)]
    return [*layers, (1, 1, 256, 1000, 1, 0)]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_known_counts(name):
    _, _, macs, parameters = ARCHITECTURES[name]
    layers = _by_hand(name)
    assert macs == sum(n * area * i * o for n, area, i, o, _, _ in layers)
    kernels = sum(area * i * o for _, area, i, o, _, _ in layers)
    biases = sum(o * bias for _, _, _, o, bias, _ in layers)
    norms = sum(o * norm for _, _, _, o, _, norm in layers)
    assert parameters == kernels + biases + 4 * norms
    for dialect in DIALECTS:
        program, _, params, _ = _traced(name, dialect)
        given = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))
        assert given == parameters
        report = analysis.analyze(program)
        assert report.macs == macs
        # Batch norm: its four numbers per channel become the layer's bias.
        folded = sum(o for _, _, _, o, bias, norm in layers if bias or norm)
        assert report.model_size_dense == kernels + folded


@pytest.mark.parametrize("name", ["lenet5", "ds_cnn", "resnet8"])
def test_same_numbers_as_jax(name):
    _, fn, shapes, x = _traced(name, "bare")
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: (
            rng.uniform(0.1, 0.5, leaf.shape).astype(np.float32)
            * rng.choice([-1.0, 1.0], leaf.shape if len(leaf.shape) > 1 else ()).astype(
                "f"
            )
        ),
        shapes,
    )
    params = [
        {k: np.abs(v) if k == "variance" else v for k, v in p.items()} for p in params
    ]
    image = rng.normal(size=x.shape).astype(np.float32)
    program = analysis.trace(fn, params, image)
    got = analysis.evaluate(program, {"input": image})[program.outputs[0]]
    want = np.asarray(jax.jit(fn)(params, image))
    np.testing.assert_allclose(got / np.abs(want).max(), want / np.abs(want).max(),
                               atol=1e-4)  # fmt: skip


def test_parts_of_resnet8():
    program, *_ = _traced("resnet8", "linen")
    names = [op.name for op in program.operations]
    assert names == [
        "Conv_0", "Conv_1", "Conv_2", "add", "Conv_3", "Conv_4", "Conv_5", "add_1",
        "Conv_6", "Conv_7", "Conv_8", "add_2", "reduce_mean", "Dense_0",
    ]  # fmt: skip
    assert [program.operation(f"add{i}").fused for i in ("", "_1", "_2")] == [
        "relu"
    ] * 3
    # Shortcut first, then the block over its dead input: two maps of 32x32x16 at once.
    assert analysis.peak(program, "planned_arena", in_place=False) == 3 * 32 * 32 * 16
    assert analysis.peak(program, "planned_arena") == 3 * 32 * 32 * 16


def test_parts_of_ds_cnn():
    program, *_ = _traced("ds_cnn", "nnx")
    kinds = [op.kind for op in program.operations]
    assert kinds == ["conv2d"] * 9 + ["reduce", "dense"]
    assert program.operation("layer0").attribute("padding") == ((4, 5), (1, 1))
    assert analysis.peak(program, "planned_arena") == 2 * 25 * 5 * 64
