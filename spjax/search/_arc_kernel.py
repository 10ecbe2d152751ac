"""The kernel of `surrogates`; apart, because it needs torch to be defined."""

import math

import torch
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import Kernel, MaternKernel, ScaleKernel
from gpytorch.priors import GammaPrior, LogNormalPrior


class _ArcMatern(Kernel):
    """Matern-5/2 whose length scales are shared by the halves of the input."""

    has_lengthscale = True

    def forward(
        self,
        x1: torch.Tensor,
        x2: torch.Tensor,
        diag: bool = False,
        **unused: object,
    ) -> torch.Tensor:
        """The matrix of kernel values; see `Kernel.forward`."""
        scale = torch.cat([self.lengthscale, self.lengthscale], dim=-1)
        squared = self.covar_dist(
            x1.div(scale), x2.div(scale), square_dist=True, diag=diag
        )
        # The root has no derivative at 0.
        r = math.sqrt(5) * squared.clamp_min(1e-15).sqrt()
        return (1 + r + r**2 / 3) * torch.exp(-r)


def arc_matern_kernel(columns: int) -> ScaleKernel:
    """The scaled kernel, with priors, for inputs of ``2 * columns`` numbers."""
    return _scaled(_ArcMatern(**_length_scales(columns)))


def genome_kernel(columns: int, traits: int) -> Kernel:
    """The arc kernel, plus a plain Matern-5/2 on the ``traits`` numbers that follow."""
    arc = arc_matern_kernel(columns)
    if not traits:
        return arc
    arc.active_dims = torch.arange(2 * columns)
    plain = _scaled(MaternKernel(nu=2.5, **_length_scales(traits)))
    plain.active_dims = torch.arange(2 * columns, 2 * columns + traits)
    return arc + plain


def _length_scales(count: int) -> dict[str, object]:
    prior = LogNormalPrior(loc=math.sqrt(2) + math.log(count) / 2, scale=math.sqrt(3))
    constraint = GreaterThan(2.5e-2, transform=None, initial_value=prior.mode)
    return {
        "ard_num_dims": count,
        "lengthscale_prior": prior,
        "lengthscale_constraint": constraint,
    }


def _scaled(kernel: Kernel) -> ScaleKernel:
    return ScaleKernel(kernel, outputscale_prior=GammaPrior(2.0, 0.15)).double()
