"""How long a search takes to choose its next genome, by algorithm.

    python -m experiments.bench_propose
    python -m experiments.bench_propose --propose_by=morphs,qlognehvi --finished=10,60

Nothing is trained: the finished trials are random genomes within the board's limits,
with their exact costs and a made-up error that falls with operations and weights. For
every number of trials the next proposals are timed, with one more trial finished before
each, on one core. Prints a table: seconds of processor time, median [quartiles] over
the repeats, and the slowest.
"""

import dataclasses
import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

from experiments import _bench_settings, _cli, _flags
from experiments._quartiles import quartiles

_BOARD_FLAGS = (_flags.BOARD, _flags.RAM_BYTES, _flags.FLASH_BYTES)
flags.adopt_module_key_flags(_cli)
for _holder in _BOARD_FLAGS:
    flags.declare_key_flag(_holder.name)
_PROPOSE_BY = flags.DEFINE_list(
    "propose_by",
    ["morphs", "sparse", "random", "ageing_evolution", "nsga2"],
    "What to time, as --algorithm of the search.",
)
_FINISHED = flags.DEFINE_list("finished", ["10", "100", "300"], "Finished trials.")
_REPEATS = flags.DEFINE_integer("repeats", 7, "Proposals to time.", lower_bound=1)
_SIDE = flags.DEFINE_integer("side", 28, "Side of the grey images.", lower_bound=4)
_PENDING = flags.DEFINE_integer("pending", 1, "Trials under way.", lower_bound=0)


def main(argv: Sequence[str]) -> int:
    """Times and prints the table."""
    del argv
    counts = _cli.whole_numbers("finished", _FINISHED.value)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    from spjax import search

    base = _bench_settings.board_settings((_SIDE.value, _SIDE.value, 1), 10)
    trials = observe(base, max(counts) + _REPEATS.value + _PENDING.value)
    print("| algorithm | trials | seconds a proposal | slowest |\n|---|--:|--:|--:|")
    for name in _PROPOSE_BY.value:
        try:
            settings = dataclasses.replace(base, algorithm=name)
        except search.SearchError as error:
            raise _cli.UsageError(f"--algorithms={name}: {error}") from error
        for count in counts:
            seconds = time_proposals(
                settings, trials, count, _PENDING.value, _REPEATS.value
            )
            print(
                f"| {name} | {count} | {quartiles(seconds, '.3f')} | "
                f"{max(seconds):.3f} |",
                flush=True,
            )
    return 0


def observe(settings: Any, count: int) -> list[Any]:
    """Random genomes with their costs and made-up errors, as completed trials."""
    from spjax import search
    from spjax.search.drawing import cost_of

    rng, seen = np.random.default_rng(settings.seed), []
    for index in range(count):
        genome = search.draw_feasible(rng, settings, {o.genome for o in seen})
        cost = cost_of(genome, settings)
        figures = {name: cost[name] for name in settings.objectives[1:]}
        figures[settings.objectives[0]] = made_up_error(rng, genome, cost)
        seen.append(search.Observation(index, genome, "completed", figures))
    return seen


def made_up_error(rng: np.random.Generator, genome: Any, cost: dict) -> float:
    """An error that networks of this kind might have; it means nothing."""
    error = 0.02 + 0.9 * max(cost["macs"], 1) ** -0.15
    error += 2 * max(cost["model_size_nonzero"], 1) ** -0.8
    error += 0.1 * np.log10(genome.training.learning_rate / 5e-3) ** 2
    return float(min(0.9, error * np.exp(0.1 * rng.standard_normal())))


def time_proposals(
    settings: Any, trials: Sequence[Any], count: int, pending: int, repeats: int
) -> list[float]:
    """Processor seconds of the next proposals, each after one more finished trial.

    Args:
      settings: the search.
      trials: completed ones; at least ``count + repeats + pending``.
      count: finished trials before the first proposal.
      pending: trials under way at each.
      repeats: proposals to time.
    """
    from spjax import search

    seconds = []
    # The one before loads libraries, and what it remembers a search has, too.
    for known in range(count - 1, count + repeats):
        running = [
            search.Observation(o.index, o.genome, "running")
            for o in trials[known : known + pending]
        ]
        seen = [*trials[:known], *running]
        propose = _proposer(settings, seen)
        start = time.process_time()
        propose(settings, seen, len(seen))
        seconds.append(time.process_time() - start)
    return seconds[1:]


def _proposer(settings, seen):
    from spjax.search.algorithms import algorithm

    if settings.algorithm != "qlognehvi":
        return algorithm(settings.algorithm)
    from spjax import genomes
    from spjax.search import storage
    from spjax.search.ax_method import ax_proposal

    experiment, _ = storage.new_experiment(settings)  # Imports Ax, silently.
    from ax.core.arm import Arm

    for trial in seen:
        point = dict(genomes.to_flat(trial.genome, settings.bounds))
        kept = experiment.new_trial().add_arm(Arm(parameters=point))
        kept.mark_running(no_runner_required=True)
        if trial.figures:
            storage.attach_figures(experiment, kept, trial.figures)
            kept.mark_completed()
    data = experiment.lookup_data()
    return lambda *given: ax_proposal(*given, experiment, data)


if __name__ == "__main__":
    _cli.run(main)
