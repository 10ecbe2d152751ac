"""What the training benchmark compares with: plain Flax and PyTorch networks.

``PlainNetwork`` is a genome written as one would without this library: ``nn.Conv``,
``nn.BatchNorm``, ``nn.max_pool``. ``torch_step`` is the same network, loss and
optimiser in PyTorch, started from the same weights.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from flax import linen as nn

from spjax import genomes


class PlainNetwork(nn.Module):
    """A genome's network in Flax's own layers."""

    genome: genomes.Genome
    num_classes: int

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Logits [N, num_classes] of images [N, H, W, C]."""
        branches = []
        if self.genome.input_branch:
            branches.append(nn.relu(nn.Dense(self.genome.input_branch)(_flat(x))))
        for block in self.genome.blocks:
            entry = x
            for index, gene in enumerate(block.convs):
                x = self._layer(x, gene, train)
                if block.residual and index == 1:
                    if entry.shape != x.shape:
                        stride = block.convs[0].stride * gene.stride
                        entry = nn.Conv(x.shape[-1], (1, 1), stride)(entry)
                    x = x + entry
            window = (block.pool.window, block.pool.window)
            if block.pool.kind == "global_average":
                x = x.mean((1, 2), keepdims=True)
            elif block.pool.kind != "none":
                pool = nn.max_pool if block.pool.kind == "max" else nn.avg_pool
                x = pool(x, window, window)
            if block.branch:
                branches.append(nn.relu(nn.Dense(block.branch)(_flat(x))))
        x = _flat(x)
        for units in self.genome.dense:
            x = nn.relu(nn.Dense(units)(x))
        x = jax.numpy.concatenate([x, *branches], -1)
        return nn.Dense(self.num_classes)(x)

    def _layer(self, x, gene, train):
        def finish(x):
            if gene.batch_norm:
                x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
            return nn.relu(x) if gene.relu else x

        side = (gene.kernel, gene.kernel)
        spatial = {"strides": gene.stride, "padding": gene.padding}
        bias = not gene.batch_norm
        channels = x.shape[-1]
        if gene.kind == "separable":
            depthwise = nn.Conv(
                channels, side, **spatial, use_bias=bias, feature_group_count=channels
            )
            x = finish(depthwise(x))
            return finish(nn.Conv(gene.channels, (1, 1), use_bias=bias)(x))
        if gene.kind == "downsampled":
            kept = genomes.reduced_channels(channels, gene.reduction)
            x = nn.Conv(kept, (1, 1), use_bias=False)(x)
        return finish(nn.Conv(gene.channels, side, **spatial, use_bias=bias)(x))


def plain_step(
    module: PlainNetwork, optimiser: optax.GradientTransformation
) -> Callable[..., tuple]:
    """One jitted training step of a plain Flax network, as one writes it.

    Args:
      module: the network.
      optimiser: any.

    Returns:
      ``step(params, batch_stats, opt_state, x, labels)``, which gives the first three
      anew.
    """

    @jax.jit
    def step(params, stats, opt_state, x, labels):
        def loss_of(params):
            logits, changed = module.apply(
                {"params": params, "batch_stats": stats},
                x,
                train=True,
                mutable=["batch_stats"],
            )
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return losses.mean(), changed.get("batch_stats", {})

        grads, changed = jax.grad(loss_of, has_aux=True)(params)
        updates, opt_state = optimiser.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), changed, opt_state

    return step


def _flat(x):
    return x.reshape(x.shape[0], -1)


def torch_step(
    genome: genomes.Genome,
    variables: dict,
    sides: tuple[int, int],
    learning_rate: float,
    mean: float,
    std: float,
    *,
    tuned: bool,
) -> Callable[[np.ndarray, np.ndarray], Any]:
    """One training step of a plain chain of convolutions in PyTorch.

    Args:
      genome: blocks of one regular convolution and a max pooling each, no branches,
        no hidden dense layers.
      variables: the weights to start from.
      sides: height and width of the last feature map.
      learning_rate: of AdamW, constant, without weight decay.
      mean: subtracted from the pixels.
      std: divides them.
      tuned: channels-last memory and the fused optimiser, PyTorch's faster options.

    Returns:
      ``step(images, labels) -> loss`` with uint8 [B, H, W, 1] and int32 [B].
    """
    import torch

    layers, inputs, params = [], 1, variables["params"]
    for b, block in enumerate(genome.blocks):
        (gene,), weights = block.convs, params[f"block{b}_conv0"]
        conv = torch.nn.Conv2d(
            inputs,
            gene.channels,
            gene.kernel,
            padding="same",
            bias=not gene.batch_norm,
        )
        _copy(conv.weight, weights["conv"]["kernel"].transpose(3, 2, 0, 1))
        layers.append(conv)
        if gene.batch_norm:
            layers.append(torch.nn.BatchNorm2d(gene.channels))
        else:
            _copy(conv.bias, weights["conv"]["bias"])
        layers += [torch.nn.ReLU(), torch.nn.MaxPool2d(block.pool.window)]
        inputs = gene.channels
    kernel = params["classifier"]["kernel"]
    last = torch.nn.Linear(*kernel.shape)
    # PyTorch flattens [C, H, W], we [H, W, C].
    kernel = kernel.reshape(*sides, inputs, -1).transpose(3, 2, 0, 1)
    _copy(last.weight, kernel.reshape(kernel.shape[0], -1))
    _copy(last.bias, params["classifier"]["bias"])
    module = torch.nn.Sequential(*layers, torch.nn.Flatten(), last)
    if tuned:
        module = module.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(
        module.parameters(), lr=learning_rate, weight_decay=0.0, fused=tuned or None
    )

    def step(images, labels):
        x = torch.from_numpy(images).permute(0, 3, 1, 2)
        x = (x.float() - mean) / std
        optimiser.zero_grad()
        target = torch.from_numpy(labels).long()
        loss = torch.nn.functional.cross_entropy(module(x), target)
        loss.backward()
        optimiser.step()
        return loss

    return step


def _copy(parameter, values):
    import torch

    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.array(values)))
