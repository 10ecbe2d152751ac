"""Several trials of one architecture, trained as one population in a worker process.

Their networks are trained at once (`spjax.training.train_population`) and then measured
and stored one after the other, each in a folder of its own, as `run_trial` leaves it.
What happens to a trial is told at once: a worker that dies while it measures the last
one takes none of the others with it. Nothing here imports Ax or PyTorch.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence

from spjax import data, genomes, training
from spjax.search._worker_process import describe
from spjax.search.errors import SearchError
from spjax.search.trial import first_weights, reached
from spjax.search.trial_result import finish_trial
from spjax.search.trial_spec import TrialSpec, data_folder
from spjax.search.workers import Event


def run_trials(
    specs: Sequence[TrialSpec], progress: Callable[[Event], None] | None = None
) -> tuple[Event, ...]:
    """Trains the genomes of several trials at once, measures and stores each.

    Args:
      specs: the trials, of one run and one architecture, with the same settings but
        for the seed; none is to stop early.
      progress: called after each epoch with an event of each trial, and with each
        trial's last event as soon as it is known. Their ``task`` is the trial's
        number, their content what `run_trial` tells and returns.

    Returns:
      The last event of each trial: ``result``, or ``error`` if measuring it raised.
      Seconds are a trial's share of the training, and its own ones after that.

    Raises:
      SearchError: if the trials cannot be trained together.
      TrainingError: if one of them trains noisy weights.
      DataError: if the run's arrays are not there.
      OSError: if the system refuses something: the trials not told of are to be run
        again.
    """
    start = time.perf_counter()
    tell = progress or (lambda event: None)
    drawn = [genomes.from_json(spec.genome) for spec in specs]
    _check(specs, drawn)
    config = specs[0].config
    dataset = data.open_arrays(data_folder(specs[0].run_dir))

    def on_epoch(epoch: int, entries: Sequence[dict | None]) -> None:
        for spec, entry in zip(specs, entries, strict=True):
            if entry is not None:
                tell(Event("progress", spec.index, reached(spec, epoch, entry)))

    results = training.train_population(
        drawn[0],
        [
            training.Member(g.training, s.config.seed, first_weights(s, dataset))
            for g, s in zip(drawn, specs, strict=True)
        ],
        dataset.train,
        dataset.validation,
        dataset.num_classes,
        dataset.normalisation,
        config,
        on_epoch=on_epoch,
    )
    share = (time.perf_counter() - start) / len(specs)
    events = []
    for spec, result in zip(specs, results, strict=True):
        events.append(_finish(spec, dataset, result, time.perf_counter() - share))
        tell(events[-1])
    return tuple(events)


def _finish(spec, dataset, result, start):
    try:
        return Event("result", spec.index, finish_trial(spec, dataset, result, start))
    except OSError:
        raise
    except Exception as error:  # A trial's own mishap; the others go on.
        return Event("error", spec.index, *describe(error))


def _check(specs, drawn):
    if not specs:
        raise SearchError("no trials to train together: give at least one")
    first = _shared(specs[0], drawn[0])
    for spec, genome in zip(specs, drawn, strict=True):
        if _shared(spec, genome) != first:
            raise SearchError(
                f"trials {specs[0].index} and {spec.index} cannot be trained together: "
                "they differ in more than training genes, seed and first weights"
            )
        if spec.stops is not None:
            raise SearchError(
                f"trial {spec.index} may stop early, which trials that are trained "
                "together do not: leave out its table of stops"
            )


def _shared(spec, genome):
    """What all trials of a group have in common."""
    plain = dataclasses.replace(genome, training=genomes.Training())
    return spec.run_dir, plain, dataclasses.replace(spec.config, seed=0)
