"""Folds affine chains (bias, batch norm, scales) into kernels and one pair (s, t).

A chain of additions, subtractions, multiplications and divisions by weight-only
values is the map ``y = s x + t`` with s and t per channel. Behind a convolution or
a dense layer it becomes part of the weights (Jacob et al., CVPR 2018, section 3.2)::

    s (K * x + b) + t  =  (s K) * x + (s b + t)

Products of integers are left where they stand: they are requantisation, and an
integer kernel cannot hold them. Parameters known by shape only give s and t by shape.
"""

import dataclasses

import numpy as np

from spjax.analysis.drafts import Draft, Drafting

_LINEAR = {"add", "sub", "mul", "div", "neg", "add_any"}


@dataclasses.dataclass(frozen=True)
class Run:
    """An affine chain ``y = s x + t``.

    Attributes:
      length: number of steps that it stands for.
      scale: s, a number or one per channel (float64, NaN if unknown); None for 1.
      shift: t, likewise; None for 0.
      known: whether the values are known.
      paths: parameters that s and t depend on.
      scale_paths: parameters that s depends on.
    """

    length: int
    scale: np.ndarray | None
    shift: np.ndarray | None
    known: bool
    paths: frozenset[str]
    scale_paths: frozenset[str]


def affine_run(
    drafting: Drafting, steps: tuple[Draft, ...], value: int, shape: tuple[int, ...]
) -> Run:
    """The longest affine chain at the head of some steps.

    Args:
      drafting: the drafts that the steps come from.
      steps: elementwise drafts in program order.
      value: value number that the first one reads.
      shape: shape of the tensor that all of them run over, channels last.

    Returns:
      The chain; of length 0 if the first step is not affine.
    """
    scale = shift = None
    known, length = True, 0
    paths: frozenset[str] = frozenset()
    scale_paths: frozenset[str] = frozenset()
    for i, step in enumerate(steps):
        if step.function not in _LINEAR:
            break
        if sum(drafting.root(n) == value for s in steps[i:] for n in s.inputs) != 1:
            break
        constant = _constant(drafting, step, shape)
        if constant is None:
            break
        c, its_paths, its_known = constant
        integer = np.issubdtype(drafting.flat.values[step.output].dtype, np.integer)
        first = step.operands[0] in step.inputs
        if integer and not (step.function in ("add", "add_any", "sub") and first):
            break
        if step.function in ("add", "add_any"):
            shift = c if shift is None else shift + c
        elif step.function == "sub" and first:
            shift = -c if shift is None else shift - c
        elif step.function == "sub":
            scale = -np.ones(()) if scale is None else -scale
            shift = c if shift is None else c - shift
        elif step.function == "neg":
            scale = -np.ones(()) if scale is None else -scale
            shift = None if shift is None else -shift
        elif step.function == "div" and not first:
            break
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                factor = c if step.function == "mul" else 1 / c
                scale = factor if scale is None else scale * factor
                shift = None if shift is None else shift * factor
            scale_paths |= its_paths
        paths |= its_paths
        known &= its_known
        value, length = step.output, i + 1
    return Run(length, scale, shift, known, paths, scale_paths)


def _constant(drafting: Drafting, step: Draft, shape: tuple) -> tuple | None:
    """A step's weight-only operand as a number or one per channel, else None."""
    if step.function == "neg":
        return np.ones(()), frozenset(), True
    numbers = [n for n in step.operands if n in drafting.folding]
    if len(numbers) != 1 or len(step.inputs) != 1:
        return None
    folded = drafting.folding[numbers[0]]
    last = len(folded.shape) - 1
    if not folded.axes <= {last}:
        return None
    if folded.axes and (not shape or folded.shape[last] != shape[-1]):
        return None
    if not folded.known:
        unknown = np.full(shape[-1:] if folded.axes else (), np.nan)
        return unknown, folded.paths, False
    array = drafting.folding.compact(numbers[0]).astype(np.float64)
    return array.reshape(shape[-1:] if folded.axes else ()), folded.paths, True
