"""What becomes of a trained network: pruned further, measured, stored, told.

A trial's folder, ``RUN_DIR/trials/NNNN``, holds ``genome.json``, ``weights.npz`` and
``masks.npz`` as they were trained (a child inherits from them), ``history.json``, and
in ``deployed`` the network that its figures are of: the same without the channels
that pruning left without effect. ``readings/1`` and so on hold the same network at
higher sparsities (see ``readings``), as deployed. ``result.json`` is written last, so
that a folder with it is whole. A trial that was stopped early leaves its genome,
history and result only.
"""

import json
import os
import shutil
import time
from typing import Any

from spjax import data, genomes, networks, training
from spjax.search.early_stop import CURVE, PREDICTED
from spjax.search.measure import measure
from spjax.search.readings import further_sparsities
from spjax.search.static_cost import static_cost
from spjax.search.trial_spec import TrialSpec, deployed_folder, trial_folder

# Training images from which batch norms take their statistics after a reading.
_SEEN_AGAIN = 4096


def finish_trial(
    spec: TrialSpec,
    dataset: data.Dataset,
    result: training.TrainResult,
    start: float,
    predicted: float | None = None,
) -> dict[str, Any]:
    """Measures what a trial's training left, and stores it.

    Args:
      spec: the trial.
      dataset: the run's.
      result: of the training.
      start: when the trial began, as `time.perf_counter` tells it.
      predicted: the final error that was predicted for a training that was stopped
        early; None for one that came to its end.

    Returns:
      The figures, as `run_trial` returns them.
    """
    genome = genomes.from_json(spec.genome)
    shape, classes = dataset.input_shape, dataset.num_classes
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
