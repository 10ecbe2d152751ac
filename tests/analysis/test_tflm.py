"""TensorFlow Lite Micro itself confirms what we say its planner does.

Needs `tflite-micro`; without it the interpreter's part is skipped.
"""

import jax
import numpy as np
import pytest

from spjax import analysis, genomes, networks
from tests.analysis import tflite

_SHAPES = [(8, 8, 1), (12, 12, 1), (16, 16, 3)]


def _program(rng, shape):
    genome = genomes.random_genome(rng, shape, genomes.Bounds())
    deployed = genomes.deployed_shape(genome, shape)
    return analysis.trace(
        networks.inference_function(genome, 10),
        networks.variable_shapes(genome, deployed, 10),
        jax.ShapeDtypeStruct((1, *deployed), np.float32),
    )


def test_head_of_fifty_networks_equals_the_interpreter_s():
    pytest.importorskip("tflite_micro")
    rng, confirmed, branched = np.random.default_rng(0), 0, 0
    for attempt in range(90):
        program = _program(rng, _SHAPES[attempt % 3])
        try:
            blob = tflite.write(program)
        except tflite.CannotWrite:
            continue
        schedule = analysis.whole(program, sharing="none")
        assert analysis.tflm_head(schedule) == tflite.head(blob)
        confirmed += 1
        branched += any(len(op.inputs) > 1 for op in program.operations)
        if confirmed == 50:
            break
    assert confirmed == 50 and branched >= 10


def test_plans_need_no_more_than_tflm():
    rng = np.random.default_rng(1)
    for attempt in range(12):
        program = _program(rng, _SHAPES[attempt % 3])
        head = analysis.tflm_head(analysis.whole(program, sharing="none"))
        for sharing in analysis.SHARINGS:
            schedule = analysis.whole(program, sharing=sharing)
            assert analysis.plan(schedule, alignment=16).planned_arena <= head
