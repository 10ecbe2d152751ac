import dataclasses

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import analysis, genomes, networks
from spjax.search.skeleton import skeleton

_CLASSES = 7


def _traced(genome, shape):
    deployed = genomes.deployed_shape(genome, shape)
    return analysis.trace(
        networks.inference_function(genome, _CLASSES),
        networks.variable_shapes(genome, deployed, _CLASSES),
        jax.ShapeDtypeStruct((1, *deployed), np.float32),
    )


def _bare(program):
    """The structure without what is fused and how many weights are zero."""
    program = program.structure()
    return dataclasses.replace(
        program,
        operations=tuple(
            dataclasses.replace(
                op,
                epilogue=op.epilogue[:1] if op.kind == "elementwise" else (),
                weights=tuple(dataclasses.replace(w, nonzero=None) for w in op.weights),
            )
            for op in program.operations
        ),
        unused=(),
    )


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([(8, 8, 1), (28, 28, 1), (20, 33, 3)]),
)
def test_is_the_traced_program(seed, shape):
    genome = genomes.random_genome(np.random.default_rng(seed), shape)
    mine, traced = (
        _bare(skeleton(genome, shape, _CLASSES)),
        _bare(_traced(genome, shape)),
    )
    assert mine.operations == traced.operations
    assert mine.tensors == traced.tensors
    assert (mine.inputs, mine.outputs) == (traced.inputs, traced.outputs)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_every_memory_model_reads_the_same_from_both(seed):
    genome = genomes.random_genome(np.random.default_rng(seed), (16, 16, 1))
    mine, traced = skeleton(genome, (16, 16, 1), _CLASSES), _traced(genome, (16, 16, 1))
    for model in set(analysis.MEMORY_MODELS) - {"input_weights"}:
        for in_place in (False, True):
            values = [
                analysis.peak(p, model, in_place=in_place) for p in (mine, traced)
            ]
            assert values[0] == values[1], model


def test_nonzeros_are_those_that_pruning_leaves():
    genome = genomes.Genome(
        blocks=(genomes.Block(convs=(genomes.Conv(channels=4, kernel=3),)),),
        training=genomes.Training(pruning="weight", sparsity=0.5),
    )
    program = skeleton(genome, (4, 4, 1), 10)
    kernels = [op.weight("kernel") for op in program.operations]
    assert [k.elements for k in kernels] == [36, 640]
    # Half of 676 weights; the small kernel is kept denser than the large one.
    assert sum(k.nonzero for k in kernels) == pytest.approx(338, abs=1)
    assert kernels[0].nonzero / 36 > kernels[1].nonzero / 640
    assert all(op.weight("bias").nonzero == op.weight("bias").elements
               for op in program.operations)  # fmt: skip
