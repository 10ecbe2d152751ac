"""What a genome costs before it is trained, from the analyser.

The network is taken as it is deployed, without the channels that pruning removes (see
`expected_deployment`), as a program that needs no tracing (see `skeleton`). Where
pruning of single weights happens to leave a channel without any, the deployed network
is smaller yet.
"""

from collections.abc import Collection

from spjax import analysis, deploy
from spjax.genomes import Genome
from spjax.search.deployment import expected_deployment
from spjax.search.skeleton import skeleton

Shape = tuple[int, int, int]
_FIGURES = (
    "input_output",
    "input_weights",
    "live_bytes",
    "model_size_dense",
    "model_size_nonzero",
    "macs",
)
# Models that take an order or a plan, which costs more than all the others together.
PLANNED = ("best_order", "planned_arena")
ENCODED = "model_size_encoded"


def static_cost(
    genome: Genome,
    input_shape: Shape,
    num_classes: int,
    *,
    bytes_per_element: int = 1,
    planned: Collection[str] = (*PLANNED, ENCODED),
) -> dict[str, int]:
    """Computes the figures that are known before training.

    Args:
      genome: a genome that is valid for the image.
      input_shape: (height, width, channels) of the raw image.
      num_classes: number of logits.
      bytes_per_element: bytes of one activation or weight on the target.
      planned: which of `PLANNED` and `ENCODED` to compute.

    Returns:
      ``input_output``, ``input_weights``, ``live_bytes``, ``model_size_dense`` and
      ``model_size_nonzero``, in bytes, ``macs``, a count, and the ``planned`` ones, in
      bytes, with outputs in place of dying inputs where possible. They rest on the
      sparsity that the genome asks for; ``model_size_encoded`` is an estimate.
    """
    program = skeleton(
        expected_deployment(genome, input_shape), input_shape, num_classes
    )
    return figures_of(program, bytes_per_element, planned)


def figures_of(
    program: analysis.Program,
    bytes_per_element: int = 1,
    planned: Collection[str] = (*PLANNED, ENCODED),
) -> dict[str, int]:
    """The figures of any program; arguments and result as those of `static_cost`."""
    report = analysis.analyze(program, bytes_per_element=bytes_per_element)
    figures = {name: int(getattr(report, name)) for name in _FIGURES}
    for model in PLANNED:
        if model in planned:
            figures[model] = analysis.peak(
                program, model, bytes_per_element=bytes_per_element
            )
    if ENCODED in planned:
        trained = all(w.values is not None for op in program.operations
                      for w in op.weights)  # fmt: skip
        size = deploy.encoded_size if trained else deploy.expected_encoded_size
        figures[ENCODED] = size(program)
    return figures
