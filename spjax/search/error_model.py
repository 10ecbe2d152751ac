"""What the trials so far say of the error of networks that were not trained.

One Gaussian process on genes and traits (see `surrogates`, `traits`). A failed trial
counts as one that guesses, one that was stopped early by the error that was predicted
for it, and one under way, where that is asked for, as if it had ended with the error
that the others lead to expect ("kriging believer": Ginsbourger, Le Riche and Carraro,
2010): the model is then surer near it, and the next proposal goes elsewhere.

Beside the process there is a trend, linear in the traits of size: beyond what was tried
a process returns to the mean, and would promise average errors of ever smaller
networks, which a search for small ones then trains in vain. Its weights are those of a
ridge regression.

Hyperparameters are the slow part. They are those of the first trials, up to a round
number of them, and so change once in ten trials or more: still a function of the
trials alone, but mostly known from the proposal before.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from spjax import genomes
from spjax.genomes import Genome
from spjax.search import surrogates
from spjax.search.drawing import cost_of
from spjax.search.early_stop import PREDICTED
from spjax.search.observation import Observation
from spjax.search.settings import ERROR, Settings
from spjax.search.traits import TRAITS, traits

FEWEST = 3
# The costs, and the values of the narrow places.
_IN_TREND = TRAITS.index("fewest_channels") + 1
_RIDGE = 3.0
# Up to so many trials, hyperparameters are fitted once in so many.
_STEPS = ((12, 1), (50, 5), (100, 10), (math.inf, 20))


@dataclasses.dataclass(frozen=True)
class ErrorModel:
    """A fitted model.

    Attributes:
      process: of what the trend leaves of the logarithm of the error.
      trend: its constant, and one weight for each of the first traits.
      believed: [r] the errors that trials under way are taken to have.
    """

    process: Any
    trend: np.ndarray
    believed: np.ndarray

    def predict(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation, [m] each, of the logarithms of errors.

        Args:
          inputs: [m, ..] from `inputs_of`.
        """
        mean, covariance = surrogates.predict(self.process, inputs)
        # No network errs more often than always.
        mean = np.minimum(mean + _along(self.trend, inputs), 0.0)
        return mean, np.sqrt(np.maximum(np.diag(covariance), 1e-10))


def fit(settings: Settings, observations: Sequence[Observation]) -> ErrorModel | None:
    """Fits the model.

    Args:
      settings: the search.
      observations: all trials so far, those under way included.

    Returns:
      The model, or None: of fewer than `FEWEST` ended trials nothing is learnt.
    """
    learnt = [(o, e) for o in observations if (e := error_of(settings, o)) is not None]
    if len(learnt) < FEWEST:
        return None
    inputs = np.stack([seen_inputs(o.genome, settings) for o, _ in learnt])
    values = surrogates.from_error(np.array([error for _, error in learnt]))
    first = _first(len(values))
    trend = _trend(inputs[:first], values[:first])
    values = values - _along(trend, inputs)
    process = conditioned(inputs, values, len(TRAITS))
    running = [o.genome for o in observations if o.status == "running"]
    if not running:
        return ErrorModel(process, trend, np.zeros(0))
    new = np.stack([seen_inputs(genome, settings) for genome in running])
    process, believed = believing(process, inputs, values, new)
    believed = surrogates.to_error(believed + _along(trend, new))
    return ErrorModel(process, trend, believed)


def _trend(inputs: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Constant and weights of the ridge regression on the first traits."""
    seen = inputs[:, -len(TRAITS) :][:, :_IN_TREND]
    centre, level = seen.mean(axis=0), values.mean()
    gram = (seen - centre).T @ (seen - centre) + _RIDGE * np.eye(_IN_TREND)
    weights = np.linalg.solve(gram, (seen - centre).T @ (values - level))
    return np.append(level - centre @ weights, weights)


def _along(trend: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    return trend[0] + inputs[:, -len(TRAITS) :][:, :_IN_TREND] @ trend[1:]


def _first(count: int) -> int:
    """Of how many trials the hyperparameters are."""
    return count - count % next(step for most, step in _STEPS if count < most)


def conditioned(inputs: np.ndarray, values: np.ndarray, count: int) -> Any:
    """A process on all observations, its hyperparameters on the first ones.

    Args:
      inputs: [n, 2 d + count].
      values: [n].
      count: number of traits.
    """
    n = len(values)
    first = _first(n)
    model = _fitted(
        np.ascontiguousarray(inputs[:first]).tobytes(), values[:first].tobytes(), count
    )
    return model if first == n else surrogates.refit(model, inputs, values)


def believing(
    process: Any, inputs: np.ndarray, values: np.ndarray, running: np.ndarray
) -> tuple[Any, np.ndarray]:
    """The process, if what is under way had the values that it expects there.

    Args:
      process: from `conditioned`.
      inputs: [n, ..] its observations.
      values: [n].
      running: [r, ..] inputs of the trials under way.

    Returns:
      The process on all n + r, and the [r] values believed.
    """
    believed, _ = surrogates.predict(process, running)
    inputs = np.vstack([inputs, running])
    return surrogates.refit(process, inputs, np.append(values, believed)), believed


def error_of(settings: Settings, trial: Observation) -> float | None:
    """What a trial says of its genome's error; None if nothing yet."""
    if trial.status == "completed":
        return trial.figures[ERROR]
    if trial.status == "stopped":
        return trial.figures.get(PREDICTED)
    return settings.chance_error if trial.status == "failed" else None


@functools.lru_cache(maxsize=8)
def _fitted(inputs: bytes, values: bytes, count: int) -> Any:
    y = np.frombuffer(values).copy()
    x = np.frombuffer(inputs).copy().reshape(len(y), -1)
    return surrogates.fit(x, y, traits=count)


def inputs_of(genome: Genome, cost: dict[str, int], settings: Settings) -> np.ndarray:
    """What the model sees of a genome with these figures: genes, then traits."""
    arc = genomes.embedding(genome, settings.bounds)
    return np.concatenate([arc, traits(genome, cost, settings.input_shape)])


@functools.lru_cache(maxsize=4096)
def seen_inputs(genome: Genome, settings: Settings) -> np.ndarray:
    """The same for a genome that was tried: it is asked for at every proposal."""
    return inputs_of(genome, cost_of(genome, settings), settings)
