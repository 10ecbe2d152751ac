"""Gaussian processes over genomes, and Thompson samples of them.

A genome enters by its arc embedding (see `spjax.genomes.embedding`): feature column d
is the point w (sin, cos)(pi x_d / 2) of the plane if its gene is there, and the origin
if not, so that a gene without effect carries no information (Swersky et al., "Raiders
of the Lost Architecture", 2014). The kernel is a Matern-5/2 of

    r^2 = sum_d |e_d - e'_d|^2 / l_d^2,

one length scale per column, shared by its two coordinates. To it a plain Matern-5/2
may be added, on the traits of the network as a whole (see `traits`). The length scales'
prior grows with the root of the number of columns (Hvarfner, Hellsten and Nardi,
"Vanilla Bayesian Optimization Performs Great in High Dimensions", ICML 2024), and all
hyperparameters take their most probable value.

Torch is loaded on first use: worker processes never need it.
"""

import copy
import warnings
from typing import Any

import numpy as np

_ERROR_FLOOR = 1e-3
_JITTER = 1e-6


def fit(
    inputs: np.ndarray,
    values: np.ndarray,
    *,
    traits: int = 0,
    max_iterations: int = 30,
) -> Any:
    """Fits a Gaussian process.

    Args:
      inputs: [n, 2 d + traits] arc embeddings (all sines, then all cosines), followed
        by the traits.
      values: [n] what was observed there.
      traits: number of trailing columns that have a kernel of their own.
      max_iterations: most steps of the hyperparameters' L-BFGS.

    Returns:
      A BoTorch model that standardises the values and learns their noise.
    """
    import torch
    from botorch.models import SingleTaskGP
    from botorch.models.transforms import Standardize
    from botorch.optim.fit import fit_gpytorch_mll_scipy
    from gpytorch.mlls import ExactMarginalLogLikelihood

    from spjax.search._arc_kernel import genome_kernel

    # A second thread doubles the CPU time, and stalls where another process computes.
    torch.set_num_threads(1)
    x = torch.as_tensor(np.asarray(inputs, np.float64))
    y = torch.as_tensor(np.asarray(values, np.float64))[:, None]
    with warnings.catch_warnings():
        # Stopping early is intended, and the embedding's scale is the kernel's affair.
        warnings.simplefilter("ignore")
        model = SingleTaskGP(
            x,
            y,
            covar_module=genome_kernel((x.shape[1] - traits) // 2, traits),
            outcome_transform=Standardize(m=1),
        )
        likelihood = ExactMarginalLogLikelihood(model.likelihood, model)
        likelihood.train()
        fit_gpytorch_mll_scipy(likelihood, options={"maxiter": max_iterations})
        likelihood.eval()
    return model


def refit(model: Any, inputs: np.ndarray, values: np.ndarray) -> Any:
    """The same process, with the same hyperparameters, given other observations.

    Args:
      model: from `fit`; not changed.
      inputs: [n, 2 d + traits], in place of those that the model was fitted to.
      values: [n].

    Returns:
      A model as `fit` gives it; it takes a few milliseconds.
    """
    import torch
    from botorch.models import SingleTaskGP

    parts = copy.deepcopy((model.covar_module, model.likelihood, model.mean_module))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Standardised as the first values were: the hyperparameters belong to that.
        scale = copy.deepcopy(model.outcome_transform).eval()
        other = SingleTaskGP(
            torch.as_tensor(np.asarray(inputs, np.float64)),
            torch.as_tensor(np.asarray(values, np.float64))[:, None],
            likelihood=parts[1],
            covar_module=parts[0],
            mean_module=parts[2],
            outcome_transform=scale,
        )
    return other.eval()


def predict(model: Any, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The posterior of the noise-free function.

    Args:
      model: from `fit`.
      inputs: [m, 2 d + traits].

    Returns:
      Mean [m] and covariance [m, m].
    """
    import torch

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        posterior = model.posterior(torch.as_tensor(np.asarray(inputs, np.float64)))
        mean = posterior.mean[:, 0].numpy()
        return mean, posterior.distribution.covariance_matrix.numpy()


def thompson(
    model: Any, inputs: np.ndarray, rng: np.random.Generator, count: int = 1
) -> np.ndarray:
    """Draws functions from the posterior, at all inputs jointly.

    Args:
      model: from `fit`.
      inputs: [m, 2 d + traits].
      rng: source of randomness; the samples depend on nothing else.
      count: number of samples.

    Returns:
      [count, m].
    """
    import torch

    mean, covariance = predict(model, inputs)
    scale = max(float(np.mean(np.diag(covariance))), 1e-12)
    jitter = _JITTER
    while True:
        # Torch's factorisation keeps to one thread, NumPy's does not.
        shifted = covariance + jitter * scale * np.eye(len(covariance))
        factor, failed = torch.linalg.cholesky_ex(torch.as_tensor(shifted))
        if not failed:
            break
        # Nearly equal candidates: the covariance is singular up to rounding.
        jitter *= 10
    noise = torch.as_tensor(rng.standard_normal((count, len(mean))))
    return mean + (noise @ factor.T).numpy()


def from_error(error: np.ndarray) -> np.ndarray:
    """The scale on which errors are modelled: their logarithm.

    From 20 % to 10 % is as large a step as from 2 % to 1 %. Errors below 0.1 % are
    taken as 0.1 %.
    """
    return np.log(np.maximum(np.asarray(error, np.float64), _ERROR_FLOOR))


def to_error(value: np.ndarray) -> np.ndarray:
    """The inverse of `from_error`, at most 1."""
    return np.exp(np.minimum(value, 0.0))
