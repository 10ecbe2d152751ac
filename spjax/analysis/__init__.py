"""Working memory, size and operations of any traced JAX inference function.

program = analysis.trace(fn, params, x)            # JAX function -> dataflow graph
report = analysis.analyze(program)                 # memory models per layer
made = analysis.plan(analysis.whole(program))      # order and offsets
analysis.simulate(made, {"input": image})          # proof, over one byte array
"""

from spjax.analysis.errors import AnalysisError, UnsupportedPrimitive
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
from spjax.analysis.trace import trace

__all__ = [
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
    "analyze",
    "best_order",
    "evaluate",
    "fused",
    "need",
    "overlap_bound",
    "plan",
    "program_order",
    "simulate",
    "streamed",
    "tflm_head",
    "trace",
    "whole",
]
