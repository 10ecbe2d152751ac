"""One trial, as a worker process runs it: train, prune, measure, store.

A trial's folder, ``RUN_DIR/trials/NNNN``, holds ``genome.json``, ``weights.npz`` and
``masks.npz`` as they were trained (a child inherits from them), ``history.json``, and
in ``deployed`` the network that its figures are of: the same without the channels
that pruning left without effect. ``result.json`` is written last, so that a folder with
it is whole. Nothing here imports Ax or PyTorch: a worker stays small.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from spjax import data, genomes, networks, training
from spjax.search.measure import measure


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
    """

    run_dir: str
    index: int
    genome: str
    config: training.TrainConfig
    init: str | None = None
    bytes_per_element: int = 1


def trial_folder(run_dir: str | os.PathLike, index: int) -> pathlib.Path:
    """Folder of a trial."""
    return pathlib.Path(run_dir) / "trials" / f"{index:04d}"


def deployed_folder(run_dir: str | os.PathLike, index: int) -> pathlib.Path:
    """Folder of a trial's network as it is deployed, and as its figures count it."""
    return trial_folder(run_dir, index) / "deployed"


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
      ``seconds``, ``diverged``. A diverged training has a ``validation_error`` of
      chance level.

    Raises:
      DataError: if the run's arrays are not there.
    """
    dataset = data.open_arrays(data_folder(spec.run_dir))
    genome = genomes.from_json(spec.genome)
    shape, classes = dataset.input_shape, dataset.num_classes
    variables = networks.init_variables(
        genome, genomes.deployed_shape(genome, shape), classes, spec.config.seed
    )
    if spec.init is not None and os.path.exists(spec.init):
        variables = networks.inherit(networks.load_tree(spec.init), variables)

    def on_epoch(epoch: int, entry: dict) -> None:
        if progress is not None:
            progress(
                {
                    "epoch": epoch,
                    "epochs": spec.config.epochs,
                    "validation_error": entry["validation_error"],
                }
            )

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
    small = networks.Compacted(genome, result.variables, result.masks)
    if not result.diverged:
        small = networks.compact(genome, result.variables, result.masks, shape)
    figures = {
        "validation_error": result.validation_error,
        **measure(
            small.genome,
            small.variables,
            shape,
            classes,
            bytes_per_element=spec.bytes_per_element,
        ),
        "sparsity": training.kernel_sparsity(small.variables["params"]),
        "diverged": result.diverged,
        "seconds": result.seconds_total,
    }
    if result.diverged:
        figures["validation_error"] = 1.0 - 1.0 / classes
    folder = trial_folder(spec.run_dir, spec.index)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").unlink(missing_ok=True)
    _store_network(folder, genome, result.variables, result.masks)
    _store_network(folder / "deployed", *small)
    (folder / "history.json").write_text(json.dumps(result.history, indent=1) + "\n")
    partial = folder / ".result.json"
    partial.write_text(json.dumps(figures, indent=1) + "\n")
    os.replace(partial, folder / "result.json")
    return figures


def _store_network(folder, genome, variables, masks):
    folder.mkdir(exist_ok=True)
    (folder / "genome.json").write_text(genomes.to_json(genome) + "\n")
    networks.save_tree(folder / "weights.npz", variables)
    networks.save_tree(folder / "masks.npz", masks)
