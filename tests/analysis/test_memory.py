"""Memory models and sizes on networks worked by hand, and against brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import analysis


def _conv(x, kernel, padding="SAME"):
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _pool(x):
    low = -jnp.inf
    window = (1, 2, 2, 1)
    return jax.lax.reduce_window(x, low, jax.lax.max, window, window, "VALID")


def _twelve(params, x):
    """The 12x12 example: conv 3x3x8 VALID, ReLU, max pool 2, dense 10."""
    x = jnp.maximum(
        _conv(x, params["conv"]["kernel"], "VALID") + params["conv"]["b"], 0
    )
    x = _pool(x).reshape(1, -1)
    return x @ params["dense"]["kernel"] + params["dense"]["b"]


def _twelve_params():
    conv = np.ones((3, 3, 1, 8), np.float32)
    conv[0, :, :, :] = 0  # 24 of 72 weights are zero
    dense = np.ones((200, 10), np.float32)
    dense[::2] = 0
    return {
        "conv": {"kernel": conv, "b": np.zeros(8, np.float32)},
        "dense": {"kernel": dense, "b": np.ones(10, np.float32)},
    }


def _input(*shape):
    return jax.ShapeDtypeStruct(shape, np.float32)


def test_hand_worked_chain():
    program = analysis.trace(_twelve, _twelve_params(), _input(1, 12, 12, 1))
    report = analysis.analyze(program)
    rows = {
        layer.name: (layer.input_output, layer.input_weights, layer.live_bytes)
        for layer in report.layers
    }
    assert rows == {
        "conv": (144 + 800, 144 + 48, 944),  # the bias is all zeros: not counted
        "max_pool": (800 + 200, 800, 1000),
        "dense": (200 + 10, 200 + 1000 + 10, 210),
    }
    assert report.input_output == 1000
    assert report.input_weights == 1210
    assert report.live_bytes == 1000
    assert report.model_size_nonzero == 48 + 1010
    assert report.model_size_dense == 72 + 8 + 2000 + 10
    assert report.macs == 100 * 72 + 2000
    assert [layer.macs for layer in report.layers] == [7200, 0, 2000]


def test_bytes_per_element_scales_everything():
    program = analysis.trace(_twelve, _twelve_params(), _input(1, 12, 12, 1))
    one = analysis.analyze(program)
    four = analysis.analyze(program, bytes_per_element=4)
    for figure in ("input_output", "input_weights", "live_bytes"):
        assert getattr(four, figure) == 4 * getattr(one, figure)
    assert four.model_size_dense == 4 * one.model_size_dense
    assert four.macs == one.macs


def test_input_need_not_count():
    program = analysis.trace(_twelve, _twelve_params(), _input(1, 12, 12, 1))
    report = analysis.analyze(program, count_input=False)
    assert [layer.live_bytes for layer in report.layers] == [800, 1000, 210]
    assert report.layers[0].input_weights == 48


def test_residual_and_concatenation_by_hand():
    def fn(k, x):  # x: 4x4x2 = 32 bytes
        y = jnp.maximum(_conv(x, k["a"]), 0)  # 32
        z = _conv(y, k["b"]) + x  # 32, x is alive throughout
        w = jnp.concatenate([z, y], -1)  # 64, y is alive throughout
        return w.mean((1, 2))  # 4

    params = {n: np.ones((3, 3, 2, 2), np.float32) for n in "ab"}
    report = analysis.analyze(analysis.trace(fn, params, _input(1, 4, 4, 2)))
    rows = {la.name: (la.input_output, la.live_bytes) for la in report.layers}
    assert rows == {
        "a": (64, 64),
        "b": (64, 96),  # x, y and the output of b
        "add": (96, 128),  # x, b, the sum; and y for the concatenation
        "concatenate": (128, 128),
        "reduce_mean": (68, 68),
    }
    assert report.live_bytes == 128


def test_an_input_that_is_read_twice_counts_once():
    report = analysis.analyze(analysis.trace(lambda _, x: x * x, (), _input(1, 6)))
    assert report.input_output == 12


def test_in_place_by_hand():
    def fn(k, x):  # x: 4x4x2 = 32 bytes
        y = _conv(x, k["a"]) + x  # 32; the sum goes over x, or over the convolution
        z = jnp.tanh(y)  # 32, beside y, which is read again
        return (_conv(z, k["b"]) * y).mean((1, 2))  # over y, then 2 bytes over that

    params = {n: np.ones((3, 3, 2, 2), np.float32) for n in "ab"}
    program = analysis.trace(fn, params, _input(1, 4, 4, 2))
    rows = [
        [
            (layer.name, layer.input_output, layer.live_bytes)
            for layer in analysis.analyze(program, in_place=in_place).layers
        ]
        for in_place in (False, True)
    ]
    assert rows[0] == [
        ("a", 64, 64),
        ("add", 96, 96),
        ("tanh", 64, 64),
        ("b", 64, 96),
        ("multiply", 96, 96),
        ("reduce_mean", 34, 34),
    ]
    assert rows[1] == [
        ("a", 64, 64),
        ("add", 64, 64),
        ("tanh", 64, 64),
        ("b", 64, 96),
        ("multiply", 64, 64),
        ("reduce_mean", 32, 32),
    ]


def test_shapes_only_count_as_dense_and_say_so():
    params = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), _twelve_params()
    )
    program = analysis.trace(_twelve, params, _input(1, 12, 12, 1))
    report = analysis.analyze(program)
    assert not report.weights_known
    assert report.model_size_nonzero == report.model_size_dense == 2090
    sparse = analysis.analyze(program, sparsity={"dense": 0.75, "conv/bias": 1.0})
    assert sparse.model_size_nonzero == 72 + 0 + 500 + 10


def test_shared_weights_are_stored_once():
    def fn(k, x):
        return (x @ k) @ k

    program = analysis.trace(fn, np.ones((4, 4), np.float32), _input(1, 4))
    report = analysis.analyze(program)
    assert [layer.model_size_dense for layer in report.layers] == [16, 16]
    assert report.model_size_dense == report.model_size_nonzero == 16


@pytest.mark.parametrize(
    "options, message",
    [
        ({"bytes_per_element": 0}, "bytes_per_element is 0"),
        ({"sparsity": {"nothing": 0.5}}, "names 'nothing'"),
        ({"sparsity": {"dense": 1.5}}, "between 0 and 1"),
    ],
)
def test_refused_options(options, message):
    program = analysis.trace(_twelve, _twelve_params(), _input(1, 12, 12, 1))
    with pytest.raises(analysis.AnalysisError, match=message):
        analysis.analyze(program, **options)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_live_bytes_equal_brute_force(seed):
    """Random dense graphs: recount what is needed later, from the graph alone."""
    rng = np.random.default_rng(seed)
    widths = [int(n) for n in rng.integers(1, 9, rng.integers(2, 8))]
    sources = [int(rng.integers(0, i)) for i in range(1, len(widths))]

    def fn(params, x):
        values = [x]
        for kernel, source in zip(params, sources, strict=True):
            values.append(jnp.tanh(values[source] @ kernel))
        return values[-1], values[-2]

    params = [
        np.ones((widths[s], n), np.float32)
        for s, n in zip(sources, widths[1:], strict=True)
    ]
    program = analysis.trace(fn, params, _input(1, widths[0]))
    sizes = {t.name: t.elements for t in program.tensors.values()}
    order = [op.name for op in program.operations]
    peaks = []
    for i in range(len(order)):
        done = set(order[: i + 1])
        peaks.append(0)
        for tensor in program.tensors.values():
            born = tensor.producer is None or tensor.producer in done
            now_or_later = set(tensor.readers) & set(order[i:])
            if born and (
                now_or_later or tensor.producer == order[i] or tensor.role == "output"
            ):
                peaks[-1] += sizes[tensor.name]
    report = analysis.analyze(program)
    assert [layer.live_bytes for layer in report.layers] == peaks
    assert report.live_bytes == max(peaks, default=0)
