r"""Prints what an inference function needs on a microcontroller, layer by layer.

A genome (its network as it would be deployed, batch norm folded)::

    python -m experiments.analyze --genome=best.json --input_shape=28,28,1
    python -m experiments.analyze --genome=best.json --input_shape=28,28,1 \
        --weights=weights.npz --json

Any JAX function of one channels-last image with a batch axis of 1, ``fn(x)`` with its
weights closed over, or ``fn(params, x)`` with ``--weights`` or ``--params``::

    python -m experiments.analyze --function=mynet:infer --input_shape=12,12,1

``--json`` prints one object, ``--csv`` one line per layer, ``--timeline=FILE.png``
draws the memory plan. Without weights' values, figures of nonzeros equal the dense
ones, and the output says so.

The plan (``best_order``, ``planned_arena``, ``lower_bound``) follows ``--schedule`` and
``--sharing``: whole maps with in-place operations by default; ``--schedule=streamed
--sharing=overlap`` is the smallest that the analyser knows. The other figures are those
of whole maps, in place only with ``--in_place``.
"""

import csv
import dataclasses
import json
import sys
from collections.abc import Sequence

import jax
import numpy as np
from absl import flags

from experiments import _cli, _foreign, _genome_file
from spjax import analysis, genomes, networks

_GENOME = flags.DEFINE_string(
    "genome", None, "Genome: its JSON file, or a search's best.json."
)
_FUNCTION = flags.DEFINE_string(
    "function", None, "Instead of a genome: a JAX function, `module:name`."
)
_INPUT_SHAPE = flags.DEFINE_string(
    "input_shape",
    None,
    "Height,width,channels of the image, before any downsampling, e.g. 28,28,1.",
)
_CLASSES = flags.DEFINE_integer(
    "classes", 10, "Number of classes of a genome's network.", lower_bound=1
)
_WEIGHTS = flags.DEFINE_string(
    "weights", None, "Weights (.npz; names are paths such as params/conv/kernel)."
)
_PARAMS = flags.DEFINE_string(
    "params", None, "First argument of --function, `module:name` (called if callable)."
)
_BYTES = flags.DEFINE_integer(
    "bytes_per_element", 1, "Bytes of one element on the target.", lower_bound=1
)
_COUNT_INPUT = flags.DEFINE_bool(
    "count_input", True, "Whether the image itself takes up working memory."
)
_IN_PLACE = flags.DEFINE_bool(
    "in_place",
    False,
    "Whether input_output and live_bytes let outputs take the place of dying inputs.",
)
_SCHEDULE = flags.DEFINE_enum(
    "schedule",
    "whole",
    ["whole", "fused", "streamed"],
    "Of the plan: whole maps; poolings fused into convolutions; or chains streamed by"
    " rows or channels wherever that saves memory.",
)
_INPUT_ROWS = flags.DEFINE_bool(
    "input_rows",
    False,
    "With --schedule=streamed: the image is never in memory, it arrives by pixels.",
)
_SHARING = flags.DEFINE_enum(
    "sharing",
    "in_place",
    list(analysis.SHARINGS),
    "Of the plan: how an output may use the memory of an input that dies.",
)
_ORDER = flags.DEFINE_enum(
    "order", "best", ["best", "program"], "Of the plan: the order of operations."
)
_ALIGNMENT = flags.DEFINE_integer(
    "alignment", 1, "Of the plan: offsets are multiples of this.", lower_bound=1
)
_TIMELINE = flags.DEFINE_string(
    "timeline", None, "Write a picture of the plan to this file (.png)."
)
_JSON = flags.DEFINE_bool("json", False, "Print one JSON object.")
_CSV = flags.DEFINE_bool("csv", False, "Print one line per layer, comma-separated.")

_COLUMNS = tuple(f.name for f in dataclasses.fields(analysis.Layer))


def main(argv: Sequence[str]) -> int:
    """Reads the flags, analyses, prints."""
    del argv
    if _JSON.value and _CSV.value:
        raise _cli.UsageError("--json and --csv exclude each other; give one of them.")
    program = _traced()
    report = analysis.analyze(
        program,
        bytes_per_element=_BYTES.value,
        count_input=_COUNT_INPUT.value,
        in_place=_IN_PLACE.value,
    )
    plan = _planned(program)
    if _TIMELINE.value is not None:
        _draw(plan)
    if _JSON.value:
        print(json.dumps({**report.to_dict(), **_plan_dict(plan)}))
    elif _CSV.value:
        _print_csv(report, plan)
    else:
        _print_table(report, plan)
        _print_plan(plan)
    return 0


def _planned(program: analysis.Program) -> analysis.Plan:
    make = {
        "whole": analysis.whole,
        "fused": analysis.fused,
        "streamed": analysis.streamed,
    }[_SCHEDULE.value]
    options = {"input_rows": True} if _INPUT_ROWS.value else {}
    if options and _SCHEDULE.value != "streamed":
        raise _cli.UsageError(
            f"--input_rows goes with --schedule=streamed, not {_SCHEDULE.value}."
        )
    schedule = make(
        program,
        sharing=_SHARING.value,
        bytes_per_element=_BYTES.value,
        count_input=_COUNT_INPUT.value,
        **options,
    )
    return analysis.plan(schedule, order=_ORDER.value, alignment=_ALIGNMENT.value)


def _plan_dict(plan: analysis.Plan) -> dict:
    steps = [
        {
            "name": task.name,
            "mode": task.mode,
            "operations": list(task.operations),
            "output_offset": plan.offset(task.output),
            "output_bytes": plan.schedule.sizes[task.output],
            "scratch_bytes": task.scratch,
            "extra_macs": task.extra_macs,
            "alive_bytes": alive,
        }
        for task, alive in zip(plan.steps, analysis.alive_bytes(plan), strict=True)
    ]
    return {
        "best_order": plan.best_order,
        "planned_arena": plan.planned_arena,
        "lower_bound": plan.lower_bound,
        "schedule": {
            "kind": _SCHEDULE.value,
            "sharing": plan.schedule.sharing,
            "order": _ORDER.value,
            "order_exact": plan.order_exact,
            "placement_exact": plan.placement_exact,
            "alignment": plan.alignment,
            "extra_macs": plan.schedule.extra_macs,
            "steps": steps,
        },
    }


def _draw(plan: analysis.Plan) -> None:
    try:
        analysis.draw_timeline(plan, _TIMELINE.value)
    except (OSError, ValueError) as error:
        raise _cli.UsageError(
            f"--timeline={_TIMELINE.value} cannot be written ({error}); give a .png in"
            " an existing folder."
        ) from error


def _traced() -> analysis.Program:
    if (_GENOME.value is None) == (_FUNCTION.value is None):
        raise _cli.UsageError("give either --genome=FILE or --function=module:name.")
    shape = _shape(_INPUT_SHAPE.value)
    if _FUNCTION.value is None:
        return _traced_genome(shape)
    return _foreign.traced(
        _FUNCTION.value, shape, params=_PARAMS.value, weights=_WEIGHTS.value
    )


def _traced_genome(shape: tuple[int, int, int]) -> analysis.Program:
    if _PARAMS.value is not None:
        raise _cli.UsageError("--params goes with --function; use --weights=FILE.npz.")
    genome = _genome_file.read_genome(_GENOME.value)
    try:
        genomes.validate(genome, shape)
    except genomes.GenomeError as error:
        raise _cli.UsageError(
            f"--genome={_GENOME.value} does not fit --input_shape={_INPUT_SHAPE.value}:"
            f" {error}"
        ) from error
    deployed = genomes.deployed_shape(genome, shape)
    variables = networks.variable_shapes(genome, deployed, _CLASSES.value)
    if _WEIGHTS.value is not None:
        variables = _filled(variables, _foreign.arrays(_WEIGHTS.value))
    fn = networks.inference_function(genome, _CLASSES.value)
    x = jax.ShapeDtypeStruct((1, *deployed), np.float32)
    return analysis.trace(fn, variables, x)


def _shape(text: str | None) -> tuple[int, int, int]:
    try:
        shape = tuple(int(part) for part in (text or "").split(","))
    except ValueError:
        shape = ()
    if len(shape) != 3 or min(shape) < 1:
        raise _cli.UsageError(
            f"--input_shape={text or ''} is no height,width,channels; give three"
            " positive numbers, such as 28,28,1."
        )
    return shape


def _filled(shapes: object, arrays: dict[str, np.ndarray]) -> object:
    """The tree of shapes with the archive's arrays in place."""

    def leaf(keys: tuple, shape: jax.ShapeDtypeStruct) -> np.ndarray:
        path = "/".join(str(key.key) for key in keys)
        array = arrays.get(path)
        if array is None or array.shape != shape.shape:
            has = "lacks it" if array is None else f"has {array.shape}"
            raise _cli.UsageError(
                f"--weights={_WEIGHTS.value} does not fit the genome: {path} should be"
                f" {shape.shape}, the file {has}; check --input_shape and --classes."
            )
        return array.astype(shape.dtype)

    return jax.tree_util.tree_map_with_path(leaf, shapes)


def _steps(plan: analysis.Plan) -> dict[str, int]:
    """In which step of a plan each operation runs."""
    return {
        name: number
        for number, task in enumerate(plan.steps)
        for name in task.operations
    }


def _print_csv(report: analysis.Report, plan: analysis.Plan) -> None:
    steps, alive = _steps(plan), analysis.alive_bytes(plan)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*_COLUMNS, "step", "mode", "output_offset", "alive_bytes"])
    for layer in report.layers:
        row = [getattr(layer, column) for column in _COLUMNS]
        row[_COLUMNS.index("output_shape")] = "x".join(map(str, layer.output_shape))
        number = steps[layer.name]
        task = plan.steps[number]
        offset = plan.offset(task.output) if layer.name == task.name else ""
        writer.writerow([*row, number, task.mode, offset, alive[number]])


def _print_plan(plan: analysis.Plan) -> None:
    schedule = plan.schedule
    order = "exact" if plan.order_exact else "not proved to be the smallest"
    print(
        f"Plan ({_SCHEDULE.value}, sharing {schedule.sharing}, order {_ORDER.value}):"
        f" planned_arena {plan.planned_arena} bytes, best_order {plan.best_order}"
        f" ({order}), lower_bound {plan.lower_bound};"
        f" {schedule.extra_macs} multiply-accumulates are repeated."
    )
    for task in plan.steps:
        if task.mode != "whole":
            print(
                f"  {task.mode}: {' > '.join(task.operations)} in"
                f" {task.scratch} bytes of scratch"
            )


def _print_table(report: analysis.Report, plan: analysis.Plan) -> None:
    steps, alive = _steps(plan), analysis.alive_bytes(plan)
    titles = (
        "layer", "kind", "fused", "output", "input_output", "input_weights",
        "live_bytes", "nonzero", "dense", "macs", "step", "alive",
    )  # fmt: skip
    rows = [
        (
            layer.name, layer.kind, layer.epilogue,
            "x".join(map(str, layer.output_shape[1:])), layer.input_output,
            layer.input_weights, layer.live_bytes, layer.model_size_nonzero,
            layer.model_size_dense, layer.macs, steps[layer.name],
            alive[steps[layer.name]],
        )
        for layer in report.layers
    ]  # fmt: skip
    last = (
        "peak / total", "", "", "", report.input_output, report.input_weights,
        report.live_bytes, report.model_size_nonzero, report.model_size_dense,
        report.macs, "", max(alive, default=0),
    )  # fmt: skip
    table = [titles, *rows, last]
    widths = [max(len(str(row[i])) for row in table) for i in range(len(titles))]
    for i, row in enumerate(table):
        if i in (1, len(table) - 1):
            print("-" * (sum(widths) + 2 * len(widths) - 2))
        cells = (
            str(cell).rjust(width) if isinstance(cell, int) else str(cell).ljust(width)
            for cell, width in zip(row, widths, strict=True)
        )
        print("  ".join(cells).rstrip())
    counted = "counted" if report.count_input else "not counted"
    print(
        f"Bytes at {report.bytes_per_element} per element; the input is {counted} as"
        " working memory.\nstep, alive: when the plan below runs the layer, and the"
        " bytes of its arena in use then.\nnonzero = model_size_nonzero: weights that"
        " are not zero, sparse indices not counted; dense = model_size_dense."
    )
    if not report.weights_known:
        print(
            "The weights' values were not given (--weights): nonzero equals dense, in"
            " input_weights too."
        )


if __name__ == "__main__":
    _cli.run(main)
