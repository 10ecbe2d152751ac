"""The trained network as a plain function, for analysis and deployment."""

from collections.abc import Callable

import jax

from spjax.genomes.genome import Genome
from spjax.networks.module import build


def inference_function(
    genome: Genome, num_classes: int
) -> Callable[[dict, jax.Array], jax.Array]:
    """Returns ``fn(variables, x) -> logits`` that traces to standard primitives.

    ``x`` is float32 [N, H, W, C] after downsampling and normalisation; batch norm uses
    the running statistics. The trace holds ``conv_general_dilated``,
    ``reduce_window_max``, ``reduce_window_sum``, ``dot_general`` and elementwise
    primitives.
    """
    module = build(genome, num_classes, lowering="inference")

    def apply(variables: dict, x: jax.Array) -> jax.Array:
        return module.apply(variables, x, train=False)

    return apply
