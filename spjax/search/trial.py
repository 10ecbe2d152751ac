"""One trial, as a worker process runs it: train, prune, measure, store.

A trial's folder, ``RUN_DIR/trials/NNNN``, holds ``genome.json``, ``weights.npz`` and
``masks.npz`` as they were trained (a child inherits from them), ``history.json``, and
in ``deployed`` the network that its figures are of: the same without the channels
that pruning left without effect. ``readings/1`` and so on hold the same network at
higher sparsities (see ``readings``), as deployed. ``result.json`` is written last, so
that a folder with it is whole. A trial that was stopped early leaves its genome,
history and result only. Nothing here imports Ax or PyTorch: a worker stays small.
"""

import dataclasses
import json
import os
import pathlib
import shutil
import time
from collections.abc import Callable, Mapping
from typing import Any

from spjax import data, genomes, networks, training
from spjax.search.early_stop import CURVE, PREDICTED, StopTable
from spjax.search.measure import measure
from spjax.search.readings import further_sparsities
from spjax.search.static_cost import static_cost

# Training images from which batch norms take their statistics after a reading.
_SEEN_AGAIN = 4096


@dataclasses.dataclass(frozen=True)
class TrialSpec:
    """What a worker needs to know of a trial; picklable.

    Attributes:
      run_dir: the run's folder.
      index: the trial's number.
      genome: the genome's JSON text.
      config: settings of the training; its seed is the trial's.
      init: weights to inherit from, an .npz file, or None. A file that is not there
        (the parent's training failed) counts as None.
      bytes_per_element: bytes of one value on the target.
      further: whether the trained network is read at higher sparsities, too.
      stops: when the training is hopeless and is to stop; None for never.
    """

    run_dir: str
    index: int
    genome: str
    config: training.TrainConfig
    init: str | None = None
    bytes_per_element: int = 1
    further: bool = True
    stops: StopTable | None = None


def trial_folder(run_dir: str | os.PathLike, index: int) -> pathlib.Path:
    """Folder of a trial."""
    return pathlib.Path(run_dir) / "trials" / f"{index:04d}"


def deployed_folder(
    run_dir: str | os.PathLike, index: int, reading: int = 0
) -> pathlib.Path:
    """Folder of a trial's network as it is deployed, and as its figures count it.

    Args:
      run_dir: the run's folder.
      index: the trial's number.
      reading: number of one of its further readings; 0 for its own point.
    """
    folder = trial_folder(run_dir, index)
    return folder / "readings" / str(reading) if reading else folder / "deployed"


def data_folder(run_dir: str | os.PathLike) -> pathlib.Path:
    """Folder of the arrays that the workers map into memory."""
    return pathlib.Path(run_dir) / "data"


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
    shape, classes = dataset.input_shape, dataset.num_classes
    variables = networks.init_variables(
        genome, genomes.deployed_shape(genome, shape), classes, spec.config.seed
    )
    if spec.init is not None and os.path.exists(spec.init):
        variables = networks.inherit(networks.load_tree(spec.init), variables)

    predicted = None

    def on_epoch(epoch: int, entry: dict) -> bool:
        nonlocal predicted
        if progress is not None:
            progress(
                {
                    "epoch": epoch,
                    "epochs": spec.config.epochs,
                    "validation_error": entry["validation_error"],
                }
            )
        if spec.stops is not None:
            predicted = spec.stops.verdict(epoch, entry["validation_error"])
        return predicted is not None

    result = training.train(
        genome,
        dataset.train,
        dataset.validation,
        classes,
        dataset.normalisation,
        spec.config,
        variables=variables,
        on_epoch=on_epoch,
    )
    folder = trial_folder(spec.run_dir, spec.index)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    curve = [entry["validation_error"] for entry in result.history]
    if predicted is not None and not result.diverged:
        (folder / "genome.json").write_text(spec.genome + "\n")
        figures = {
            PREDICTED: predicted,
            "stopped": (
                f"after {len(curve)} of {spec.config.epochs} epochs: predicted "
                f"validation error {100 * predicted:.2f} %, and a smaller network has "
                f"{100 * spec.stops.to_beat:.2f} %"
            ),
            CURVE: curve,
            **static_cost(
                genome, shape, classes, bytes_per_element=spec.bytes_per_element
            ),
        }
        return _finish(folder, figures, result, start)
    figures = {
        "validation_error": result.validation_error,
        CURVE: curve,
        "asked_sparsity": genome.training.sparsity,
        "diverged": result.diverged,
        "threshold": result.threshold,
        "readings": [],
    }
    _store_network(folder, genome, result.variables, result.masks)
    small = networks.Compacted(genome, result.variables, result.masks)
    if result.diverged:
        figures["validation_error"] = 1.0 - 1.0 / classes
    else:
        small = networks.compact(genome, result.variables, result.masks, shape)
    figures |= _measured(spec, dataset, small)
    _store_network(folder / "deployed", *small)
    if spec.further and not result.diverged:
        figures["readings"] = _read_further(spec, dataset, genome, result)
    return _finish(folder, figures, result, start)


def _finish(folder, figures, result, start):
    """Adds the times, and stores the history and, last, the figures."""
    figures["seconds_setup"] = result.seconds_setup
    figures["seconds_train"] = result.seconds_total
    figures["seconds"] = time.perf_counter() - start
    (folder / "history.json").write_text(json.dumps(result.history, indent=1) + "\n")
    partial = folder / ".result.json"
    partial.write_text(json.dumps(figures, indent=1) + "\n")
    os.replace(partial, folder / "result.json")
    return figures


def _read_further(spec, dataset, genome, result):
    """Reads, measures and stores the trained network at higher sparsities."""
    shape, classes = dataset.input_shape, dataset.num_classes
    images = networks.downsample(dataset.validation.images, genome.downsample)
    seen = networks.downsample(dataset.train.images[:_SEEN_AGAIN], genome.downsample)
    params, rows = result.variables["params"], []
    for sparsity in further_sparsities(genome.training.sparsity):
        masks, threshold = training.read_at(
            genome, params, sparsity, noise=result.noise, previous=result.masks
        )
        variables = training.recalibrate(
            genome,
            result.variables,
            masks,
            seen,
            classes,
            dataset.normalisation,
            spec.config,
        )
        # Of the network as trained: its program is there already.
        logits = training.predict(
            genome, variables, images, classes, dataset.normalisation
        )
        small = networks.compact(genome, variables, masks, shape)
        rows.append(
            {
                "validation_error": training.error_of(
                    logits, dataset.validation.labels
                ),
                "asked_sparsity": sparsity,
                "threshold": threshold,
                **_measured(spec, dataset, small),
            }
        )
        folder = deployed_folder(spec.run_dir, spec.index, len(rows))
        _store_network(folder, *small)
    return rows


def _measured(spec, dataset, small):
    """The figures of a compacted network, but for its error."""
    figures = measure(
        small.genome,
        small.variables,
        dataset.input_shape,
        dataset.num_classes,
        bytes_per_element=spec.bytes_per_element,
    )
    sparsity = training.kernel_sparsity(small.variables["params"])
    return {**figures, "sparsity": sparsity}


def _store_network(folder, genome, variables, masks):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "genome.json").write_text(genomes.to_json(genome) + "\n")
    networks.save_tree(folder / "weights.npz", variables)
    networks.save_tree(folder / "masks.npz", masks)
