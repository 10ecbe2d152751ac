"""Every plan of many random networks: verified, simulated, compared.

For each network, with every way to share memory and every kind of schedule:

- `analysis.plan` refuses a plan in which two live buffers share a byte,
- `analysis.simulate` runs it in one array of exactly its arena's bytes and compares
  every activation,
- what it computes is what JAX computes,
- its arena at 16 bytes' alignment is no larger than that of TensorFlow Lite Micro's
  greedy planner, which also runs the program in its own order, nothing shared,
- the best order's peak equals the least over all orders (`experiments._exhaustive`),
  wherever there are not too many of them.

The first one that is not so ends the sweep with an AssertionError.
"""

import dataclasses
import time
from collections.abc import Iterable, Iterator

import jax
import numpy as np

from experiments import _exhaustive
from experiments._random_graphs import random_function
from spjax import analysis, genomes, networks

_KINDS = {
    "whole": analysis.whole,
    "fused": analysis.fused,
    "streamed": analysis.streamed,
}
_SHAPES = ((8, 8, 1), (9, 9, 2), (12, 12, 1), (28, 28, 1))
_CLASSES = 10

# Name, program, image, what JAX makes of it (one array per output).
Network = tuple[str, analysis.Program, np.ndarray, list[np.ndarray]]


@dataclasses.dataclass
class Tally:
    """Counts and ratios over networks of one kind.

    Attributes:
      what: the kind of networks.
      operations: number of operations, by network.
      branches: largest number of operations that read one tensor, by network.
      plans: plans that were verified and simulated.
      orders: best orders that were looked for.
      unproved: those of them that the search could not prove to be best.
      exhaustive: those that equal the least peak over all orders.
      at_bound: plans whose arena is the lower bound of all plans of their schedule.
      order_seconds: processor seconds of each search for a best order.
      ratios: by name, of arenas; one per network or plan.
    """

    what: str
    operations: list[int] = dataclasses.field(default_factory=list)
    branches: list[int] = dataclasses.field(default_factory=list)
    plans: int = 0
    orders: int = 0
    unproved: int = 0
    exhaustive: int = 0
    at_bound: int = 0
    order_seconds: list[float] = dataclasses.field(default_factory=list)
    ratios: dict[str, list[float]] = dataclasses.field(default_factory=dict)

    def add(self, name: str, ratio: float) -> None:
        """Notes one ratio."""
        self.ratios.setdefault(name, []).append(ratio)

    def lines(self) -> Iterator[str]:
        """What there is to say."""
        yield (
            f"{self.what}: {len(self.operations)} networks of"
            f" {min(self.operations)} to {max(self.operations)} operations, with up to"
            f" {max(self.branches)} branches"
        )
        yield (
            f"  {self.plans} plans verified and simulated; {self.at_bound} of them"
            " reach the lower bound of all plans"
        )
        yield (
            f"  {self.orders} best orders, {self.unproved} of them not proved;"
            f" {self.exhaustive} equal to the least over all orders; slowest"
            f" {max(self.order_seconds):.2f} s"
        )
        for name, ratios in self.ratios.items():
            yield (
                f"  {name}: mean {np.mean(ratios):.4f}, worst {np.max(ratios):.4f},"
                f" best {np.min(ratios):.4f}"
            )


def run(found: Iterable[Network], tally: Tally) -> Tally:
    """Checks networks one after another.

    Args:
      found: the networks.
      tally: takes the counts.

    Returns:
      The tally.

    Raises:
      AssertionError: if something is not as the module says.
    """
    for name, program, image, wanted in found:
        try:
            _check(program, image, wanted, tally)
        except AssertionError as error:
            raise AssertionError(f"{tally.what}, {name}: {error}") from error
    return tally


def random_genomes(count: int, seed: int) -> Iterator[Network]:
    """Networks of random genomes of the whole space, with random weights."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        shape = _SHAPES[i % len(_SHAPES)]
        genome = genomes.random_genome(rng, shape, genomes.Bounds())
        deployed = genomes.deployed_shape(genome, shape)
        variables = networks.init_variables(genome, deployed, _CLASSES, seed=i)
        image = rng.normal(size=(1, *deployed)).astype(np.float32)
        fn = networks.inference_function(genome, _CLASSES)
        yield f"genome {i}", *_traced(fn, variables, image)


def random_graphs(count: int, seed: int, int8: bool) -> Iterator[Network]:
    """Random graphs of operators; every third may have 16 branches in a stage."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        branches = 16 if i % 3 == 0 else int(rng.integers(1, 17))
        fn, params, image = random_function(
            rng, int8=int8, branches=branches, side=5, outputs=1 + i % 2
        )
        yield f"graph {i}", *_traced(fn, params, image)


def _traced(fn, params: object, image: np.ndarray) -> tuple:
    program = analysis.trace(fn, params, image)
    # Compiled for one run: without optimisation, as that is quicker.
    options = {"xla_backend_optimization_level": 0}
    compiled = jax.jit(fn).lower(params, image).compile(compiler_options=options)
    return (
        program,
        image,
        [np.asarray(y) for y in jax.tree.leaves(compiled(params, image))],
    )


def _check(
    program: analysis.Program, image: np.ndarray, wanted: list, tally: Tally
) -> None:
    tally.operations.append(len(program.operations))
    reads = [name for op in program.operations for name in program.reads(op)]
    tally.branches.append(max(map(reads.count, reads), default=0))
    values = analysis.evaluate(program, {"input": image})
    for name, want in zip(program.outputs, wanted, strict=True):
        _ensure(_close(values[name], want), f"{name} is not what JAX computes")
    options = {"bytes_per_element": None}
    head = analysis.tflm_head(analysis.whole(program, sharing="none", **options))
    arenas = {}
    for sharing in analysis.SHARINGS:
        for kind, make in _KINDS.items():
            schedule = make(program, sharing=sharing, **options)
            arenas[sharing, kind] = _check_plan(schedule, image, wanted, tally)
        plain = analysis.whole(program, sharing=sharing, **options)
        _check_order(plain, tally)
        aligned = analysis.plan(plain, alignment=16).planned_arena
        _ensure(aligned <= head, f"{sharing}: arena {aligned}, TFLM's {head}")
        tally.add(f"planned_arena, {sharing}, 16 bytes / TFLM's head", aligned / head)
    plain = arenas["in_place", "whole"]
    _ensure(plain <= arenas["none", "whole"], "sharing in place needs more")
    least = arenas["overlap", "streamed"]
    _ensure(least <= arenas["none", "whole"], "streaming needs more")
    tally.add("planned_arena, streamed with overlap / in_place", least / plain)


def _check_plan(
    schedule: analysis.Schedule, image: np.ndarray, wanted: list, tally: Tally
) -> int:
    plan = analysis.plan(schedule)
    values = analysis.simulate(plan, {"input": image})
    program = schedule.program
    for name, want in zip(program.outputs, wanted, strict=True):
        got = values[program.storage(name)].reshape(want.shape)
        _ensure(_close(got, want), f"{name} of a plan is not what JAX computes")
    _ensure(schedule.extra_macs == 0, "something is computed twice")
    _ensure(
        plan.lower_bound <= plan.best_order <= plan.planned_arena,
        "the figures of a plan are out of order",
    )
    tally.plans += 1
    tally.at_bound += plan.planned_arena == plan.lower_bound
    tally.add(
        "planned_arena / best_order, all plans", plan.planned_arena / plan.best_order
    )
    return plan.planned_arena


def _check_order(schedule: analysis.Schedule, tally: Tally) -> None:
    start = time.process_time()
    order = analysis.best_order(schedule)
    tally.order_seconds.append(time.process_time() - start)
    tally.orders += 1
    tally.unproved += not order.exact
    overlaps = {
        (task.name, storage): distance
        for task in schedule.tasks
        for storage, distance in task.overlap
    }
    least = _exhaustive.least_peak(schedule.program, schedule.sizes, overlaps)
    if least is not None:
        _ensure(
            order.exact and order.peak == least,
            f"best order {order.peak}, least over all orders {least}",
        )
        tally.exhaustive += 1


def _close(got: np.ndarray, want: np.ndarray) -> bool:
    """Equal for integers; for floats up to the order of sums."""
    if np.issubdtype(want.dtype, np.integer):
        return np.array_equal(got, want)
    scale = max(1.0, float(np.abs(want).max()))
    return np.allclose(got / scale, want / scale, atol=1e-4)


def _ensure(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)
