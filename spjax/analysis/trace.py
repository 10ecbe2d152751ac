"""From a JAX inference function to a `Program`.

The stages, each in a file of its own: trace and inline (`_jaxpr`), recognise softmax
and drop what nothing reads (`softmax`), set weight-only values apart (`folding`), read
equations as operations (`drafts`, `padding`), fuse elementwise functions (`regions`),
fold affine chains into weights (`affine`), name and assemble (here).
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from spjax.analysis import _jaxpr, drafts, regions, softmax
from spjax.analysis.assemble import Assembly
from spjax.analysis.errors import AnalysisError
from spjax.analysis.folding import Folding
from spjax.analysis.padding import merge_pads
from spjax.analysis.program import Program


def trace(fn: Callable, params: object, *inputs: object) -> Program:
    """Traces an inference function for one image and lowers it to operations.

    Args:
      fn: ``fn(params, *inputs)``, any function that `jax.jit` accepts. Activations
        are channels-last; their leading axis is a batch of 1.
      params: pytree of arrays, or of `jax.ShapeDtypeStruct` where values do not exist
        yet; then the program's weights have shapes only. Arrays that ``fn`` has
        closed over are parameters too.
      *inputs: arrays or `jax.ShapeDtypeStruct`, batch 1.

    Returns:
      The program: bias, batch norm, activations and requantisation fused into their
      producers, reshapes as views, weight-only computations folded.

    Raises:
      UnsupportedPrimitive: if the function uses something without a counterpart,
        with its source line and the way out.
      AnalysisError: if the function cannot be traced, an input's batch is not 1 or an
        output does not depend on the inputs.
    """
    for i, x in enumerate(inputs):
        shape = tuple(getattr(x, "shape", np.shape(x)))
        if not shape or shape[0] != 1:
            raise AnalysisError(
                f"input {i} has the shape {shape}; give it a leading batch axis of 1."
            )
    if not inputs:
        raise AnalysisError("the function has no inputs; give at least one.")
    flat = softmax.live_equations(softmax.match(_jaxpr.flatten(fn, params, inputs)))
    flat = softmax.live_equations(flat)
    folding = Folding(flat)
    drafting = drafts.Drafting(flat, folding)
    for equation in flat.equations:
        if not folding.absorb(equation):
            drafting.read(equation)
    for i, number in enumerate(flat.outputs):
        if number in folding:
            raise AnalysisError(
                f"output {i} does not depend on the inputs; return activations only."
            )
    merge_pads(drafting)
    assembly = Assembly(drafting)
    for fused in regions.fuse(drafting):
        assembly.add(fused)
    return _with_unused(assembly.program(), flat)


def _with_unused(program: Program, flat: _jaxpr.Flat) -> Program:
    used = {
        path
        for operation in program.operations
        for weight in operation.weights
        for path in weight.parameters
    }
    names = (flat.values[n].path for n in flat.parameters)
    return dataclasses.replace(
        program, unused=tuple(sorted(name for name in names if name not in used))
    )
