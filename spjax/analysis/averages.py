"""Recognises an average: a sum over a window divided by the elements it covers."""

import math

import numpy as np

from spjax.analysis.drafts import Draft, Drafting


def average(
    drafting: Drafting, draft: Draft, steps: tuple[Draft, ...]
) -> tuple[str, dict] | None:
    """Reads a sum and its first elementwise step as an average.

    Args:
      drafting: where the drafts come from.
      draft: an anchor.
      steps: the elementwise drafts that follow it.

    Returns:
      The kind and the attributes of the averaging operation, which stands for the
      anchor and the first step; None if this is no average.
    """
    if draft.kind == "reduce":
        if draft.attributes["function"] != "sum":
            return None
        shape = drafting.shape(draft.inputs[0])
        count = math.prod(shape[a] for a in draft.attributes["axes"])
        divisor = _divisor(drafting, steps)
        if divisor is None or not _close(divisor, count):
            return None
        return "reduce", {**draft.attributes, "function": "mean"}
    if draft.kind != "sum_pool":
        return None
    divisor = _divisor(drafting, steps)
    if divisor is None:
        return None
    window = draft.attributes["window"]
    if _close(divisor, math.prod(window)):
        return "average_pool", {**draft.attributes, "count_padding": True}
    shape = drafting.shape(draft.inputs[0])
    height_width = shape[1:-1] if len(shape) == 4 else (1, *shape[1:-1])
    counts = window_counts(height_width, **draft.attributes)
    if len(shape) == 3:
        counts = counts[0]
    if divisor.ndim == len(shape) and _close(divisor, counts[None, ..., None]):
        return "average_pool", {**draft.attributes, "count_padding": False}
    return None


def window_counts(
    shape: tuple[int, int],
    window: tuple[int, int],
    strides: tuple[int, int],
    padding: tuple[tuple[int, int], tuple[int, int]],
) -> np.ndarray:
    """How many elements of a map each position of a window covers.

    Args:
      shape: height and width of the map.
      window: height and width of the window.
      strides: step of the window along both.
      padding: (before, after) along both; padded elements do not count.

    Returns:
      float64 counts, one per position of the window.
    """
    sides = []
    for n, size, step, (low, high) in zip(shape, window, strides, padding, strict=True):
        starts = np.arange(-low, n + high - size + 1, step)
        inside = np.minimum(starts + size, n) - np.maximum(starts, 0)
        sides.append(np.maximum(inside, 0).astype(np.float64))
    return np.multiply.outer(*sides)


def _divisor(drafting: Drafting, steps: tuple[Draft, ...]) -> np.ndarray | None:
    """What the first step divides by, if that is a known number or array."""
    if not steps or steps[0].function not in ("div", "mul"):
        return None
    step, folding = steps[0], drafting.folding
    numbers = [n for n in step.operands if n in folding]
    if len(numbers) != 1 or folding[numbers[0]].paths:
        return None
    if step.function == "div" and step.operands[1] != numbers[0]:
        return None
    array = folding.compact(numbers[0])
    if array is None:
        return None
    return array if step.function == "div" else 1 / array.astype(np.float64)


def _close(divisor: np.ndarray, counts: np.ndarray | float) -> bool:
    if np.ndim(counts) and np.shape(counts) != divisor.shape:
        try:
            divisor = np.broadcast_to(divisor, np.shape(counts))
        except ValueError:
            return False
    return bool(np.allclose(divisor, counts, rtol=1e-6, atol=0))
