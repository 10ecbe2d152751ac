"""A whole search with a synthetic objective, as a process that can be killed."""

import dataclasses
import errno
import os
import sys
import time

from spjax import genomes, search
from spjax.search.drawing import cost_of
from tests.search.synthetic import synthetic_error

SETTINGS = search.Settings(
    input_shape=(16, 16, 1),
    num_classes=10,
    limits=(("planned_arena", 2048), ("model_size_nonzero", 8192)),
    initial_trials=4,
    candidates=32,
)
# A space of few genes: the time that Ax takes grows with them.
FEW_GENES = dataclasses.replace(
    SETTINGS,
    algorithm="qlognehvi",
    bounds=genomes.Bounds(
        downsample=(1, 1), num_blocks=(1, 1), num_convs=(1, 1), num_dense=(0, 0),
        conv_kinds=("regular",), batch_norm=(True,), relu=(True,), branches=(False,),
        stride=(1, 1), pool_kinds=("max",), residual=(False,),
        pruning=("weight",), sparsity=(0.1, 0.9),
    ),
)  # fmt: skip
CONFIG = {"dataset": "synthetic"}


def figures_of(genome):
    """The synthetic figures of a genome."""
    cost = cost_of(genome, SETTINGS)
    return {**cost, "validation_error": synthetic_error(genome, cost)}


def advance(study, count):
    """Proposes and completes trials in this process."""
    for _ in range(count):
        trial = study.propose()
        study.complete(trial.index, figures_of(trial.genome), {"seconds": 0.5})


def evaluate(spec, report):
    """What a worker does: the synthetic figures, after a while."""
    text, seconds, fate = spec
    genome = genomes.from_json(text)
    report({"epoch": 1})
    if fate == "die":
        os._exit(7)
    if fate == "raise":
        raise ValueError("an odd genome")
    if fate == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "weights.npz")
    time.sleep(seconds)
    extra = {"seconds": seconds, "diverged": fate == "diverge"}
    if fate == "stop":
        known = figures_of(genome)
        predicted = {"predicted_error": known.pop("validation_error")}
        return {**known, **predicted, **extra, "stopped": "hopeless", "curve": [0.9]}
    return {**figures_of(genome), **extra}


def evaluate_one(spec, report):
    """`evaluate` for a spec that begins with the trial's number."""
    return evaluate(spec[1:], report)


def evaluate_group(specs, report):
    """What a worker does with a group of trials, each spec with its number."""
    if any(spec[-1] == "group" for spec in specs):
        raise MemoryError("too many at once")
    told = []
    for index, *spec in specs:
        try:
            tell = lambda seen, i=index: report(search.Event("progress", i, seen))  # noqa: E731
            event = search.Event("result", index, evaluate(spec, tell))
        except ValueError as error:
            event = search.Event("error", index, f"ValueError: {error}", "the story")
        report(event)
        told.append(event)
    return tuple(told)


def specify_numbered(seconds=0.0, fates=None):
    """As `specify`, with the trial's number in front."""
    plain = specify(seconds, fates)
    return lambda trial: (trial.index, *plain(trial))


def specify(seconds=0.0, fates=None):
    """Specs of trials, with a fate for some of them."""
    fates = fates or {}
    return lambda trial: (
        genomes.to_json(trial.genome),
        seconds,
        fates.get(trial.index, "live"),
    )


def main(run_dir, trials, workers, seconds):
    """Runs or resumes a search; prints a line per event."""
    start = search.load if search.exists(run_dir) else search.create
    with (
        start(run_dir, SETTINGS, CONFIG) as study,
        search.WorkerPool(int(workers)) as pool,
    ):
        events = search.run(study, pool, evaluate, specify(float(seconds)), int(trials))
        for event in events:
            print(event.kind, event.index, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
