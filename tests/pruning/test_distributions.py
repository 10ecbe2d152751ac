"""Shares per leaf against a plain loop."""

import math

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax.pruning import PruningError
from spjax.pruning.distributions import check_distribution, erk, leaf_sparsities

SHAPES = {"a": (5, 5, 1, 6), "b": (5, 5, 6, 16), "c": (400, 120), "d": (120, 10)}


def erk_by_iteration(shapes, density):
    """The loop of the RigL authors: fill leaves until no density exceeds one."""
    size = {p: math.prod(s) for p, s in shapes.items()}
    raw = {p: sum(s) / math.prod(s) for p, s in shapes.items()}
    full = set()
    while len(full) < len(shapes):
        keep = density * sum(size.values()) - sum(size[p] for p in full)
        open_ = [p for p in shapes if p not in full]
        eps = keep / sum(raw[p] * size[p] for p in open_)
        worst = max(open_, key=lambda p: raw[p])
        if eps * raw[worst] <= 1:
            break
        full.add(worst)
    return {p: 1.0 if p in full else eps * raw[p] for p in shapes}


@given(st.floats(0.001, 0.999))
@settings(max_examples=40, deadline=None)
def test_erk(density):
    got = erk(SHAPES, 1 - density)
    want = erk_by_iteration(SHAPES, density)
    for path in SHAPES:
        assert 1 - float(got[path]) == pytest.approx(want[path], abs=2e-5)
    kept = sum((1 - float(got[p])) * math.prod(s) for p, s in SHAPES.items())
    total = sum(math.prod(s) for s in SHAPES.values())
    assert kept == pytest.approx(density * total, rel=1e-3)


def test_erk_with_a_traced_sparsity():
    values = np.linspace(0.0, 0.99, 7)
    traced = jax.jit(jax.vmap(lambda s: erk(SHAPES, s)))(values)
    for i, value in enumerate(values):
        for path, share in erk(SHAPES, value).items():
            assert float(traced[path][i]) == pytest.approx(float(share), abs=1e-6)


def test_uniform():
    assert leaf_sparsities("uniform", SHAPES, 0.5) == dict.fromkeys(SHAPES, 0.5)


def test_a_function_overrides_some_leaves():
    got = leaf_sparsities(lambda shapes, s: {"a": 0.0, "c": s / 2}, SHAPES, 0.8)
    assert got == {"a": 0.0, "b": 0.8, "c": 0.4, "d": 0.8}


def test_unknown_names():
    with pytest.raises(
        PruningError, match="sparsity for z, which is not a pruned leaf"
    ):
        leaf_sparsities(lambda shapes, s: {"z": 0.1}, SHAPES, 0.8)
    with pytest.raises(PruningError, match="distribution='equal' is unknown"):
        check_distribution("equal")
