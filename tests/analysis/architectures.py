"""Published architectures, written once and built three ways.

Each architecture is a function of a toolbox and an image; the toolboxes make layers of
Flax linen, of Flax nnx, and of nothing but `jax.lax` and `jax.numpy`.

    lenet5        LeCun et al., Proc. IEEE 1998, with every map connected to every
                  other, average pooling without weights, ReLU and a plain last layer
    mobilenet     MobileNetV1, width 0.25, 224x224: Howard et al., arXiv:1704.04861,
                  table 1
    resnet8       MLPerf Tiny (Banbury et al., arXiv:2106.07597), image classification
    ds_cnn        MLPerf Tiny, keyword spotting
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx


def lenet5(t, x):
    x = t.pool(t.relu(t.conv(x, 6, 5, padding=2)), "average")
    x = t.pool(t.relu(t.conv(x, 16, 5, padding=0)), "average")
    x = t.flatten(x)
    return t.dense(t.relu(t.dense(t.relu(t.dense(x, 120)), 84)), 10)


def mobilenet(t, x, classes=1000):
    def block(x, channels, stride):
        x = t.relu(t.norm(t.conv(x, x.shape[-1], 3, stride, "SAME", True, bias=False)))
        return t.relu(t.norm(t.conv(x, channels, 1, bias=False)))

    x = t.relu(t.norm(t.conv(x, 8, 3, 2, bias=False)))
    widths = [16, 32, 32, 64, 64, *[128] * 6, 256, 256]
    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
    for width, stride in zip(widths, strides, strict=True):
        x = block(x, width, stride)
    return t.dense(t.mean(x), classes)


def resnet8(t, x):
    x = t.relu(t.norm(t.conv(x, 16, 3)))
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        y = t.relu(t.norm(t.conv(x, channels, 3, stride)))
        y = t.norm(t.conv(y, channels, 3))
        if stride != 1:
            x = t.conv(x, channels, 1, stride)
        x = t.relu(x + y)
    return t.dense(t.mean(x), 10)


def ds_cnn(t, x):
    x = t.relu(t.norm(t.conv(x, 64, (10, 4), 2)))
    for _ in range(4):
        x = t.relu(t.norm(t.conv(x, 64, 3, 1, "SAME", True)))
        x = t.relu(t.norm(t.conv(x, 64, 1)))
    return t.dense(t.mean(x), 12)


# name: (function, image, multiply-accumulates, parameters before batch norm is folded)
#
# Published: LeNet-5 with full connections, 416,520 and 61,706 (as usually quoted);
# MobileNet 41 million and 0.47 million (TensorFlow's table of MobileNetV1 checkpoints;
# the paper's table 6 rounds to 41 and 0.5); ResNet-8 12,501,632 and DS-CNN 24,908
# parameters (what Keras and TFLite tools count for MLPerf Tiny's reference models).
# The other figures follow layer by layer: see `_by_hand` in the test.
ARCHITECTURES = {
    "lenet5": (lenet5, (28, 28, 1), 416_520, 61_706),
    "mobilenet": (mobilenet, (224, 224, 3), 41_030_272, 475_544),
    "resnet8": (resnet8, (32, 32, 3), 12_501_632, 78_666),
    "ds_cnn": (ds_cnn, (49, 10, 1), 2_656_768, 24_908),
}


def _pair(value):
    return value if isinstance(value, tuple) else (value, value)


def _padding(padding):
    return padding if isinstance(padding, str) else ((padding, padding),) * 2


class _Common:
    def flatten(self, x):
        return x.reshape(x.shape[0], -1)

    def mean(self, x):
        return x.mean((1, 2))


class _Linen(_Common):
    def relu(self, x):
        return nn.relu(x)

    def conv(self, x, out, size, stride=1, padding="SAME", depthwise=False, bias=True):
        return nn.Conv(
            out, _pair(size), stride, _padding(padding), use_bias=bias,
            feature_group_count=x.shape[-1] if depthwise else 1,
        )(x)  # fmt: skip

    def norm(self, x):
        return nn.BatchNorm(use_running_average=True)(x)

    def pool(self, x, kind):
        return (nn.avg_pool if kind == "average" else nn.max_pool)(x, (2, 2), (2, 2))

    def dense(self, x, out):
        return nn.Dense(out)(x)


def linen(architecture, image):
    """(fn, params) of an architecture in Flax linen; params by shape."""

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            return architecture(_Linen(), x)

    x = jax.ShapeDtypeStruct((1, *image), np.float32)
    shapes = jax.eval_shape(lambda x: Net().init(jax.random.key(0), x), x)
    return Net().apply, shapes


class _Nnx(_Common):
    """Makes layers on the first run and reuses them in order on later ones."""

    def __init__(self, owner, rngs=None):
        self.owner, self.rngs, self.count = owner, rngs, 0

    def layer(self, make):
        name = f"layer{self.count}"
        self.count += 1
        if self.rngs is not None:
            setattr(self.owner, name, make())
        return getattr(self.owner, name)

    def relu(self, x):
        return nnx.relu(x)

    def conv(self, x, out, size, stride=1, padding="SAME", depthwise=False, bias=True):
        return self.layer(
            lambda: nnx.Conv(
                x.shape[-1],
                out,
                _pair(size),
                stride,
                padding=_padding(padding),
                feature_group_count=x.shape[-1] if depthwise else 1,
                use_bias=bias,
                rngs=self.rngs,
            )  # fmt: skip
        )(x)

    def norm(self, x):
        return self.layer(
            lambda: nnx.BatchNorm(x.shape[-1], use_running_average=True, rngs=self.rngs)
        )(x)

    def pool(self, x, kind):
        return (nnx.avg_pool if kind == "average" else nnx.max_pool)(x, (2, 2), (2, 2))

    def dense(self, x, out):
        return self.layer(lambda: nnx.Linear(x.shape[-1], out, rngs=self.rngs))(x)


class _NnxNet(nnx.Module):
    def __init__(self, architecture, image, rngs):
        self.architecture = architecture
        architecture(_Nnx(self, rngs), jnp.zeros((1, *image)))

    def __call__(self, x):
        return self.architecture(_Nnx(self), x)


def with_nnx(architecture, image):
    """(fn, params) of an architecture in Flax nnx; params by shape."""
    abstract = nnx.eval_shape(lambda: _NnxNet(architecture, image, nnx.Rngs(0)))
    graph, state = nnx.split(abstract)
    return lambda state, x: nnx.merge(graph, state)(x), state


class _Bare(_Common):
    """Takes parameters from a list in order, or makes their shapes."""

    def __init__(self, params, make=False):
        self.params, self.make, self.count = params, make, 0

    def take(self, **shapes):
        if self.make:
            self.params.append(
                {k: jax.ShapeDtypeStruct(v, np.float32) for k, v in shapes.items()}
            )
            return {k: jnp.zeros(v) for k, v in shapes.items()}
        self.count += 1
        return self.params[self.count - 1]

    def relu(self, x):
        return jnp.maximum(x, 0)

    def conv(self, x, out, size, stride=1, padding="SAME", depthwise=False, bias=True):
        groups = x.shape[-1] if depthwise else 1
        shapes = {"w": (*_pair(size), x.shape[-1] // groups, out)}
        p = self.take(**shapes, **({"b": (out,)} if bias else {}))
        y = jax.lax.conv_general_dilated(
            x, p["w"], (stride, stride), _padding(padding),
            dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups,
        )  # fmt: skip
        return y + p["b"] if bias else y

    def norm(self, x):
        c = x.shape[-1]
        p = self.take(mean=(c,), variance=(c,), gamma=(c,), beta=(c,))
        factor = p["gamma"] / jnp.sqrt(p["variance"] + 1e-5)
        return x * factor + (p["beta"] - p["mean"] * factor)

    def pool(self, x, kind):
        window = (1, 2, 2, 1)
        if kind == "average":
            zero, add = np.float32(0), jax.lax.add
            return jax.lax.reduce_window(x, zero, add, window, window, "VALID") * 0.25
        low, top = np.float32(-np.inf), jax.lax.max
        return jax.lax.reduce_window(x, low, top, window, window, "VALID")

    def dense(self, x, out):
        p = self.take(w=(x.shape[-1], out), b=(out,))
        return p["b"] + x @ p["w"]


def bare(architecture, image):
    """(fn, params) of an architecture in plain JAX; params by shape."""
    params = []
    x = jax.ShapeDtypeStruct((1, *image), np.float32)
    jax.eval_shape(lambda x: architecture(_Bare(params, make=True), x), x)
    return lambda params, x: architecture(_Bare(params), x), params


DIALECTS = {"linen": linen, "nnx": with_nnx, "bare": bare}
