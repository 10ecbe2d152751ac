import dataclasses

import pytest

from spjax.genomes.genome import Block, Conv, Genome, Pool
from spjax.report import describe
from tests.report.synthetic import GENOME


def _tree(**genes):
    """The JSON object of a real genome, so that the names of genes stay in step."""
    return dataclasses.asdict(Genome(**genes))


def test_the_example_of_the_docs():
    assert describe(GENOME) == "÷2 · c5x5x12/2 bn relu · max2 · d32"


def test_everything_at_once():
    bare = {"batch_norm": False, "relu": False}
    first = Block(
        convs=(
            Conv("separable", 3, 8),
            Conv("downsampled", 5, 16, reduction=0.25, relu=False),
            Conv("regular", 1, 4, stride=3, padding="VALID", **bare),
        ),
        residual=True,
        pool=Pool("average", 3),
        branch=7,
    )
    last = Block(convs=(Conv(**bare),), pool=Pool("global_average"))
    tree = _tree(downsample=4, blocks=(first, last), input_branch=9, dense=(20, 10))
    assert describe(tree) == (
        "÷4 · [in→d9] · res(s3x3x8 bn relu · r25%c5x5x16 bn) · c1x1x4/3 v · avg3 · "
        "[→d7] · c3x3x8 · gap · d20 · d10"
    )


@pytest.mark.parametrize(
    ("genome", "text"),
    [
        (None, "?"),
        ({}, "?"),
        ({"version": 1}, "classifier alone"),
        ({"blocks": [{"convs": [{"kernel": 3}]}]}, "c3x3x?"),
    ],
)
def test_what_is_absent_is_passed_over(genome, text):
    assert describe(genome) == text


def test_a_residual_over_one_convolution_is_none():
    tree = _tree(blocks=(Block(residual=True),))
    assert describe(tree) == "c3x3x8 bn relu"
