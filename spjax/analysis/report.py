"""Everything the memory models say about a program, per layer and in total."""

import dataclasses
from collections.abc import Mapping

from spjax.analysis import memory
from spjax.analysis.errors import AnalysisError
from spjax.analysis.program import Program
from spjax.analysis.schedule import whole


@dataclasses.dataclass(frozen=True)
class Layer:
    """One operation's figures; bytes under the model that each is named for.

    Attributes:
      name: name of the operation.
      kind: its kind; for an elementwise operation its function, e.g. ``add``.
      output_shape: shape of what it writes.
      input_output: bytes of its inputs and output.
      input_weights: bytes of its inputs and nonzero weights.
      live_bytes: bytes alive while it runs, in program order.
      model_size_nonzero: bytes of its nonzero weights, indices not counted.
      model_size_dense: bytes of all its weights.
      macs: multiply-accumulates, zeros and padding included.
      epilogue: what is fused into it, e.g. ``bias relu``.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    input_output: int
    input_weights: int
    live_bytes: int
    model_size_nonzero: int
    model_size_dense: int
    macs: int
    epilogue: str


@dataclasses.dataclass(frozen=True)
class Report:
    """Peaks and totals of a program, and its layers.

    Attributes:
      layers: one per operation, in program order.
      input_output: peak bytes of that model.
      input_weights: peak bytes of that model.
      live_bytes: peak bytes of that model.
      model_size_nonzero: bytes of all nonzero weights, indices not counted.
      model_size_dense: bytes of all weights.
      macs: multiply-accumulates of one inference.
      bytes_per_element: bytes of one element, activations and weights alike.
      count_input: whether the input takes up working memory.
      in_place: whether outputs may take the place of dying inputs.
      weights_known: whether the weights' values were given. If not, the figures of
        nonzeros rest on the given sparsity, or equal the dense ones.
    """

    layers: tuple[Layer, ...]
    input_output: int
    input_weights: int
    live_bytes: int
    model_size_nonzero: int
    model_size_dense: int
    macs: int
    bytes_per_element: int | None
    count_input: bool
    in_place: bool
    weights_known: bool

    def to_dict(self) -> dict:
        """Plain dictionary for JSON; shapes become lists."""
        plain = dataclasses.asdict(self)
        for layer in plain["layers"]:
            layer["output_shape"] = list(layer["output_shape"])
        plain["layers"] = list(plain["layers"])
        return plain


def analyze(
    program: Program,
    *,
    bytes_per_element: int | None = 1,
    count_input: bool = True,
    in_place: bool = False,
    sparsity: Mapping[str, float] | None = None,
) -> Report:
    """Applies the memory models to a program.

    Args:
      program: from `spjax.analysis.trace`.
      bytes_per_element: bytes of one element on the target (1 for int8); None for
        those of the types that the function was traced with.
      count_input: whether the program's input takes up working memory.
      in_place: whether an elementwise function, a global reduction or a pooling may
        write over an input that dies in it. Does not change ``input_weights``.
      sparsity: share of zeros, in [0, 1], by operation name (``conv1``: its kernel)
        or weight name (``conv1/bias``); for weights whose values are not known yet,
        or in place of the counted zeros.

    Returns:
      The report.

    Raises:
      AnalysisError: if bytes_per_element or a share is out of range, or a name is
        not in the program.
    """
    _check_sparsity(program, sparsity)
    schedule = whole(
        program,
        sharing="in_place" if in_place else "none",
        bytes_per_element=bytes_per_element,
        count_input=count_input,
    )
    weights = {
        op.name: memory.weight_bytes(op.weights, bytes_per_element, sparsity)
        for op in program.operations
    }
    nonzero = {name: pair[0] for name, pair in weights.items()}
    in_out = memory.input_output(schedule)
    in_weights = memory.input_weights(schedule, nonzero)
    live = memory.live_bytes(schedule)
    distinct = memory.distinct_weights(program)
    totals = memory.weight_bytes(distinct, bytes_per_element, sparsity)
    layers = tuple(
        Layer(
            name=op.name,
            kind=op.function,
            output_shape=program.tensors[op.output].shape,
            input_output=in_out[op.name],
            input_weights=in_weights[op.name],
            live_bytes=live[op.name],
            model_size_nonzero=weights[op.name][0],
            model_size_dense=weights[op.name][1],
            macs=op.macs,
            epilogue=op.fused,
        )
        for op in program.operations
    )
    return Report(
        layers=layers,
        input_output=max(in_out.values(), default=0),
        input_weights=max(in_weights.values(), default=0),
        live_bytes=max(live.values(), default=0),
        model_size_nonzero=totals[0],
        model_size_dense=totals[1],
        macs=sum(op.macs for op in program.operations),
        bytes_per_element=bytes_per_element,
        count_input=count_input,
        in_place=in_place,
        weights_known=all(
            w.nonzero is not None for op in program.operations for w in op.weights
        ),
    )


def _check_sparsity(program: Program, sparsity: Mapping[str, float] | None) -> None:
    names = {op.name for op in program.operations if op.weight("kernel")}
    names.update(w.name for op in program.operations for w in op.weights)
    for key, share in (sparsity or {}).items():
        if key not in names:
            raise AnalysisError(
                f"sparsity names '{key}', which is no weight of the program; use one of"
                f" {', '.join(sorted(names))}."
            )
        if not 0 <= share <= 1:
            raise AnalysisError(
                f"sparsity of '{key}' is {share}; give a share between 0 and 1."
            )
