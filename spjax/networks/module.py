"""Genome -> Flax linen module.

Parameter names depend on a layer's place in the genome only (``block0_conv1``,
``dense0``, ``classifier``), so that a morph's child finds its parent's tensors by
name. Within a convolutional layer: ``conv`` (the K x K kernel of a regular or
downsampled layer), ``reduce`` (the linear 1x1 before it), ``depthwise`` and
``pointwise`` (a separable layer), ``norm`` and ``depthwise_norm``.

A convolution has a bias only where no batch norm follows. A residual adds the
block's input (through a linear 1x1 convolution with bias where shapes differ) to
the second layer's output, its batch norm and ReLU included.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from spjax.genomes.genome import Block, Conv, Genome
from spjax.genomes.shapes import reduced_channels
from spjax.networks.batch_norm import EPSILON, batch_norm
from spjax.networks.lowering import LOWERINGS, Lowering

# The running statistics forget half of the past every 7 steps: a training of a few
# hundred steps must not be evaluated with the statistics of its first steps.
MOMENTUM = 0.9
_HE = nn.initializers.he_normal()
_LECUN = nn.initializers.lecun_normal()

# product(module, operation, x, kernel, axes): what a layer computes with its kernel
# before the bias is added; ``operation(x, kernel)`` unless training wants noise.
Product = Callable[[nn.Module, Callable, jax.Array, jax.Array, tuple], jax.Array]


def plain_product(
    module: nn.Module,
    operation: Callable[[jax.Array, jax.Array], jax.Array],
    x: jax.Array,
    kernel: jax.Array,
    axes: tuple[int, ...],
) -> jax.Array:
    """``operation(x, kernel)``; the default ``product`` of ``build``."""
    del module, axes
    return operation(x, kernel)


def _parameter(
    module: nn.Module, name: str, initializer: Callable, shape: tuple[int, ...]
) -> jax.Array:
    """``module.param``, but does not trace the initialiser to check a shape.

    Flax does so at every call, which is a fifth of the time to trace a network.
    """
    if module.is_initializing():
        return module.param(name, initializer, shape)
    value = module.get_variable("params", name)
    if value is None or jnp.shape(value) != shape:
        path = "/".join((*module.path, name))
        found = "missing" if value is None else f"of shape {jnp.shape(value)}"
        raise ValueError(
            f"parameter {path} is {found} but the genome needs shape {shape}: give the "
            "variables of this genome and input shape"
        )
    return value


class _ConvOp(nn.Module):
    """A convolution with a bias or without."""

    ops: Lowering
    features: int
    kernel: int
    stride: int = 1
    padding: str = "SAME"
    use_bias: bool = False
    depthwise: bool = False
    linear: bool = False
    product: Product = plain_product

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        ops = self.ops
        inputs = 1 if self.depthwise else ops.size(x)[2]
        shape = (self.kernel, self.kernel, inputs, self.features)
        kernel = _parameter(self, "kernel", _LECUN if self.linear else _HE, shape)
        op = ops.depthwise if self.depthwise else ops.conv

        def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
            return op(x, kernel, self.stride, self.padding)

        y = self.product(self, convolve, x, kernel, ops.axes)
        if self.use_bias:
            bias = _parameter(self, "bias", nn.initializers.zeros, (self.features,))
            y = y + ops.spread(bias)
        return y


class _Dense(nn.Module):
    """A dense layer; ``linear`` says that no ReLU follows (it scales the init)."""

    features: int
    linear: bool = False
    product: Product = plain_product

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (x.shape[-1], self.features)
        kernel = _parameter(self, "kernel", _LECUN if self.linear else _HE, shape)
        bias = _parameter(self, "bias", nn.initializers.zeros, (self.features,))
        return self.product(self, jnp.dot, x, kernel, (0, 1)) + bias


class _BatchNorm(nn.Module):
    """Batch normalisation over N, H and W (Ioffe and Szegedy, ICML 2015)."""

    ops: Lowering

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        ops = self.ops
        size = (ops.size(x)[2],)
        scale = _parameter(self, "scale", nn.initializers.ones, size)
        bias = _parameter(self, "bias", nn.initializers.zeros, size)
        mean = self.variable("batch_stats", "mean", jnp.zeros, size)
        var = self.variable("batch_stats", "var", jnp.ones, size)
        if not train:
            # One multiply and one add for each activation.
            gain = scale * jax.lax.rsqrt(var.value + EPSILON)
            return x * ops.spread(gain) + ops.spread(bias - mean.value * gain)
        y, batch_mean, batch_var = batch_norm(x, scale, bias, ops.axes[3])
        if not self.is_initializing():
            mean.value = MOMENTUM * mean.value + (1 - MOMENTUM) * batch_mean
            var.value = MOMENTUM * var.value + (1 - MOMENTUM) * batch_var
        return y


class _ConvLayer(nn.Module):
    """One ``Conv`` gene: convolution(s), batch norm, ReLU."""

    ops: Lowering
    gene: Conv
    product: Product = plain_product

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        gene = self.gene
        channels = self.ops.size(x)[2]
        op = functools.partial(_ConvOp, self.ops, product=self.product)
        conv = functools.partial(op, use_bias=not gene.batch_norm)
        spatial = {"stride": gene.stride, "padding": gene.padding}

        def finish(x: jax.Array, norm: str) -> jax.Array:
            if gene.batch_norm:
                x = _BatchNorm(self.ops, name=norm)(x, train)
            return nn.relu(x) if gene.relu else x

        if gene.kind == "separable":
            x = conv(
                channels, gene.kernel, **spatial, depthwise=True, name="depthwise"
            )(x)
            x = finish(x, "depthwise_norm")
            x = conv(gene.channels, 1, name="pointwise")(x)
        else:
            if gene.kind == "downsampled":
                kept = reduced_channels(channels, gene.reduction)
                x = op(kept, 1, linear=True, name="reduce")(x)
            x = conv(gene.channels, gene.kernel, **spatial, name="conv")(x)
        return finish(x, "norm")


class Network(nn.Module):
    """The network of a genome; see ``build``."""

    genome: Genome
    num_classes: int
    lowering: str = "inference"
    product: Product = plain_product

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Computes logits [N, num_classes] of ``x`` [N, H, W, C]."""
        ops = LOWERINGS[self.lowering]
        dense = functools.partial(_Dense, product=self.product)
        x = ops.enter(x)
        branches = []
        if self.genome.input_branch:
            units = self.genome.input_branch
            branches.append(nn.relu(dense(units, name="input_branch")(ops.flatten(x))))
        for index, block in enumerate(self.genome.blocks):
            x = self._block(x, block, f"block{index}", train)
            if block.branch:
                name = f"block{index}_branch"
                branches.append(nn.relu(dense(block.branch, name=name)(ops.flatten(x))))
        x = ops.flatten(x)
        for index, units in enumerate(self.genome.dense):
            x = nn.relu(dense(units, name=f"dense{index}")(x))
        if branches:
            x = jnp.concatenate([x, *branches], axis=-1)
        return dense(self.num_classes, linear=True, name="classifier")(x)

    def _block(self, x: jax.Array, block: Block, name: str, train: bool) -> jax.Array:
        ops = LOWERINGS[self.lowering]
        entry = x
        for index, gene in enumerate(block.convs):
            layer = _ConvLayer(ops, gene, self.product, name=f"{name}_conv{index}")
            x = layer(x, train)
            if block.residual and index == 1:
                x = x + self._shortcut(entry, x, block, f"{name}_shortcut")
        if block.pool.kind == "max":
            x = ops.max_pool(x, block.pool.window)
        elif block.pool.kind == "average":
            x = ops.average_pool(x, (block.pool.window, block.pool.window))
        elif block.pool.kind == "global_average":
            x = ops.average_pool(x, ops.size(x)[:2])
        return x

    def _shortcut(
        self, entry: jax.Array, x: jax.Array, block: Block, name: str
    ) -> jax.Array:
        """Brings a block's input to the shape of its second layer's output."""
        if entry.shape == x.shape:
            return entry
        ops = LOWERINGS[self.lowering]
        stride = block.convs[0].stride * block.convs[1].stride
        conv = _ConvOp(
            ops,
            ops.size(x)[2],
            1,
            stride,
            use_bias=True,
            linear=True,
            product=self.product,
            name=name,
        )
        return conv(entry)


def build(
    genome: Genome,
    num_classes: int,
    *,
    lowering: str = "inference",
    product: Product = plain_product,
) -> Network:
    """Returns the network of a genome as a linen module.

    Args:
      genome: a genome that is valid for the input it will see.
      num_classes: number of logits.
      lowering: ``inference`` traces to XLA's convolution and window primitives;
        ``training`` computes the same function (to rounding) faster on a CPU.
      product: ``product(module, operation, x, kernel, axes)`` takes the place of
        ``operation(x, kernel)`` in every layer with a kernel, so that training can
        draw noisy weights; it may read other parameters of the layer, ``module``.
        ``axes`` says where ``x`` has (N, H, W, C), or (N, features). A module-level
        function: the network is compared and hashed by it.

    Returns:
      A frozen, hashable module: ``module.apply(variables, x, train=False)`` with
      float32 ``x`` [N, H, W, C] after downsampling and normalisation returns logits
      [N, num_classes]. The parameters are the same whatever the lowering.

    Raises:
      ValueError: if ``lowering`` is unknown.
    """
    if lowering not in LOWERINGS:
        known = ", ".join(sorted(LOWERINGS))
        raise ValueError(f"lowering={lowering!r} is unknown; choose one of: {known}.")
    return Network(genome, num_classes, lowering, product)
