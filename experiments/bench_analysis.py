"""How long the analyser takes: per genome, and on branches where others explode.

    python -m experiments.bench_analysis
    python -m experiments.bench_analysis --sweep

Two tables. First, analysing a genome as a search does it: trace, all memory models
without and with an order and a plan, with the share of JAX's tracing. Second, the best
order of n parallel branches, against the recurrence that uNAS and tflite-tools use
(written out here): the peak of a set of tensors is the least, over the tensor that is
made last, of the peak of what must exist before. It looks at every set of tensors that
can be alive together, exponentially many in the number of branches.

``--sweep`` checks instead of timing: every plan of many random networks
(`experiments._sweep`). It takes about half an hour.
"""

import functools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments import _cli, _sweep
from spjax import analysis, genomes, networks

_GENOMES = flags.DEFINE_integer("genomes", 60, "Genomes to time.", lower_bound=1)
_BRANCHES = flags.DEFINE_list(
    "branches", ["2", "4", "6", "8", "10", "12", "16"], "Numbers of parallel branches."
)
_SECONDS = flags.DEFINE_float(
    "seconds", 60.0, "Processor seconds after which the recurrence is given up."
)
_SEED = flags.DEFINE_integer("network_seed", 0, "Seed of the random networks.")
_SWEEP = flags.DEFINE_bool("sweep", False, "Check many plans instead of timing.")
_SWEEP_GENOMES = flags.DEFINE_integer(
    "sweep_genomes", 500, "Genomes of the sweep.", lower_bound=0
)
_SWEEP_GRAPHS = flags.DEFINE_integer(
    "sweep_graphs", 200, "Operator graphs of the sweep, half of them int8.",
    lower_bound=0,
)  # fmt: skip


def main(argv: Sequence[str]) -> int:
    """Runs both benchmarks; CPU time of this process, as other processes may run."""
    del argv
    if _SWEEP.value:
        _run_sweep()
        return 0
    _time_genomes()
    _time_branches([int(n) for n in _BRANCHES.value])
    return 0


def _run_sweep() -> None:
    seed, graphs = _SEED.value, _SWEEP_GRAPHS.value
    half = graphs // 2
    for what, found in (
        ("genomes", _sweep.random_genomes(_SWEEP_GENOMES.value, seed)),
        (
            "float32 graphs",
            _sweep.random_graphs(graphs - half, seed, False),
        ),
        ("int8 graphs", _sweep.random_graphs(half, seed + 1, True)),
    ):
        tally = _sweep.run(found, _sweep.Tally(what))
        if tally.operations:
            print("\n".join(tally.lines()), flush=True)


def _time_genomes() -> None:
    rng = np.random.default_rng(_SEED.value)
    rows: dict[str, list[float]] = {}

    def timed(name: str, call: Callable) -> object:
        start = time.process_time()
        result = call()
        rows.setdefault(name, []).append(1e3 * (time.process_time() - start))
        return result

    shapes = [(8, 8, 1), (28, 28, 1), (32, 32, 3)]
    for i in range(_GENOMES.value):
        shape = shapes[i % len(shapes)]
        genome = genomes.random_genome(rng, shape, genomes.Bounds())
        deployed = genomes.deployed_shape(genome, shape)
        variables = networks.variable_shapes(genome, deployed, 10)
        fn = networks.inference_function(genome, 10)
        x = jax.ShapeDtypeStruct((1, *deployed), np.float32)
        # A fresh function each time: JAX caches the trace of one it has seen.
        again = networks.inference_function(genome, 10)
        arguments = (variables, x)
        timed("JAX's tracing alone", lambda f=again, a=arguments: jax.make_jaxpr(f)(*a))
        program = timed("trace", lambda f=fn, a=arguments: analysis.trace(f, *a))
        timed("models without order", lambda p=program: analysis.analyze(p))
        timed("best_order", lambda p=program: analysis.peak(p, "best_order"))
        timed("planned_arena", lambda p=program: analysis.peak(p, "planned_arena"))
        timed(
            "streamed plan",
            lambda p=program: analysis.plan(analysis.streamed(p)),
        )
    print(f"{_GENOMES.value} random genomes, CPU milliseconds:")
    print(f"{'':24}{'median':>9}{'worst':>9}")
    for name, values in rows.items():
        print(f"{name:24}{statistics.median(values):9.1f}{max(values):9.1f}")
    both = [
        t + m for t, m in zip(rows["trace"], rows["models without order"], strict=True)
    ]
    share = statistics.median(rows["JAX's tracing alone"]) / statistics.median(both)
    print(
        f"trace + models without order: median {statistics.median(both):.1f};"
        f" JAX's tracing is {100 * share:.0f} % of it.\n"
    )


def _time_branches(numbers: Sequence[int]) -> None:
    titles = ("branches", "operations", "peak", "ours s", "recurrence s")
    print("".join(f"{title:>14}" for title in titles))
    for n in numbers:
        program = _branched(n)
        schedule = analysis.whole(program, sharing="none")
        start = time.process_time()
        order = analysis.best_order(schedule)
        ours = time.process_time() - start
        start = time.process_time()
        peak = recurrence(program, schedule.sizes, start + _SECONDS.value)
        theirs = f"{time.process_time() - start:.3f}"
        if peak is None:
            theirs = f"> {_SECONDS.value:.0f}"
        elif peak != order.peak:
            raise AssertionError(f"{n} branches: {peak} against {order.peak}")
        cells = (n, len(program.operations), order.peak, f"{ours:.4f}", theirs)
        label = "" if order.exact else "  (not proved)"
        print("".join(f"{cell:>14}" for cell in cells) + label)


def _branched(branches: int) -> analysis.Program:
    """Depthwise and pointwise convolutions on n branches of one map, concatenated."""
    rng = np.random.default_rng(branches)
    strides = [1 + int(rng.integers(2)) for _ in range(branches)]
    widths = [int(rng.integers(1, 9)) for _ in range(branches)]
    params = [
        (np.ones((3, 3, 1, 4), np.float32), np.ones((1, 1, 4, width), np.float32))
        for width in widths
    ]

    def conv(x: jax.Array, kernel: jax.Array, stride: int, groups: int) -> jax.Array:
        return jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups,
        )  # fmt: skip

    def fn(params: list, x: jax.Array) -> jax.Array:
        ends = []
        for (depthwise, pointwise), stride in zip(params, strides, strict=True):
            y = conv(conv(x, depthwise, stride, 4), pointwise, 1, 1)
            ends.append(y.mean((1, 2)))
        return jnp.concatenate(ends, -1)

    return analysis.trace(fn, params, jax.ShapeDtypeStruct((1, 14, 14, 4), np.float32))


def recurrence(
    program: analysis.Program, sizes: Mapping[str, int], deadline: float
) -> int | None:
    """Peak of the best order by the recurrence over sets of live tensors.

    Args:
      program: the program; its input counts.
      sizes: bytes by storage.
      deadline: when to give up, in the clock of `time.process_time`.

    Returns:
      Bytes, or None if it took too long. Exact here, where the input is read by every
      branch; in general the recurrence can count an input twice.
    """
    made_by = {op.output: program.reads(op) for op in program.operations}
    ancestors: dict[str, frozenset[str]] = {}
    for op in program.operations:
        reads = program.reads(op)
        ancestors[op.output] = frozenset(reads).union(
            *(ancestors.get(name, frozenset()) for name in reads)
        )

    @functools.cache
    def peak(alive: frozenset[str]) -> int:
        if time.process_time() > deadline:
            raise TimeoutError
        best = None
        for last in alive:
            if last not in made_by:
                continue
            rest = alive - {last}
            if any(last in ancestors.get(other, ()) for other in rest):
                continue
            before = rest | set(made_by[last])
            here = sum(sizes[name] for name in before | {last})
            value = max(here, peak(before))
            best = value if best is None else min(best, value)
        return sum(sizes[name] for name in alive) if best is None else best

    try:
        return peak(frozenset(program.storage(name) for name in program.outputs))
    except TimeoutError:
        return None


if __name__ == "__main__":
    _cli.run(main)
