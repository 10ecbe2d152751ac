r"""Integers that lose no more than a tolerance against the float network.

Both answer the same n validation images. With b images that only the floats get right
and c that only the integers do, the *loss* is (b - c) / n, and its standard error, the
answers being paired, sqrt(b + c - (b - c)^2 / n) / n. A loss is *shown to be within*
the tolerance if loss + 2 standard errors is: other images of the same kind, as many or
more, are then unlikely to say otherwise. Where it is not, remedies are tried in this
order, until one is shown to be:

1. the plain quantisation, with its biases corrected (`spjax.deploy.bias`);
2. the other ranges of activations, without and with that;
3. ``finetune``: short quantisation-aware trainings (`spjax.deploy.finetune`) from the
   scales of the best so far, without and with that.

Taken is one that is shown to be within, else the one with the lowest validation error;
of equals the one that differs least from the floats. Fine-tuning is also more training:
a network that can still learn may end better than its floats.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from spjax import analysis
from spjax.deploy.bias import correct_biases
from spjax.deploy.finetune import FinetuningDiverged, finetune
from spjax.deploy.floating import predict_float
from spjax.deploy.integer import predict
from spjax.deploy.quantise import quantise
from spjax.deploy.quantised import QuantisationError, QuantisedProgram
from spjax.deploy.scales import CLIPPINGS

REMEDIES = ("none", "calibration", "finetune")
TOLERANCE = 0.003
# Epochs and learning rate of the trainings that are tried one after the other.
SCHEDULES = ((2, 1e-3), (4, 1e-4))
_LEAST_STEPS = 500
_PART = 500  # images that are run at once


@dataclasses.dataclass(frozen=True)
class Loss:
    """What integers lose against floats on the same images.

    Attributes:
      images: number of images.
      float_errors: images that the floats get wrong.
      lost: images that only the floats get right.
      gained: images that only the integers get right.
    """

    images: int
    float_errors: int
    lost: int
    gained: int

    @property
    def share(self) -> float:
        """Error rate of the integers minus that of the floats."""
        return (self.lost - self.gained) / self.images

    @property
    def standard_error(self) -> float:
        """Of the share."""
        net, both = self.lost - self.gained, self.lost + self.gained
        return math.sqrt(both - net**2 / self.images) / self.images

    @property
    def error(self) -> float:
        """Error rate of the integers."""
        return self.float_errors / self.images + self.share

    def shown_within(self, tolerance: float) -> bool:
        """Whether the share and two standard errors are within a tolerance."""
        # Shares are whole images: a tolerance of 15 in 5,000 admits 15.
        return self.share + 2 * self.standard_error <= tolerance + 1e-9


@dataclasses.dataclass(frozen=True, eq=False)
class Attempt:
    """One way to quantise a network.

    Attributes:
      name: for people.
      quantised: the network.
      loss: on the validation images.
    """

    name: str
    quantised: QuantisedProgram
    loss: Loss


def measure_loss(
    program: analysis.Program,
    quantised: QuantisedProgram,
    images: np.ndarray,
    labels: np.ndarray,
) -> Loss:
    """Compares integers with floats.

    Args:
      program: the float network.
      quantised: the integers.
      images: float32 [N, ..], as the network takes them.
      labels: int [N].
    """
    return _compared(_wrong_floats(program, images, labels), quantised, images, labels)


def quantise_within(
    program: analysis.Program,
    images: np.ndarray,
    validation: tuple[np.ndarray, np.ndarray],
    *,
    tolerance: float = TOLERANCE,
    remedy: str = "finetune",
    batches: Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]] | None = None,
    epoch_steps: int = 1,
    precisions: str | Mapping[str, str] = "int8",
    clipping: str = "mse",
    input_range: tuple[float, float] | None = None,
    seed: int = 0,
    on_attempt: Callable[[Attempt], None] | None = None,
) -> tuple[Attempt, tuple[Attempt, ...]]:
    """Quantises a network, with remedies if it loses too much.

    Args:
      program: traced with weights that have values.
      images: float32 [N, ..], calibration images from the training split.
      validation: float32 [N, ..] and int [N]: images and labels that attempts are
        judged on, as the network takes them.
      tolerance: the loss to stay within, as a share.
      remedy: one of `REMEDIES`: how far to go.
      batches: gives training batches as `finetune` takes them, endlessly; needed for
        ``finetune``.
      epoch_steps: batches in an epoch.
      precisions: as in `quantise`.
      clipping: as in `quantise`; of the plain quantisation.
      input_range: as in `quantise`.
      seed: as in `quantise`.
      on_attempt: called after each attempt.

    Returns:
      The attempt that was taken, and all attempts in their order.

    Raises:
      QuantisationError: as in `quantise` and `finetune`, or if remedy is unknown or
        has no batches.
    """
    if remedy not in REMEDIES:
        raise QuantisationError(
            f"remedy is '{remedy}'; use one of {', '.join(REMEDIES)}."
        )
    if remedy == "finetune" and batches is None:
        raise QuantisationError("the remedy finetune needs batches; give some.")
    held_out, labels = validation
    wrong = _wrong_floats(program, held_out, labels)
    attempts: list[Attempt] = []

    def calibrated() -> Iterator[tuple[str, QuantisedProgram]]:
        for name in (clipping, *(c for c in CLIPPINGS if c != clipping)):
            yield (
                name,
                quantise(
                    program,
                    images,
                    precisions=precisions,
                    clipping=name,
                    input_range=input_range,
                    seed=seed,
                ),
            )

    def trained() -> Iterator[tuple[str, QuantisedProgram]]:
        scales = _best(attempts, tolerance).quantised.scales
        for epochs, rate in SCHEDULES:
            try:
                made = finetune(
                    program,
                    scales,
                    batches(),
                    steps=max(_LEAST_STEPS, epochs * epoch_steps),
                    precisions=precisions,
                    learning_rate=rate,
                )
            except FinetuningDiverged:
                continue
            yield f"fine-tuned at {rate:g}", made.quantised

    stages = {"calibration": calibrated, "finetune": trained}
    for stage in REMEDIES[1:]:
        for name, quantised in stages[stage]():
            for corrected in (False, True):
                if corrected:
                    name += ", biases corrected"
                    quantised = correct_biases(quantised, images)
                loss = _compared(wrong, quantised, held_out, labels)
                attempts.append(Attempt(name, quantised, loss))
                if on_attempt is not None:
                    on_attempt(attempts[-1])
                if loss.shown_within(tolerance) or remedy == "none":
                    return _best(attempts, tolerance), tuple(attempts)
        if remedy == stage:
            break
    return _best(attempts, tolerance), tuple(attempts)


def _best(attempts: list[Attempt], tolerance: float) -> Attempt:
    def rank(attempt: Attempt) -> tuple:
        loss = attempt.loss
        return not loss.shown_within(tolerance), loss.error, loss.standard_error

    return min(attempts, key=rank)


def _wrong_floats(
    program: analysis.Program, images: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    answers = [predict_float(program, part).argmax(1) for part in _parts(images)]
    return np.concatenate(answers) != labels


def _compared(
    wrong: np.ndarray,
    quantised: QuantisedProgram,
    images: np.ndarray,
    labels: np.ndarray,
) -> Loss:
    scale = quantised.scale(quantised.program.inputs[0])
    answers = [
        predict(quantised, scale.to_int8(part)).argmax(1) for part in _parts(images)
    ]
    also = np.concatenate(answers) != labels
    return Loss(
        images=len(labels),
        float_errors=int(wrong.sum()),
        lost=int((also & ~wrong).sum()),
        gained=int((wrong & ~also).sum()),
    )


def _parts(images: np.ndarray) -> Iterator[np.ndarray]:
    return (images[start : start + _PART] for start in range(0, len(images), _PART))
