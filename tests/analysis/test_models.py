"""Models by name: one number each, and how they stand to each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import analysis
from tests.analysis import graphs


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_how_models_stand_to_each_other(seed, in_place):
    rng = np.random.default_rng(seed)
    program = graphs.random_program(rng, int(rng.integers(1, 10)))
    figure = {
        model: analysis.peak(program, model, in_place=in_place)
        for model in analysis.MEMORY_MODELS
    }
    assert figure["input_output"] <= figure["live_bytes"]
    assert figure["best_order"] <= figure["live_bytes"]
    assert figure["best_order"] <= figure["planned_arena"]
    report = analysis.analyze(program, in_place=in_place)
    for model in ("input_output", "input_weights", "live_bytes"):
        assert figure[model] == getattr(report, model)
    for model in analysis.MEMORY_MODELS:
        apart = analysis.peak(program, model, in_place=False)
        assert figure[model] <= apart
        without = analysis.peak(program, model, in_place=False, count_input=False)
        assert without <= apart
        four = analysis.peak(program, model, in_place=False, bytes_per_element=4)
        assert four == 4 * apart


def test_unknown_model_is_refused():
    program = graphs.program([3], [], (0,))
    with pytest.raises(analysis.AnalysisError, match="memory model 'ram' is unknown"):
        analysis.peak(program, "ram")
