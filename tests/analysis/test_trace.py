"""What a function is lowered to, and that the lowering computes the same numbers."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import analysis
from spjax.analysis.reference import evaluate


class Net(nn.Module):
    """One of everything that the searched networks are made of."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(_norm("bn1")(nn.Conv(8, (3, 3), name="c1")(x)))
        y = nn.relu(nn.Conv(8, (3, 3), feature_group_count=8, name="dw")(x))
        x = nn.avg_pool(x + y, (2, 2), (2, 2))
        x = nn.max_pool(x, (2, 2), (2, 2))
        b = nn.relu(nn.Dense(4, name="branch")(x.reshape(x.shape[0], -1)))
        x = jnp.concatenate([x.mean((1, 2)), b], -1)
        return nn.log_softmax(nn.Dense(10, name="classifier")(x))


def _norm(name):
    return nn.BatchNorm(use_running_average=True, name=name)


def _draw(module, shape, seed=0):
    """Random variables of a module: every parameter and statistic in [0.5, 1.5)."""
    x = jnp.zeros(shape)
    shapes = jax.eval_shape(module.init, jax.random.key(0), x)
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: (
            rng.uniform(0.5, 1.5, leaf.shape).astype(leaf.dtype)
            * (rng.choice([-1, 1], leaf.shape) if leaf.ndim > 1 else 1)
        ),
        shapes,
    )


def _check(fn, params, *inputs, tolerance=2e-5):
    """Traces, evaluates in numpy, compares with JAX; returns the program."""
    program = analysis.trace(fn, params, *inputs)
    values = evaluate(program, dict(zip(program.inputs, inputs, strict=True)))
    expected = jax.tree.leaves(jax.jit(fn)(params, *inputs))
    for name, wanted in zip(program.outputs, expected, strict=True):
        got = values[name]
        assert got.shape == wanted.shape and got.dtype == wanted.dtype
        scale = max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(got / scale, wanted / scale, atol=tolerance)
    return program


def _image(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_one_of_everything():
    variables = _draw(Net(), (1, 12, 12, 1))
    program = _check(Net().apply, variables, _image(1, 12, 12, 1))
    assert [(op.name, op.function) for op in program.operations] == [
        ("c1", "conv2d"),
        ("dw", "conv2d"),
        ("add", "add"),
        ("average_pool", "average_pool"),
        ("max_pool", "max_pool"),
        ("branch", "dense"),
        ("reduce_mean", "reduce"),
        ("concatenate", "concatenate"),
        ("classifier", "dense"),
        ("softmax", "softmax"),
    ]
    assert [op.fused for op in program.operations[:2]] == ["bias relu", "bias relu"]
    # Batch norm is in the weights: one bias per channel and nothing else.
    assert [w.shape for w in program.operation("c1").weights] == [(3, 3, 1, 8), (8,)]
    assert program.operation("dw").attribute("groups") == 8
    # Flattening is a view of the pooled map, not a tensor of its own.
    view = program.tensors["max_pool@1x72"]
    assert view.alias_of == "max_pool" and view.readers == ("branch",)
    assert program.tensors["max_pool"].readers == ("reduce_mean",)
    assert program.tensors["input"].readers == ("c1",)
    assert program.tensors["softmax"].role == "output"
    assert program.unused == ()


def test_weights_keep_the_parameters_they_were_folded_from():
    program = _check(Net().apply, _draw(Net(), (1, 12, 12, 1)), _image(1, 12, 12, 1))
    bias = program.operation("c1").weight("bias")
    assert bias.parameters == (
        "batch_stats/bn1/mean",
        "batch_stats/bn1/var",
        "params/bn1/bias",
        "params/bn1/scale",
        "params/c1/bias",
    )


def test_zeros_are_counted_after_folding():
    variables = _draw(Net(), (1, 12, 12, 1))
    variables["params"]["c1"]["kernel"][:, :, :, :3] = 0
    variables["params"]["bn1"]["scale"][5] = 0  # kills channel 5 of the folded kernel
    variables["params"]["branch"]["bias"][:] = 0
    program = _check(Net().apply, variables, _image(1, 12, 12, 1))
    assert program.operation("c1").weight("kernel").nonzero == 9 * (8 - 4)
    assert program.operation("branch").weight("bias").nonzero == 0


def test_shapes_alone_give_the_same_structure():
    variables = _draw(Net(), (1, 12, 12, 1))
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), variables)
    x = jax.ShapeDtypeStruct((1, 12, 12, 1), np.float32)
    abstract = analysis.trace(Net().apply, shapes, x)
    concrete = analysis.trace(Net().apply, variables, _image(1, 12, 12, 1))
    assert abstract.structure() == concrete.structure()
    assert all(w.nonzero is None for op in abstract.operations for w in op.weights)


def test_closed_over_weights_are_parameters():
    w, b = _image(3, 3, 2, 4), _image(4)

    def fn(_, x):
        x = jax.lax.conv_general_dilated(
            x, w, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return jnp.maximum(x + b, 0)

    program = _check(fn, (), _image(1, 9, 9, 2))
    assert [w.elements for w in program.operations[0].weights] == [72, 4]
    assert program.operations[0].macs == 16 * 72
    assert program.operations[0].name == "conv2d"  # for want of a name of theirs


@pytest.mark.parametrize("count_padding", [True, False])
def test_average_pooling_with_padding(count_padding):
    def fn(_, x):
        return nn.avg_pool(x, (3, 3), (2, 2), "SAME", count_include_pad=count_padding)

    program = _check(fn, (), _image(1, 8, 7, 2))
    (op,) = program.operations
    assert op.kind == "average_pool" and not op.weights and not op.epilogue
    assert op.attribute("count_padding") == count_padding


def test_sum_that_is_divided_by_something_else_stays_a_sum():
    program = _check(lambda _, x: x.sum((1, 2)) / 7, (), _image(1, 4, 4, 2))
    assert program.operations[0].attribute("function") == "sum"
    assert program.operations[0].epilogue[0].operands == ("x", 7.0)


@pytest.mark.parametrize(
    "activation",
    [nn.relu, nn.relu6, nn.gelu, nn.silu, nn.leaky_relu, nn.hard_swish, nn.elu],
)
def test_any_activation_is_one_epilogue(activation):
    kernel = _image(8, 6)
    fn = lambda k, x: activation(x @ k)  # noqa: E731
    (op,) = _check(fn, kernel, _image(1, 8)).operations
    assert op.kind == "dense" and op.epilogue


def test_a_value_that_is_read_twice_must_exist():
    """bn(conv) feeds a ReLU and a residual: the ReLU is an operation of its own."""

    def fn(k, x):
        y = x @ k["a"] + k["b"]
        return jnp.maximum(y, 0) @ k["c"] + y

    params = {"a": _image(4, 4), "b": _image(4), "c": _image(4, 4)}
    program = _check(fn, params, _image(1, 4))
    assert [op.name for op in program.operations] == ["a", "max", "c", "add"]
    assert program.operation("a").fused == "bias"


def test_batch_norm_without_a_convolution_is_one_scale_and_shift():
    class Pooled(nn.Module):
        @nn.compact
        def __call__(self, x):
            return _norm("bn")(nn.max_pool(x, (2, 2), (2, 2)))

    program = _check(Pooled().apply, _draw(Pooled(), (1, 4, 4, 3)), _image(1, 4, 4, 3))
    (op,) = program.operations
    assert [(w.name, w.shape) for w in op.weights] == [
        ("max_pool/scale", (3,)),
        ("max_pool/shift", (3,)),
    ]


def test_explicit_padding_is_merged():
    def fn(k, x):
        x = jnp.pad(x, ((0, 0), (2, 1), (1, 1), (0, 0)))
        return jax.lax.conv_general_dilated(
            x, k, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    (op,) = _check(fn, _image(3, 3, 2, 4), _image(1, 6, 6, 2)).operations
    assert op.attribute("padding") == ((2, 1), (1, 1))


def test_pad_slice_transpose_split():
    def fn(_, x):
        a, b = jnp.split(
            jnp.pad(x, ((0, 0), (1, 0), (0, 0), (0, 0)), constant_values=2.0), 2, -1
        )
        return (a[:, 1:, ::2] * 2).transpose(0, 3, 1, 2), b.max((1, 2)), x.argmax(-1)

    program = _check(fn, (), _image(1, 5, 6, 4))
    kinds = [op.kind for op in program.operations]
    assert sorted(kinds) == [
        "pad",
        "reduce",
        "reduce",
        "slice",
        "slice",
        "slice",
        "transpose",
    ]


@pytest.mark.parametrize(
    "subscripts, kernel",
    [("bi,ij->bj", (8, 3)), ("bi,ji->bj", (3, 8)), ("bi,jki->bjk", (2, 3, 8))],
)
def test_dense_in_other_notations(subscripts, kernel):
    fn = lambda k, x: jnp.einsum(subscripts, x, k)  # noqa: E731
    (op,) = _check(fn, _image(*kernel), _image(1, 8)).operations
    assert op.kind == "dense" and op.macs == 8 * np.prod(kernel) // 8


def test_dense_over_channels_is_a_pointwise_convolution():
    (op,) = _check(lambda k, x: x @ k, _image(3, 5), _image(1, 4, 4, 3)).operations
    assert op.kind == "conv2d" and op.weight("kernel").shape == (1, 1, 3, 5)
    assert op.macs == 16 * 15


def test_one_dimensional_convolution():
    class Signal(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.relu(nn.Conv(4, (5,), strides=2, name="c")(x))
            return nn.max_pool(x, (2,), (2,))

    program = _check(Signal().apply, _draw(Signal(), (1, 16, 2)), _image(1, 16, 2))
    assert [op.kind for op in program.operations] == ["conv2d", "max_pool"]
    assert program.operation("c").weight("kernel").shape == (1, 5, 2, 4)


def test_equal_calls_do_not_share_values():
    """JAX shares one inner jaxpr between two calls of relu on equal shapes."""

    def fn(k, x):
        return nn.relu(nn.relu(x @ k["a"]) @ k["b"])

    params = {"a": _image(4, 4), "b": _image(4, 4, seed=2)}
    program = _check(fn, params, _image(1, 4))
    assert [op.fused for op in program.operations] == ["relu", "relu"]


def test_integer_network():
    """int8 tensors, int32 accumulators, float requantisation: one operation each."""
    rng = np.random.default_rng(0)
    params = {
        "c": {
            "kernel": rng.integers(-127, 128, (3, 3, 1, 4), np.int8),
            "bias": rng.integers(-500, 500, 4, np.int32),
            "multiplier": rng.uniform(1e-3, 2e-3, 4).astype(np.float32),
        },
        "d": {"kernel": rng.integers(-127, 128, (100, 5), np.int8)},
    }

    def fn(p, x):
        c = p["c"]
        y = jax.lax.conv_general_dilated(
            x, c["kernel"], (1, 1), "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            preferred_element_type=jnp.int32,
        )  # fmt: skip
        y = jnp.round((y + c["bias"]).astype(jnp.float32) * c["multiplier"])
        y = jnp.clip(y, 0, 127).astype(jnp.int8).reshape(1, -1)
        return jax.lax.dot(y, p["d"]["kernel"], preferred_element_type=jnp.int32)

    x = rng.integers(-128, 128, (1, 7, 7, 1), np.int8)
    program = _check(fn, params, x, tolerance=0)
    assert [op.name for op in program.operations] == ["c", "d"]
    assert program.tensors["c"].dtype == "int8"
    assert program.operation("c").weight("bias").dtype == "int32"


def test_weight_only_computation_by_jax_itself():
    """Weight standardisation with a primitive that numpy folding does not know."""

    def fn(k, x):
        return x @ jnp.sort(jnp.cumsum(k, 0), 0)

    (op,) = _check(fn, _image(4, 3), _image(1, 4)).operations
    assert op.kind == "dense" and op.weight("kernel").nonzero == 12


@pytest.mark.parametrize(
    "fn, primitive, way_out",
    [
        (lambda p, x: jax.lax.fori_loop(0, 3, lambda i, y: y * 2, x), "scan", "unroll"),
        (lambda p, x: jax.lax.cond(x.sum() > 0, jnp.sin, jnp.cos, x), "cond", "unroll"),
        (lambda p, x: jnp.sort(x, -1), "sort", "move it out"),
        (lambda p, x: x @ x.reshape(6, 1), "dot_general", "weight"),
    ],
)  # fmt: skip
def test_refused_by_name_line_and_way_out(fn, primitive, way_out):
    with pytest.raises(analysis.UnsupportedPrimitive) as caught:
        analysis.trace(fn, (), _image(1, 6))
    assert caught.value.primitive == primitive
    assert "test_trace.py:" in caught.value.source
    assert primitive in str(caught.value) and way_out in str(caught.value)


def test_refused_inputs():
    with pytest.raises(analysis.AnalysisError, match="batch axis of 1"):
        analysis.trace(lambda p, x: x, (), _image(2, 6))
    with pytest.raises(analysis.AnalysisError, match="does not depend"):
        analysis.trace(lambda p, x: p, _image(3), _image(1, 6))
    with pytest.raises(analysis.AnalysisError, match="returns \\(\\)"):
        analysis.trace(lambda p, x: (), (), _image(1, 6))
    with pytest.raises(analysis.AnalysisError, match="returns a str"):
        analysis.trace(lambda p, x: (x, "logits"), (), _image(1, 6))
    with pytest.raises(analysis.AnalysisError, match="cannot be traced"):
        analysis.trace(lambda p, x: x if x.sum() > 0 else -x, (), _image(1, 6))


@settings(max_examples=18, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_networks_compute_the_same(seed):
    """Random chains with branches and residuals: numpy on the program equals JAX."""
    rng = np.random.default_rng(seed)

    class Random(nn.Module):
        @nn.compact
        def __call__(self, x):
            draw = np.random.default_rng(seed)
            for _ in range(draw.integers(1, 4)):
                kind = draw.integers(6)
                c = int(draw.integers(1, 5))
                k = (int(draw.integers(1, 4)),) * 2
                if kind == 0:
                    y = nn.Conv(c, k, int(draw.integers(1, 3)))(x)
                    x = nn.relu(nn.BatchNorm(use_running_average=True)(y))
                elif kind == 1:
                    x = nn.Conv(x.shape[-1], k, feature_group_count=x.shape[-1])(x)
                elif kind == 2:
                    x = x + nn.relu(nn.Conv(x.shape[-1], k)(x))
                elif kind == 3 and min(x.shape[1:3]) > 1:
                    x = nn.max_pool(x, (2, 2), (2, 2))
                elif kind == 4:
                    x = nn.avg_pool(x, (3, 3), (1, 1), "SAME")
                else:
                    parts = [nn.Conv(c, k)(x), nn.gelu(x), x * 0.5 - 1]
                    x = jnp.concatenate(parts[: draw.integers(2, 4)], -1)
            side = nn.relu(nn.Dense(3)(x.reshape(1, -1)))
            return nn.Dense(4)(jnp.concatenate([x.mean((1, 2)), side], -1))

    side = tuple(int(n) for n in rng.integers(4, 9, 2))
    shape = (1, *side, int(rng.integers(1, 4)))
    _check(Random().apply, _draw(Random(), shape, seed), _image(*shape))
