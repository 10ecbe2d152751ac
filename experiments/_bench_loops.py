"""Whole trainings as one writes them without this library: Flax, and PyTorch.

Both train a genome's network without pruning (AdamW, cosine learning rate, no inherited
weights) and return its validation error; images are downsampled and normalised as the
genome and the data set say.
"""

import numpy as np

from experiments._bench_peers import PlainNetwork, plain_step
from spjax import genomes, networks
from spjax.data import Dataset


def train_flax(
    genome: genomes.Genome, dataset: Dataset, *, epochs: int, batch: int, rate: float
) -> float:
    """Trains in plain Flax: `init`, a jitted step, a jitted evaluation.

    Args:
      genome: valid for the images.
      dataset: its training and validation splits are read.
      epochs: passes over the training split.
      batch: images a step; a last, partial batch is left out.
      rate: highest learning rate.

    Returns:
      Share of the validation images classified wrongly after the last epoch.
    """
    import jax
    import jax.numpy as jnp
    import optax

    images, labels, held_out, truth = _arrays(genome, dataset)
    per_epoch = len(images) // batch
    module = PlainNetwork(genome, dataset.num_classes)
    variables = module.init(jax.random.key(0), jnp.asarray(images[:batch]), train=True)
    params, stats = variables["params"], variables.get("batch_stats", {})
    optimiser = optax.adamw(optax.cosine_decay_schedule(rate, per_epoch * epochs))
    opt_state = optimiser.init(params)
    step = plain_step(module, optimiser)

    @jax.jit
    def wrong(params, stats, x, y):
        tree = {"params": params, "batch_stats": stats}
        return (module.apply(tree, x, train=False).argmax(-1) != y).mean()

    rng, error = np.random.default_rng(0), 1.0
    for _ in range(epochs):
        order = rng.permutation(len(images))[: per_epoch * batch]
        for chosen in order.reshape(per_epoch, batch):
            params, stats, opt_state = step(
                params, stats, opt_state, images[chosen], labels[chosen]
            )
        error = float(wrong(params, stats, held_out, truth))
    return error


def train_torch(
    genome: genomes.Genome, dataset: Dataset, *, epochs: int, batch: int, rate: float
) -> float:
    """Trains the same network in PyTorch; arguments and result as `train_flax`."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    images, labels, held_out, truth = _arrays(genome, dataset)
    x, held_out = (torch.from_numpy(a).permute(0, 3, 1, 2) for a in (images, held_out))
    y, truth = (torch.from_numpy(a).long() for a in (labels, truth))
    network = _TorchNetwork(genome, tuple(x.shape[1:]), dataset.num_classes)
    module = network.module
    per_epoch = len(x) // batch
    optimiser = torch.optim.AdamW(
        module.parameters(), lr=rate, weight_decay=1e-4, fused=True
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, per_epoch * epochs)
    rng, error = np.random.default_rng(0), 1.0
    for _ in range(epochs):
        module.train()
        order = torch.from_numpy(rng.permutation(len(x))[: per_epoch * batch])
        for chosen in order.reshape(per_epoch, batch):
            optimiser.zero_grad()
            scores = network(x[chosen])
            torch.nn.functional.cross_entropy(scores, y[chosen]).backward()
            optimiser.step()
            schedule.step()
        module.eval()
        with torch.no_grad():
            error = float((network(held_out).argmax(-1) != truth).float().mean())
    return error


def _arrays(genome, dataset):
    """Images float32 [N, H, W, C] and labels int32 of training and validation."""
    result = []
    for split in (dataset.train, dataset.validation):
        images = networks.downsample(split.images, genome.downsample)
        result += [dataset.normalisation(images), split.labels]
    return result


class _TorchNetwork:
    """A genome's network in PyTorch's own layers; called with [N, C, H, W]."""

    def __init__(self, genome, shape, classes):
        import torch

        self._torch, self._genome = torch, genome
        self._layers = {}
        self.module = torch.nn.ModuleList()
        self._classes = classes
        # Layers are made when the first image comes by: that gives all shapes.
        with torch.no_grad():
            self(torch.zeros(2, *shape))

    def _layer(self, name, make):
        if name not in self._layers:
            self._layers[name] = make()
            self.module.append(self._layers[name])
        return self._layers[name]

    def _dense(self, name, x, units):
        x = x.flatten(1)
        return self._layer(name, lambda: self._torch.nn.Linear(x.shape[1], units))(x)

    def _conv(self, name, x, channels, kernel, stride=1, same=True, **options):
        if same and kernel > 1:
            pads = []
            for size in (x.shape[3], x.shape[2]):  # last dimension first
                total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
                pads += [total // 2, total - total // 2]
            if any(pads):
                x = self._torch.nn.functional.pad(x, pads)
        make = self._torch.nn.Conv2d
        return self._layer(
            name, lambda: make(x.shape[1], channels, kernel, stride, **options)
        )(x)

    def _finish(self, name, x, gene):
        if gene.batch_norm:
            make = self._torch.nn.BatchNorm2d
            x = self._layer(f"{name}/norm", lambda: make(x.shape[1]))(x)
        return x.relu() if gene.relu else x

    def _gene(self, name, x, gene):
        place = {"stride": gene.stride, "same": gene.padding == "SAME"}
        bias = not gene.batch_norm
        if gene.kind == "separable":
            inner = x.shape[1]
            x = self._conv(
                f"{name}/d", x, inner, gene.kernel, **place, groups=inner, bias=bias
            )
            x = self._finish(f"{name}/d", x, gene)
            x = self._conv(f"{name}/p", x, gene.channels, 1, bias=bias)
        else:
            if gene.kind == "downsampled":
                kept = genomes.reduced_channels(x.shape[1], gene.reduction)
                x = self._conv(f"{name}/r", x, kept, 1, bias=False)
            x = self._conv(name, x, gene.channels, gene.kernel, **place, bias=bias)
        return self._finish(name, x, gene)

    def __call__(self, x):
        genome, pools, branches = self._genome, self._torch.nn.functional, []
        if genome.input_branch:
            branches.append(self._dense("in", x, genome.input_branch).relu())
        for b, block in enumerate(genome.blocks):
            entry = x
            for i, gene in enumerate(block.convs):
                x = self._gene(f"{b}/{i}", x, gene)
                if block.residual and i == 1:
                    if entry.shape != x.shape:
                        stride = block.convs[0].stride * gene.stride
                        entry = self._conv(f"{b}/s", entry, x.shape[1], 1, stride)
                    x = x + entry
            if block.pool.kind == "max":
                x = pools.max_pool2d(x, block.pool.window)
            elif block.pool.kind == "average":
                x = pools.avg_pool2d(x, block.pool.window)
            elif block.pool.kind == "global_average":
                x = x.mean((2, 3), keepdim=True)
            if block.branch:
                branches.append(self._dense(f"{b}/b", x, block.branch).relu())
        for i, units in enumerate(genome.dense):
            x = self._dense(f"dense{i}", x, units).relu()
        x = self._torch.cat([x.flatten(1), *branches], 1)
        return self._dense("last", x, self._classes)
