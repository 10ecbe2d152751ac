"""How far quantisation goes to stay within a tolerance; flags and what they do."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from absl import flags

from experiments import _augment, _firmware
from spjax import analysis, data, deploy, genomes, networks

TOLERANCE = flags.DEFINE_float(
    "tolerance",
    100 * deploy.TOLERANCE,
    "Percentage points of validation error that integers may lose against floats.",
    0.0,
    100.0,
)
REMEDY = flags.DEFINE_enum(
    "remedy",
    "finetune",
    list(deploy.REMEDIES),
    "How far to go if they are not shown to stay within --tolerance: not at all, to "
    "other calibrations, or to short quantisation-aware trainings.",
)
_BATCH_SIZE = 128


def quantised(
    program: analysis.Program,
    genome: genomes.Genome,
    dataset: data.Dataset,
    *,
    tolerance: float,
    remedy: str,
    precisions: str | Mapping[str, str] = "int8",
    clipping: str = "mse",
    calibration: int = _firmware.CALIBRATION_IMAGES,
    seed: int = 0,
) -> tuple[deploy.Attempt, tuple[deploy.Attempt, ...]]:
    """Quantises a network on its data set, saying what is tried beyond the plain way.

    Args:
      program: the float network.
      genome: its genome.
      dataset: training images calibrate and train, validation images judge.
      tolerance: in percentage points.
      remedy: one of ``deploy.REMEDIES``.
      precisions: as for ``deploy.quantise``.
      clipping: likewise.
      calibration: number of training images to calibrate on.
      seed: of the training batches.

    Returns:
      As ``deploy.quantise_within``.
    """
    train, held_out = dataset.train, dataset.validation
    size = min(_BATCH_SIZE, len(train.images))

    def prepared(images: np.ndarray) -> np.ndarray:
        return _firmware.network_input(images, genome, dataset.normalisation)

    def batches() -> Iterator[tuple]:
        print(f"  fine-tuning on {len(train.images):,} images ...", flush=True)
        small = networks.downsample(train.images, genome.downsample)
        for images, labels in _augment.batches(seed, small, train.labels, size):
            yield dataset.normalisation(images), labels

    said: list[deploy.Attempt] = []

    def say(attempt: deploy.Attempt) -> None:
        said.append(attempt)
        if remedy != "none" and (len(said) > 1 or not _enough(attempt, tolerance)):
            if len(said) == 1:
                print(f"Not shown to stay within {tolerance:g} points of the floats:")
            print(f"  {text(attempt)}", flush=True)

    best, attempts = deploy.quantise_within(
        program,
        prepared(train.images[:calibration]),
        (prepared(held_out.images), held_out.labels),
        tolerance=tolerance / 100,
        remedy=remedy,
        batches=batches,
        epoch_steps=len(train.images) // size,
        precisions=precisions,
        clipping=clipping,
        input_range=_firmware.input_range(dataset.normalisation),
        on_attempt=say,
    )
    if len(attempts) > 1:
        shown = "" if _enough(best, tolerance) else ", still not shown to be within"
        print(f"Taken: {best.name}{shown}.")
    return best, attempts


def _enough(attempt: deploy.Attempt, tolerance: float) -> bool:
    return attempt.loss.shown_within(tolerance / 100)


def text(attempt: deploy.Attempt) -> str:
    """Says what an attempt lost."""
    loss = attempt.loss
    return (
        f"{attempt.name}: validation error {loss.error:.2%}, a loss of "
        f"{100 * loss.share:+.2f} +- {100 * loss.standard_error:.2f} points"
    )


def as_json(
    best: deploy.Attempt, attempts: tuple[deploy.Attempt, ...], tolerance: float
) -> dict[str, Any]:
    """The attempts, for a result's JSON."""
    return {
        "tolerance_points": tolerance,
        "taken": best.name,
        "shown_within": _enough(best, tolerance),
        "attempts": [
            {
                "name": attempt.name,
                "validation_error": attempt.loss.error,
                "validation_loss_points": 100 * attempt.loss.share,
                "standard_error_points": 100 * attempt.loss.standard_error,
            }
            for attempt in attempts
        ],
    }
