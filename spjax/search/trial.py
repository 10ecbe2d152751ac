"""One trial, as a worker process runs it: train, prune, measure, store.

What it leaves is told in ``trial_result``. Nothing here imports Ax or PyTorch: a worker
stays small.
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from spjax import data, genomes, networks, training
from spjax.search.trial_result import finish_trial
from spjax.search.trial_spec import TrialSpec, data_folder


def start_worker(cache_dir: str | None) -> None:
    """Initialises a worker: quiet, with a persistent compilation cache.

    Args:
      cache_dir: folder of compiled programs; None for no cache.
    """
    import jax

    from spjax.training import use_compilation_cache

    jax.config.update("jax_platforms", os.environ.get("JAX_PLATFORMS") or None)
    if cache_dir:
        use_compilation_cache(cache_dir)


def run_trial(
    spec: TrialSpec, progress: Callable[[Mapping[str, Any]], None] | None = None
) -> dict[str, Any]:
    """Trains a genome on the run's data, measures it and stores it.

    Args:
      spec: the trial.
      progress: called after each epoch with a dict of ``epoch``, ``epochs`` and
        ``validation_error``.

    Returns:
      The figures: ``validation_error``, those of ``measure``, ``sparsity``,
      ``threshold``, ``diverged``, ``seconds``, of which ``seconds_train`` in training
      and ``seconds_setup`` of that before its second step, and ``readings``, a list of
      the same figures of its further readings with the sparsity that each was asked
      for, ``asked_sparsity``; ``validation_curve``, the validation error after each
      epoch. A diverged training has a ``validation_error`` of chance level and no
      readings. One that was stopped early has no ``validation_error``, but ``stopped``,
      a line that says why, and ``predicted_error``; its sizes are what was expected.

    Raises:
      DataError: if the run's arrays are not there.
    """
    start = time.perf_counter()
    dataset = data.open_arrays(data_folder(spec.run_dir))
    genome = genomes.from_json(spec.genome)
    predicted = None

    def on_epoch(epoch: int, entry: dict) -> bool:
        nonlocal predicted
        if progress is not None:
            progress(reached(spec, epoch, entry))
        if spec.stops is not None:
            predicted = spec.stops.verdict(epoch, entry["validation_error"])
        return predicted is not None

    result = training.train(
        genome,
        dataset.train,
        dataset.validation,
        dataset.num_classes,
        dataset.normalisation,
        spec.config,
        variables=first_weights(spec, dataset),
        on_epoch=on_epoch,
    )
    return finish_trial(spec, dataset, result, start, predicted)


def reached(spec: TrialSpec, epoch: int, entry: Mapping[str, Any]) -> dict[str, Any]:
    """What is told of a training after each epoch.

    Args:
      spec: the trial.
      epoch: counted from 1.
      entry: of the training's history.
    """
    return {
        "epoch": epoch,
        "epochs": spec.config.epochs,
        "validation_error": entry["validation_error"],
    }


def first_weights(spec: TrialSpec, dataset: data.Dataset) -> dict:
    """The variables that a trial's training starts from.

    Args:
      spec: the trial.
      dataset: the run's.

    Returns:
      Fresh ones of the trial's seed, with what can be inherited in its place.
    """
    genome = genomes.from_json(spec.genome)
    shape = genomes.deployed_shape(genome, dataset.input_shape)
    seed = spec.config.seed
    variables = networks.init_variables(genome, shape, dataset.num_classes, seed)
    if spec.init is not None and os.path.exists(spec.init):
        variables = networks.inherit(networks.load_tree(spec.init), variables)
    return variables
