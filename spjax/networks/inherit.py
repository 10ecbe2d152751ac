"""Weights that a morph's child takes over from its parent.

SpArSe trains no morph from scratch: tensors of the same name copy the overlapping
leading slice in every dimension; the rest keeps its fresh values.
"""

import numpy as np


def inherit(parent: dict, child: dict) -> dict:
    """Copies what overlaps of a parent's variables into a child's.

    Args:
      parent: nested dicts of arrays, as ``init_variables`` or training returns them.
      child: freshly drawn variables of the child, same kind of tree.

    Returns:
      A new tree of NumPy arrays with the structure, shapes and dtypes of ``child``.
      Tensors whose number of dimensions differs are not inherited.
    """
    merged = {}
    for name, value in child.items():
        source = parent.get(name)
        if isinstance(value, dict):
            merged[name] = inherit(source if isinstance(source, dict) else {}, value)
        else:
            merged[name] = _overlap(source, value)
    return merged


def _overlap(source: np.ndarray | dict | None, value: np.ndarray) -> np.ndarray:
    value = np.array(value)
    if source is not None and not isinstance(source, dict):
        source = np.asarray(source)
        if source.ndim == value.ndim:
            sizes = zip(source.shape, value.shape, strict=True)
            common = tuple(slice(min(pair)) for pair in sizes)
            value[common] = source[common]
    return value
