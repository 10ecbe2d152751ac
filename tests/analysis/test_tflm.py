"""TensorFlow Lite Micro itself confirms what we say its planner does.

That our plans need no more than its own is part of the sweep (`test_many`).
"""

import jax
import numpy as np

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
