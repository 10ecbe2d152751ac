"""What training costs beside PyTorch and beside plain Flax.

    python -m experiments.bench_train --repeats=20

prints two Markdown tables.

1. The masked training step against the same step in PyTorch: two convolutions (with
   batch norm or bias, ReLU, max pooling) and a dense classifier on 28x28 images, AdamW,
   batch 128. Both start from the same weights, and their losses are compared first.
   PyTorch runs twice, by its defaults and with channels-last memory and the fused
   optimiser; the ratio is to the faster of the two.
2. The time before training gets going: data, initial weights, tracing, compilation, up
   to the end of the first step. Plain Flax (``init``, ``nn.Conv``, ``nn.max_pool``, a
   jitted optax step) against ours with an empty compilation cache and against ours
   when the genome was compiled before. Every figure is a process of its own; imports
   are not counted.

The sides take turns and ratios are taken within each round, so that a noisy machine
disturbs both alike; tables give the median and the quartiles over rounds. Both sides
have the same ``--cores``.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import flags

from experiments import _cli
from experiments._bench_peers import PlainNetwork, plain_step, torch_step
from experiments._quartiles import quartiles
from spjax import genomes, networks, training
from spjax.data import Split
from spjax.genomes import Block, Conv, Genome, Pool

flags.adopt_module_key_flags(_cli)
_PARTS = flags.DEFINE_multi_enum(
    "part", ["step", "setup"], ["step", "setup"], "What to measure; may be repeated."
)
_CORES = flags.DEFINE_integer("cores", 1, "Cores for either side.", lower_bound=1)
_REPEATS = flags.DEFINE_integer("repeats", 15, "Timed rounds.", lower_bound=3)
_STEPS = flags.DEFINE_integer("steps", 10, "Steps timed in a round.", lower_bound=1)
_SETUPS = flags.DEFINE_integer(
    "setup_repeats", 3, "Rounds of the second table.", lower_bound=1
)
_CLOCK = flags.DEFINE_enum(
    "clock",
    "wall",
    ["wall", "cpu"],
    "What is timed: `cpu`, the time of the process on all cores, is steadier on a "
    "machine that other programs use as well.",
)
_ONE = flags.DEFINE_string(
    "one_setup", None, "For the program's own use: measure one set-up, WAY:NETWORK."
)
_CACHE = flags.DEFINE_string("cache_dir", None, "For the program's own use.")

_SHAPE, _CLASSES, _BATCH = (28, 28, 1), 10, 128
_MEAN, _STD, _RATE = 33.0, 78.0, 1e-3
_NETWORKS = ((4, 8, 3), (8, 16, 3), (16, 32, 3), (6, 16, 5))


def _chain(first, second, kernel, batch_norm=True):
    return Genome(
        blocks=tuple(
            Block((Conv(channels=c, kernel=kernel, batch_norm=batch_norm),), pool=_POOL)
            for c in (first, second)
        )
    )


_POOL = Pool("max", 2)
_DEEPEST = Genome(
    blocks=tuple(
        Block(
            (
                Conv(channels=width),
                Conv("separable", channels=width + 4),
                Conv("downsampled", channels=width + 8),
            ),
            residual=True,
            pool=pool,
            branch=10,
        )
        for width, pool in (
            (8, _POOL),
            (16, Pool("average", 2)),
            (24, Pool("global_average")),
        )
    ),
    input_branch=10,
    dense=(64, 32),
)
_GENOMES = {
    "two convolutions, 8-16": _chain(8, 16, 3),
    "nine convolutions, residuals, branches": _DEEPEST,
}


def main(argv: Sequence[str]) -> int:
    """Measures and prints the tables."""
    del argv
    if _CLOCK.value == "cpu" and _CORES.value > 1:
        raise _cli.UsageError(
            "--clock=cpu counts threads that spin while they wait: give --cores=1, or "
            "--clock=wall on a quiet machine"
        )
    cores = _take_cores()
    if _ONE.value:
        way, name = _ONE.value.split(":")
        print(json.dumps(_WAYS[way](_GENOMES[name])))
        return 0
    print(
        f"JAX {jax.__version__} on {jax.devices()[0].platform}, {platform.machine()}, "
        f"{cores}, {_CLOCK.value} time, median [quartiles]\n"
    )
    if "step" in _PARTS.value:
        _print_steps()
    if "setup" in _PARTS.value:
        _print_setups()
    return 0


def _take_cores():
    """Keeps the process, and what it starts, to the last cores that it may use."""
    if not hasattr(os, "sched_setaffinity"):
        return "no way to fix the number of cores"
    cores = sorted(os.sched_getaffinity(0))[-_CORES.value :]
    if len(cores) < _CORES.value:
        raise _cli.UsageError(
            f"--cores={_CORES.value}: only {len(cores)} are free to use"
        )
    os.sched_setaffinity(0, cores)
    return f"{len(cores)} core(s)"


def _clock():
    return time.process_time() if _CLOCK.value == "cpu" else time.perf_counter()


def _data(count=2 * _BATCH):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, *_SHAPE)).astype(np.uint8)
    return Split(images, rng.integers(0, _CLASSES, count).astype(np.int32))


def _print_steps():
    import torch

    torch.set_num_threads(_CORES.value)
    print(
        "| channels, kernel | spjax, masked, ms | PyTorch, ms | PyTorch tuned, ms | "
        "spjax / faster PyTorch |\n|---|---|---|---|---|"
    )
    for batch_norm in (True, False):
        for first, second, kernel in _NETWORKS:
            times = _measure_steps(_chain(first, second, kernel, batch_norm))
            peer = min(("torch", "tuned"), key=lambda name: np.median(times[name]))
            norm = "batch norm" if batch_norm else "bias"
            columns = [
                f"{first}-{second}, {kernel}x{kernel}, {norm}",
                *(quartiles(1e3 * times[n], ".1f") for n in times),
                quartiles(times["spjax"] / times[peer], ".2f"),
            ]
            print(f"| {' | '.join(columns)} |", flush=True)
    print()


def _measure_steps(genome):
    """Seconds a step, by side, one entry per round."""
    split = _data()
    images, labels = split.images[:_BATCH], split.labels[:_BATCH]
    variables = networks.init_variables(genome, _SHAPE, _CLASSES, 0)
    peers = {
        name: torch_step(
            genome, variables, (7, 7), _RATE, _MEAN, _STD, tuned=name == "tuned"
        )
        for name in ("torch", "tuned")
    }
    ours = _Ours(genome, variables)
    _compare_losses(ours, peers.values(), images, labels)
    ours.prune(0.8)

    def run_ours(steps):
        for _ in range(steps):
            ours.step(images, labels)
        jax.block_until_ready(ours.state)

    def run_peer(peer):
        def run(steps):
            for _ in range(steps):
                peer(images, labels)

        return run

    runs = {"spjax": run_ours, **{name: run_peer(peers[name]) for name in peers}}
    times = {name: [] for name in runs}
    rng = np.random.default_rng(0)
    for _ in range(_REPEATS.value):
        for name in rng.permutation(list(runs)):
            runs[name](1)  # what the other side threw out of the caches comes back
            start = _clock()
            runs[name](_STEPS.value)
            times[name].append((_clock() - start) / _STEPS.value)
    return {name: np.array(values) for name, values in times.items()}


class _Ours:
    """Our step with its state, at a constant learning rate."""

    def __init__(self, genome, variables):
        genes = genomes.Training(learning_rate=_RATE)
        config = training.TrainConfig(warmup=0.0)
        self._settings = training.make_settings(genes, config, 10**9, (_MEAN,), (_STD,))
        self.state = training.init_state(variables, self._settings)
        self._step = training.make_step(genome, _CLASSES)

    def step(self, images, labels):
        self.state = self._step(self.state, self._settings, images, labels)

    def prune(self, sparsity):
        params = self.state.params.tree()
        masks = training.genome_masks(genomes.Training(), params, sparsity)
        self.state = training.with_masks(self.state, masks)


def _compare_losses(ours, peers, images, labels, steps=3):
    """Checks that all sides train the same network in the same way."""
    for _ in range(steps):
        ours.step(images, labels)
    total = float(ours.state.totals[0]) / _BATCH
    for peer in peers:
        theirs = sum(float(peer(images, labels)) for _ in range(steps))
        if abs(total - theirs) > 1e-3 * theirs:
            raise RuntimeError(f"losses differ: {total} here, {theirs} in PyTorch")


def _print_setups():
    print(
        "| network | plain Flax, s | with jitted init, s | spjax, s | spjax, seen "
        "before, s | spjax / plain | spjax / jitted init | seen before / plain |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for name in _GENOMES:
        times = {way: [] for way in _WAYS}
        for _ in range(_SETUPS.value):
            with tempfile.TemporaryDirectory() as folder:
                for way in _WAYS:
                    times[way].append(_one_setup(way, name, folder))
        times = {way: np.array(values) for way, values in times.items()}
        plain, jitted, first, seen = times.values()
        columns = [
            name,
            *(quartiles(values, ".2f") for values in times.values()),
            *(quartiles(r, ".2f") for r in (first / plain, first / jitted)),
            quartiles(seen / plain, ".3f"),
        ]
        print(f"| {' | '.join(columns)} |", flush=True)


def _one_setup(way, name, folder):
    command = [
        *(sys.executable, "-m", "experiments.bench_train"),
        *(f"--one_setup={way}:{name}", f"--cores={_CORES.value}"),
        *(f"--clock={_CLOCK.value}", f"--cache_dir={folder}"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{way} failed: {done.stderr.strip()}")
    return json.loads(done.stdout)


def _plain_setup(genome, jit=lambda f: f):
    split, start = _data(), _clock()
    module = PlainNetwork(genome, _CLASSES)
    x = (jnp.asarray(split.images[:_BATCH], jnp.float32) - _MEAN) / _STD
    labels = jnp.asarray(split.labels[:_BATCH])
    init = jit(lambda key, x: module.init(key, x, train=True))
    variables = init(jax.random.key(0), x)
    params, stats = variables["params"], variables.get("batch_stats", {})
    optimiser = optax.adamw(_RATE)
    step = plain_step(module, optimiser)
    jax.block_until_ready(step(params, stats, optimiser.init(params), x, labels))
    return _clock() - start


def _our_setup(genome):
    training.use_compilation_cache(_CACHE.value)
    split, start = _data(), _clock()
    variables = networks.init_variables(genome, _SHAPE, _CLASSES, 0)
    ours = _Ours(genome, variables)
    ours.step(split.images[:_BATCH], split.labels[:_BATCH])
    jax.block_until_ready(ours.state)
    return _clock() - start


# In the order in which they run: the last finds what the one before it compiled.
_WAYS = {
    "plain": _plain_setup,
    "jitted": lambda genome: _plain_setup(genome, jax.jit),
    "first": _our_setup,
    "seen": _our_setup,
}


if __name__ == "__main__":
    _cli.run(main)
