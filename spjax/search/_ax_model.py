"""The model of `ax_method`; apart, because it needs Ax to be defined."""

from typing import Any

from ax.generators.torch.botorch_modular.utils import fit_botorch_model
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from gpytorch.mlls import MarginalLogLikelihood

# Ax goes on along a flat ridge: 450 steps after 80 trials, eight times as long.
_STEPS = 100


class BrieflyFittedGP(SingleTaskGP):
    """The process that Ax takes by itself, fitted in at most so many steps."""


@fit_botorch_model.register(BrieflyFittedGP)
def _fit(
    model: BrieflyFittedGP,
    mll_class: type[MarginalLogLikelihood],
    mll_options: dict[str, Any] | None = None,
) -> None:
    """Finds the most probable hyperparameters; called by Ax for this class."""
    likelihood = mll_class(model.likelihood, model, **(mll_options or {}))
    steps = {"options": {"maxiter": _STEPS}}
    fit_gpytorch_mll(likelihood, optimizer_kwargs=steps)
