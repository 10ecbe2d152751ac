r"""Early stopping of hopeless trials, by a rule for fronts.

**Prediction.** The learning curves of the finished trials tell what the validation
error e_t after t epochs says of the final one. At each of a few epochs ("rungs"), with
y the logarithm of the final error and

    x = (1, log e_t, log(1 - s) if weights are pruned, log(1 - s) if channels are),

s being the sparsity that the genome asks for (masks that are still to tighten raise
the error), y is taken as normal with mean x . beta and variance sigma^2, and

    beta | sigma^2 ~ N(beta_0, sigma^2 I / k),    sigma^2 ~ inverse gamma(a_0, b_0)

with beta_0 = (0, 1, 0, 0): without data, the error stays what it is. After n curves
(rows of X, y) the precision is L = k I + X'X, the mean beta_n = L^-1 (k beta_0 + X'y),
a_n = a_0 + n / 2, b_n = b_0 + (y'y + k |beta_0|^2 - beta_n' L beta_n) / 2, and the
final error of a new trial follows a Student t on the logarithm, of 2 a_n degrees of
freedom, location x . beta_n and squared scale (b_n / a_n) (1 + x' L^-1 x) (Gelman et
al., "Bayesian Data Analysis", 3rd ed., section 14.2 with an informative prior). That
trials which did badly at a rung have no final error does not bias it: they were chosen
by x, on which the regression is conditioned.

**Rule.** Size and working memory are known before training. A finished network that is
no larger in both dominates the trial if its error is lower; so does it every further
reading of the trial (see `readings`), if it is no larger than the smallest of them.
The trial is stopped if even the optimistic end of the prediction, its `LEVEL` quantile,
is above the least error of such networks; where there is none, the trial goes on
whatever its error. Working memory of single-weight pruning may turn out below what was
expected, where a channel happens to lose all its weights: the rule does not see that.

The kinds of pruning with noise train noisy weights first and leave a size that is only
expected: their trials are neither stopped nor learnt from.

Sources of the idea: Domhan, Springenberg and Hutter, "Speeding up automatic
hyperparameter optimization of deep neural networks by extrapolation of learning
curves", IJCAI 2015 (stop if the prediction is unlikely to beat the best so far).
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spjax import genomes
from spjax.genomes import Genome
from spjax.search.drawing import cost_of, fits
from spjax.search.readings import further_sparsities, spread
from spjax.search.settings import ERROR, Settings
from spjax.search.surrogates import from_error, to_error

CURVE = "validation_curve"
PREDICTED = "predicted_error"
RUNGS = (1 / 3, 2 / 3)
LEVEL = 0.1
FEWEST_CURVES = 10
_PRIOR_MEAN = np.array([0.0, 1.0, 0.0, 0.0])
_PRIOR_PRECISION = 1.0
_PRIOR_SHAPE, _PRIOR_RATE = 2.0, 0.25


@dataclasses.dataclass(frozen=True)
class Rung:
    """What the error after some epoch says of one trial's final error.

    With x the logarithm of that error, the logarithm of the final one has the median
    ``line[0] + line[1] x`` and the optimistic bound that less
    ``sqrt(spread[0] + spread[1] x + spread[2] x^2)``.

    Attributes:
      epoch: from 1.
      line: intercept and slope.
      spread: coefficients of the squared distance to the bound.
    """

    epoch: int
    line: tuple[float, float]
    spread: tuple[float, float, float]

    def predict(self, error: float) -> float:
        """The median of the final error, given the error after this epoch."""
        return float(to_error(self._median(float(from_error(error)))))

    def bound(self, error: float) -> float:
        """The optimistic end of the final error."""
        x = float(from_error(error))
        squared = self.spread[0] + self.spread[1] * x + self.spread[2] * x * x
        return float(to_error(self._median(x) - math.sqrt(max(squared, 0.0))))

    def _median(self, x: float) -> float:
        return self.line[0] + self.line[1] * x


@dataclasses.dataclass(frozen=True)
class StopTable:
    """When one trial is to be stopped; picklable, and decided before it starts.

    Attributes:
      to_beat: the error that it has to come below.
      rungs: where its error is looked at, by epoch.
    """

    to_beat: float
    rungs: tuple[Rung, ...]

    def verdict(self, epoch: int, error: float) -> float | None:
        """Whether the trial is hopeless.

        Args:
          epoch: the epoch that has ended, from 1.
          error: the validation error after it.

        Returns:
          The predicted final error if the trial is to be stopped, else None.
        """
        for rung in self.rungs:
            if rung.epoch == epoch and rung.bound(error) > self.to_beat:
                return rung.predict(error)
        return None


def stop_table(
    rows: Sequence[Mapping[str, Any]],
    settings: Settings,
    genome: Genome,
    epochs: int,
) -> StopTable | None:
    """Makes the table for a trial that is about to start.

    Args:
      rows: the trials so far, as `Study.records` gives them.
      settings: the search.
      genome: the trial's.
      epochs: of its training, as of all trials'.

    Returns:
      The table; None if the trial is to run to its end whatever its errors.
    """
    if genome.training.pruning in genomes.NOISY_KINDS:
        return None
    to_beat = error_to_beat(rows, settings, genome)
    if not math.isfinite(to_beat):
        return None
    rungs = []
    for share in RUNGS:
        epoch = round(share * epochs)
        if 0 < epoch < epochs:
            rung = fit_rung(rows, genome, epoch, epochs)
            rungs += [rung] if rung else []
    return StopTable(to_beat, tuple(rungs)) if rungs else None


def error_to_beat(
    rows: Sequence[Mapping[str, Any]], settings: Settings, genome: Genome
) -> float:
    """The least error of what is smaller than a trial and all its readings.

    Args:
      rows: the trials so far.
      settings: the search.
      genome: the trial's.

    Returns:
      The error; ``inf`` if no completed network within the limits is at most as large
      as the trial's smallest reading, in model size and working memory.
    """
    names = settings.objectives[1:]
    training = genome.training
    sparsities = [training.sparsity]
    if training.pruning != "none":
        sparsities += further_sparsities(training.sparsity)
    least = dict.fromkeys(names, math.inf)
    for sparsity in sparsities:
        changed = dataclasses.replace(training, sparsity=sparsity)
        cost = cost_of(dataclasses.replace(genome, training=changed), settings)
        least = {name: min(least[name], cost[name]) for name in names}
    errors = [
        row[ERROR]
        for row in spread(rows)
        if row["status"] == "completed"
        and all(row[name] <= least[name] for name in names)
        and fits(row, settings.limit_of)
    ]
    return min(errors, default=math.inf)


def fit_rung(
    rows: Sequence[Mapping[str, Any]], genome: Genome, epoch: int, epochs: int
) -> Rung | None:
    """Learns from the finished curves what the error after an epoch says.

    Args:
      rows: the trials so far.
      genome: that of the trial whose final error is to be predicted.
      epoch: the rung, from 1.
      epochs: of a whole training.

    Returns:
      The rung; None with fewer than `FEWEST_CURVES` curves.
    """
    inputs, finals = [], []
    for row in rows:
        curve = row.get(CURVE) or ()
        genes = row["genome"]["training"] if row.get("genome") else {}
        known = row["status"] == "completed" and len(curve) == epochs
        if known and genes.get("pruning") not in genomes.NOISY_KINDS:
            log_error = float(from_error(curve[epoch - 1]))
            inputs.append(_inputs(log_error, genes["pruning"], genes["sparsity"]))
            finals.append(float(from_error(row[ERROR])))
    if len(inputs) < FEWEST_CURVES:
        return None
    mean, inverse, freedom, squared = posterior(np.array(inputs), np.array(finals))
    # Only log e_t is open: the rest of x is the genome's.
    fixed = _inputs(0.0, genome.training.pruning, genome.training.sparsity)
    moving = np.array([0.0, 1.0, 0.0, 0.0])
    factor = _quantile(freedom) ** 2 * squared
    return Rung(
        epoch,
        (float(fixed @ mean), float(moving @ mean)),
        (
            float(factor * (1 + fixed @ inverse @ fixed)),
            float(factor * 2 * fixed @ inverse @ moving),
            float(factor * (moving @ inverse @ moving)),
        ),
    )


def posterior(
    inputs: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """The linear model after some data; see the module's text.

    Args:
      inputs: [n, 4].
      values: [n].

    Returns:
      beta_n [4], L^-1 [4, 4], the degrees of freedom and b_n / a_n.
    """
    precision = _PRIOR_PRECISION * np.eye(len(_PRIOR_MEAN)) + inputs.T @ inputs
    inverse = np.linalg.inv(precision)
    mean = inverse @ (_PRIOR_PRECISION * _PRIOR_MEAN + inputs.T @ values)
    shape = _PRIOR_SHAPE + len(values) / 2
    residual = values - inputs @ mean
    away = mean - _PRIOR_MEAN
    # The same as the module's b_n, without its cancellation.
    rate = _PRIOR_RATE + (residual @ residual + _PRIOR_PRECISION * away @ away) / 2
    return mean, inverse, 2 * shape, float(rate / shape)


def _inputs(log_error: float, pruning: str, sparsity: float) -> np.ndarray:
    kept = math.log1p(-sparsity)
    return np.array(
        [
            1.0,
            log_error,
            kept if pruning == "weight" else 0.0,
            kept if pruning == "channel" else 0.0,
        ]
    )


def _quantile(freedom: float) -> float:
    """How far below the median the optimistic bound is, in scales."""
    from scipy.special import stdtrit

    return -float(stdtrit(freedom, LEVEL))
