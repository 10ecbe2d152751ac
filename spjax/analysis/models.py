"""The memory models by name, as one number: what a search puts in its objective."""

from collections.abc import Mapping

from spjax.analysis import memory
from spjax.analysis.errors import AnalysisError
from spjax.analysis.order import best_order
from spjax.analysis.plan import plan
from spjax.analysis.program import Program
from spjax.analysis.schedule import whole

MEMORY_MODELS = (
    "input_output",
    "input_weights",
    "live_bytes",
    "best_order",
    "planned_arena",
)


def peak(
    program: Program,
    model: str,
    *,
    in_place: bool = True,
    bytes_per_element: int | None = 1,
    count_input: bool = True,
    alignment: int = 1,
    sparsity: Mapping[str, float] | None = None,
) -> int:
    """Peak working memory of a program under one model, in bytes.

    Args:
      program: the program.
      model: ``input_output`` and ``input_weights``, the paper's two (see
        `spjax.analysis.memory`); ``live_bytes``, bytes alive in program order;
        ``best_order``, the same in the best order; ``planned_arena``, a concrete
        plan with offsets.
      in_place: whether outputs may take the place of dying inputs where the kind of
        operation allows it (``sharing="in_place"``). No effect on ``input_weights``.
      bytes_per_element: bytes of one element; None for those of the traced types.
      count_input: whether the program's input takes up working memory.
      alignment: bytes; for ``best_order`` and ``planned_arena``.
      sparsity: share of zeros by weight, as in `spjax.analysis.analyze`; for
        ``input_weights``.

    Returns:
      The bytes.

    Raises:
      AnalysisError: if the model is unknown or an option is out of range.
    """
    if model not in MEMORY_MODELS:
        raise AnalysisError(
            f"memory model '{model}' is unknown; use one of {', '.join(MEMORY_MODELS)}."
        )
    schedule = whole(
        program,
        sharing="in_place" if in_place else "none",
        bytes_per_element=bytes_per_element,
        count_input=count_input,
    )
    if model == "planned_arena":
        return plan(schedule, alignment=alignment).planned_arena
    if model == "best_order":
        return best_order(schedule, alignment).peak
    if model == "live_bytes":
        return max(memory.live_bytes(schedule).values(), default=0)
    if model == "input_output":
        return max(memory.input_output(schedule).values(), default=0)
    weights = {
        op.name: memory.weight_bytes(op.weights, bytes_per_element, sparsity)[0]
        for op in program.operations
    }
    return max(memory.input_weights(schedule, weights).values(), default=0)
