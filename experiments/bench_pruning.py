"""What pruning costs: a masked update against the dense one, side by side.

    python -m experiments.bench_pruning --optimiser=adam --repeats=200

prints a Markdown table for a network of a million weights: the time of a step with
the plain optimiser, the ratio of the masked step between mask updates to it, and the
share of time that mask updates add at the given interval. Steps are compiled with
donated buffers. The variants take turns within each repeat and ratios are taken
within repeats, so that a noisy machine disturbs both sides alike; the table gives the
median and the quartiles over repeats.
"""

import functools
import os
import platform
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import flags

from experiments import _cli
from experiments._quartiles import quartiles
from spjax import pruning

flags.adopt_module_key_flags(_cli)
_OPTIMISER = flags.DEFINE_enum(
    "optimiser", "adam", ["adam", "adamw", "sgd", "momentum"], "The inner optimiser."
)
_GRAIN = flags.DEFINE_string("grain", "weight", "weight, channel, 2:4 or 2x2.")
_DISTRIBUTION = flags.DEFINE_enum(
    "distribution", "uniform", ["uniform", "erk", "global"], "Shares of the layers."
)
_BATCH = flags.DEFINE_integer("batch_size", 128, "Images a step.", lower_bound=1)
_REPEATS = flags.DEFINE_integer("repeats", 100, "Timed rounds.", lower_bound=3)
_STEPS = flags.DEFINE_integer("steps", 5, "Steps timed in a round.", lower_bound=1)
_INTERVAL = flags.DEFINE_integer(
    "interval", 100, "Steps between mask updates, for their share.", lower_bound=1
)

_CLOCK = flags.DEFINE_enum(
    "clock",
    "wall",
    ["wall", "cpu"],
    "What is timed: `cpu`, the time of this process on all cores, is steadier on a "
    "machine that other programs use as well.",
)

_WIDTHS = (784, 800, 400, 130, 10)  # 1,001,840 parameters
_OPTIMISERS = {
    "adam": lambda: optax.adam(1e-4),
    "adamw": lambda: optax.adamw(1e-4),
    "sgd": lambda: optax.sgd(1e-4),
    "momentum": lambda: optax.sgd(1e-4, momentum=0.9),
}
_NEVER = 2**30
_SAME_MEMORY = 5  # rounds before arrays are allocated anew


def main(argv: Sequence[str]) -> int:
    """Measures and prints the table."""
    del argv
    size = sum(x.size for x in jax.tree.leaves(_params()))
    print(
        f"{size:,} parameters, {_OPTIMISER.value}, grain {_GRAIN.value}, distribution "
        f"{_DISTRIBUTION.value}; JAX {jax.__version__} on {jax.devices()[0].platform}, "
        f"{platform.machine()}, {len(os.sched_getaffinity(0))} core(s); {_CLOCK.value} "
        f"time, median "
        f"[quartiles] of {_REPEATS.value} rounds of {_STEPS.value} steps\n"
    )
    print(
        "| step | dense, ms | masked / dense, between mask updates | dense / dense "
        f"(noise) | one mask update, ms | share of mask updates, one in "
        f"{_INTERVAL.value} steps |"
    )
    print("|---|---|---|---|---|---|")
    for name, step in (
        ("update alone", _update_step),
        (f"training, batch {_BATCH.value}", _training_step),
    ):
        print(f"| {name} | {' | '.join(_row(_measure(step)))} |")
    return 0


def _params():
    rng = np.random.default_rng(0)
    return {
        f"dense_{i}": {
            "kernel": jnp.asarray(rng.normal(size=(a, b)) / a**0.5, jnp.float32),
            "bias": jnp.zeros(b),
        }
        for i, (a, b) in enumerate(zip(_WIDTHS[:-1], _WIDTHS[1:], strict=True))
    }


def _masked(interval):
    sparsity = None if ":" in _GRAIN.value else 0.9
    return pruning.magnitude(
        _OPTIMISERS[_OPTIMISER.value](),
        sparsity=sparsity,
        grain=_GRAIN.value,
        distribution=_DISTRIBUTION.value,
        interval=interval,
    )


def _update_step(optimiser):
    rng = np.random.default_rng(1)
    grads = jax.tree.map(
        lambda x: jnp.asarray(rng.normal(size=x.shape), jnp.float32), _params()
    )

    def step(params, state, grads):
        updates, state = optimiser.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return step, grads


def _training_step(optimiser):
    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.normal(size=(_BATCH.value, _WIDTHS[0])), jnp.float32)
    y = jnp.asarray(rng.integers(0, _WIDTHS[-1], _BATCH.value))

    def loss(params, batch):
        hidden, labels = batch
        for i in range(len(_WIDTHS) - 1):
            layer = params[f"dense_{i}"]
            hidden = (jax.nn.relu(hidden) if i else hidden) @ layer["kernel"]
            hidden += layer["bias"]
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(hidden, labels))

    def step(params, state, batch):
        grads = jax.grad(loss)(params, batch)
        updates, state = optimiser.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return step, (x, y)


def _clock():
    return time.process_time() if _CLOCK.value == "cpu" else time.perf_counter()


class _Runner:
    """A compiled step with its state; calling it gives seconds a step."""

    def __init__(self, make: Callable[..., Any], optimiser: Any):
        step, self._batch = make(optimiser)
        self._optimiser = optimiser
        self._step = functools.partial(jax.jit, donate_argnums=(0, 1))(step)
        self.allocate()

    def allocate(self) -> None:
        """Starts again in fresh memory: where arrays lie changes times by 10 %."""
        self._params = _params()
        self._state = self._optimiser.init(self._params)
        self(2)  # compiles at first, and passes the first mask update

    def __call__(self, steps: int) -> float:
        start = _clock()
        for _ in range(steps):
            self._params, self._state = self._step(
                self._params, self._state, self._batch
            )
        jax.block_until_ready(self._params)
        return (_clock() - start) / steps


def _measure(make):
    """Seconds a step, an array of one entry per round for each variant."""
    runners = {
        "dense": _Runner(make, _OPTIMISERS[_OPTIMISER.value]()),
        "masked": _Runner(make, _masked(_NEVER)),
        "dense again": _Runner(make, _OPTIMISERS[_OPTIMISER.value]()),
        "mask update": _Runner(make, _masked(1)),
    }
    times = {name: [] for name in runners}
    order = np.random.default_rng(0)
    for repeat in range(_REPEATS.value):
        if repeat % _SAME_MEMORY == 0:
            for name in order.permutation(list(runners)):
                runners[name].allocate()
        for name in order.permutation(list(runners)):
            steps = 1 if name == "mask update" else _STEPS.value
            times[name].append(runners[name](steps))
    return {name: np.array(values) for name, values in times.items()}


def _row(times):
    dense = times["dense"]
    extra = times["mask update"] - times["masked"]
    share = extra / _INTERVAL.value / times["masked"]
    return (
        quartiles(1e3 * dense, ".3g"),
        quartiles(times["masked"] / dense, ".3f"),
        quartiles(times["dense again"] / dense, ".3f"),
        quartiles(1e3 * extra, ".3g"),
        quartiles(100 * share, ".2g", " %"),
    )


if __name__ == "__main__":
    _cli.run(main)
