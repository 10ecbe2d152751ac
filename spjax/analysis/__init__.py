"""Working memory, size and operations of any traced JAX inference function."""

from spjax.analysis.errors import AnalysisError, UnsupportedPrimitive
from spjax.analysis.program import Operation, Program, Step, Tensor, Weight
from spjax.analysis.report import Layer, Report, analyze
from spjax.analysis.trace import trace

__all__ = [
    "AnalysisError",
    "Layer",
    "Operation",
    "Program",
    "Report",
    "Step",
    "Tensor",
    "UnsupportedPrimitive",
    "Weight",
    "analyze",
    "trace",
]
