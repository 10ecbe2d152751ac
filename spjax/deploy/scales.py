r"""Calibration: which real numbers the int8 numbers of each storage stand for.

Poolings and concatenations copy numbers, so their inputs and outputs form one *group*
with one scale. A group's range [low, high] holds 0 and what was observed on the
calibration images; with a of 255 steps,

    scale = (high - low) / 255,    zero_point = round(-128 - low / scale)

so that 0 is exact and a relu's range starts at -128. The ends of the range are those
observed (``minmax``) or, with ``mse``, the observed ones shrunk by that factor out of
`SHRINKING` which has the smallest mean squared error of rounding and saturation over
a sample. The input is never shrunk: pixels of 0 .. 255 that were normalised by one mean
and deviation get their old steps back, as ``pixel - 128``.

The outputs are the scores of classes, and only the largest matters. Their range starts
at what 99 % of the images exceed with their second largest score (or at 0, if that is
lower): lower scores saturate, and ties between the largest become rarer.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from spjax import analysis
from spjax.deploy.floating import run_float
from spjax.deploy.quantised import QuantisationError, TensorScale
from spjax.deploy.supported import family

CLIPPINGS = ("mse", "minmax")
SHRINKING = tuple(1 - 0.025 * n for n in range(25))
_SAMPLE = 40_000


@dataclasses.dataclass(frozen=True)
class Observed:
    """What calibration saw in a storage.

    Attributes:
      low: smallest value, 0 if that is smaller.
      high: largest value, 0 if that is larger.
      sample: float32 [n], some of the values.
      runners_up: float32 [n], each image's second largest value, of an output with
        several; else None.
    """

    low: float
    high: float
    sample: np.ndarray
    runners_up: np.ndarray | None = None


def groups(program: analysis.Program) -> dict[str, str]:
    """Storage -> a storage that stands for its group of equal scales."""
    leader = {name: name for name in program.storages}

    def find(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for operation in program.operations:
        if family(program, operation) in ("pool", "copy"):
            for name in program.reads(operation):
                leader[find(name)] = find(operation.output)
    return {name: find(name) for name in program.storages}


def observe(
    program: analysis.Program, images: np.ndarray, seed: int = 0
) -> dict[str, Observed]:
    """Runs the float program and looks at every storage.

    Args:
      program: a program of supported operations whose weights have values.
      images: float32 [N, ..], as the network takes them (normalised).
      seed: of the sample.

    Returns:
      storage name -> what was seen.

    Raises:
      QuantisationError: if there are no images, or images or activations are not
        finite.
    """
    images = np.asarray(images)
    if not len(images):
        raise QuantisationError("the calibration set is empty; give some images.")
    bad = ~np.isfinite(images.reshape(len(images), -1)).all(1)
    if bad.any():
        raise QuantisationError(
            f"calibration image {int(np.argmax(bad))} holds NaN or infinity "
            f"({int(bad.sum())} of {len(images)} images do); mend or drop them."
        )
    rng = np.random.default_rng(seed)
    lows, highs, samples, runners_up = {}, {}, {}, []
    output = program.storage(program.outputs[0])
    for part in run_float(program, images):
        for name, values in part.items():
            low, high = float(values.min()), float(values.max())
            if not np.isfinite((low, high)).all():
                raise QuantisationError(
                    f"the activations '{name}' are not finite on the calibration "
                    "images; the network's weights are unusable."
                )
            lows[name] = min(low, lows.get(name, 0.0))
            highs[name] = max(high, highs.get(name, 0.0))
            size = min(values.size, 1 + _SAMPLE * len(values) // len(images))
            chosen = rng.integers(values.size, size=size)
            samples.setdefault(name, []).append(values.reshape(-1)[chosen])
        scores = part[output].reshape(len(part[output]), -1)
        if scores.shape[1] > 1:
            runners_up.append(np.partition(scores, -2, axis=1)[:, -2])
    seen = {
        name: Observed(lows[name], highs[name], np.concatenate(samples[name]))
        for name in lows
    }
    if runners_up:
        joined = np.concatenate(runners_up)
        seen[output] = dataclasses.replace(seen[output], runners_up=joined)
    return seen


def activation_scales(
    program: analysis.Program,
    observed: Mapping[str, Observed],
    clipping: str = "mse",
    input_range: tuple[float, float] | None = None,
) -> dict[str, TensorScale]:
    """Chooses a scale for every storage.

    Args:
      program: the program.
      observed: of `observe`.
      clipping: one of `CLIPPINGS`.
      input_range: smallest and largest value that an input can have; None for those
        observed.

    Returns:
      storage name -> scale.

    Raises:
      QuantisationError: if clipping is unknown.
    """
    if clipping not in CLIPPINGS:
        raise QuantisationError(
            f"clipping is '{clipping}'; use one of {', '.join(CLIPPINGS)}."
        )
    leader = groups(program)
    ends = {program.storage(name) for name in (*program.inputs, *program.outputs)}
    scales = {}
    for group in dict.fromkeys(leader.values()):
        members = [name for name in program.storages if leader[name] == group]
        low = min(observed[name].low for name in members)
        high = max(observed[name].high for name in members)
        if input_range is not None and program.inputs[0] in members:
            low, high = min(low, input_range[0]), max(high, input_range[1])
        seconds = observed[members[0]].runners_up
        if len(members) == 1 and seconds is not None:
            low = max(low, min(0.0, float(np.quantile(seconds, 0.01))))
        if clipping == "mse" and not ends & set(members):
            sample = np.concatenate([observed[name].sample for name in members])
            low, high = _smallest_error(low, high, sample)
        scales |= dict.fromkeys(members, _scale(low, high))
    return scales


def _scale(low: float, high: float) -> TensorScale:
    scale = float(np.float32((high - low) / 255)) or 1.0
    return TensorScale(scale, int(np.clip(np.rint(-128 - low / scale), -128, 127)))


def _smallest_error(low: float, high: float, sample: np.ndarray) -> tuple:
    def error(factor: float) -> float:
        made = _scale(low * factor, high * factor)
        return float(np.square(made.to_float(made.to_int8(sample)) - sample).mean())

    best = min(SHRINKING, key=error)
    return low * best, high * best
