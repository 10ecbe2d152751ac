"""Working memory, size and operations of any traced JAX inference function.

program = analysis.trace(fn, params, x)            # JAX function -> dataflow graph
report = analysis.analyze(program)                 # memory models per layer
made = analysis.plan(analysis.whole(program))      # order and offsets
analysis.simulate(made, {"input": image})          # proof, over one byte array
"""

from spjax.analysis.errors import AnalysisError, UnsupportedPrimitive
from spjax.analysis.models import MEMORY_MODELS, peak
from spjax.analysis.order import Order, best_order, program_order
from spjax.analysis.overlap import overlap_bound
from spjax.analysis.packing import Buffer
from spjax.analysis.plan import Plan, plan, tflm_head
from spjax.analysis.program import Operation, Program, Step, Tensor, Weight
from spjax.analysis.reference import evaluate
from spjax.analysis.report import Layer, Report, analyze
from spjax.analysis.schedule import SHARINGS, Schedule, Task, whole
from spjax.analysis.simulate import CorruptedPlan, simulate
from spjax.analysis.split import MODES, fused, need, streamed
from spjax.analysis.timeline import alive_bytes, draw_timeline
from spjax.analysis.trace import trace

__all__ = [
    "MEMORY_MODELS",
    "MODES",
    "SHARINGS",
    "AnalysisError",
    "Buffer",
    "CorruptedPlan",
    "Layer",
    "Operation",
    "Order",
    "Plan",
    "Program",
    "Report",
    "Schedule",
    "Step",
    "Task",
    "Tensor",
    "UnsupportedPrimitive",
    "Weight",
    "alive_bytes",
    "analyze",
    "best_order",
    "draw_timeline",
    "evaluate",
    "fused",
    "need",
    "overlap_bound",
    "peak",
    "plan",
    "program_order",
    "simulate",
    "streamed",
    "tflm_head",
    "trace",
    "whole",
]
