import dataclasses

import pytest

from spjax import genomes
from spjax.genomes import Block, Bounds, Conv, Genome, GenomeError, Pool, Training

INSIDE = Genome(
    blocks=(
        Block(
            (
                Conv(
                    kind="downsampled", kernel=7, channels=100, stride=2, reduction=0.75
                ),
            )
            * 3,
            residual=True,
            pool=Pool("average", 4),
            branch=4,
        ),
    )
    * 3,
    downsample=4,
    input_branch=100,
    dense=(4, 200),
    training=Training(3e-2, "channel", 0.98),
)


def _with_conv(**genes):
    conv = dataclasses.replace(INSIDE.blocks[0].convs[0], **genes)
    return _with_block(convs=(conv,))


def _with_block(**genes):
    block = dataclasses.replace(INSIDE.blocks[1], **genes)
    return dataclasses.replace(INSIDE, blocks=(INSIDE.blocks[0], block))


def test_the_ends_are_inside():
    genomes.check_within(INSIDE, Bounds())
    genomes.check_within(Genome(training=Training(3e-4, "none", 0.0)), Bounds())


OUTSIDE = [
    ({}, _with_conv(kernel=8), "blocks[1].convs[0].kernel = 8 is out of bounds"),
    ({}, _with_conv(channels=101), "channels is (1, 100)"),
    ({}, _with_conv(stride=3), "blocks[1].convs[0].stride = 3"),
    ({}, _with_conv(reduction=0.4), "reduction is (0.25, 0.5, 0.75)"),
    ({}, _with_block(pool=Pool("max", 5)), "blocks[1].pool.window = 5"),
    ({}, _with_block(branch=3), "blocks[1].branch.units = 3"),
    ({}, dataclasses.replace(INSIDE, downsample=5), "downsample = 5"),
    ({}, dataclasses.replace(INSIDE, dense=(4, 201)), "dense[1].units = 201"),
    ({}, Genome(training=Training(0.04)), "training.learning_rate = 0.04"),
    ({}, Genome(training=Training(sparsity=0.99)), "training.sparsity = 0.99"),
    ({"num_blocks": (1, 2)}, INSIDE, "num_blocks = 3 is out of bounds"),
    ({"num_convs": (1, 2)}, INSIDE, "blocks[0].num_convs = 3 is out of bounds"),
    ({"num_dense": (0, 1)}, INSIDE, "num_dense = 2 is out of bounds"),
    ({"branches": (False,)}, INSIDE, "blocks[0].has_branch = True is out"),
    ({"conv_kinds": ("regular",)}, INSIDE, "blocks[0].convs[0].kind = 'downsampled'"),
    ({"paddings": ("VALID",)}, INSIDE, "blocks[0].convs[0].padding = 'SAME'"),
    ({"batch_norm": (False,)}, INSIDE, "blocks[0].convs[0].batch_norm = True"),
    ({"residual": (False,)}, INSIDE, "blocks[0].residual = True is out of bounds"),
    ({"pool_kinds": ("max",)}, INSIDE, "blocks[0].pool.kind = 'average'"),
    ({"pruning": ("none", "weight")}, INSIDE, "training.pruning = 'channel'"),
]


@pytest.mark.parametrize(("bounds", "genome", "message"), OUTSIDE)
def test_the_error_names_the_gene_out_of_bounds(bounds, genome, message):
    with pytest.raises(GenomeError) as error:
        genomes.check_within(genome, Bounds(**bounds))
    assert message in str(error.value)


def test_genes_without_effect_are_never_out_of_bounds():
    convs = (Conv(kernel=1, padding="SAME", reduction=0.5),)
    genome = Genome(
        blocks=(Block(convs, pool=Pool("none", 2)),),
        training=Training(1e-3, "none", 0.0),
    )
    bounds = Bounds(
        paddings=("VALID",),
        reduction=(0.25,),
        pool_window=(3, 4),
        residual=(True,),
        sparsity=(0.5, 0.9),
    )
    genomes.check_within(genome, bounds)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kernel", (0, 3)),
        ("kernel", (3, 2)),
        ("kernel", [1, 3]),
        ("kernel", (1, 3.0)),
        ("kernel", (1,)),
        ("num_blocks", (1, 4)),
        ("num_convs", (0, 1)),
        ("num_dense", (0, 3)),
        ("pool_window", (1, 2)),
        ("channels", (True, 4)),
        ("learning_rate", (0.0, 0.1)),
        ("learning_rate", (1e-3, 2.0)),
        ("learning_rate", (0.0012345, 0.1)),
        ("sparsity", (0.0, 1.0)),
        ("sparsity", (0.0, 0.98765)),
        ("sparsity", (float("nan"), 0.9)),
        ("conv_kinds", ()),
        ("conv_kinds", ("regular", "dilated")),
        ("conv_kinds", ("regular", "regular")),
        ("pool_kinds", "max"),
        ("relu", (0, 1)),
        ("reduction", (0.5, 1.0)),
        ("reduction", ()),
        ("reduction", (0.5, 0.5)),
        ("pruning", ("weight",)),
    ],
)
def test_bounds_that_make_no_sense(name, value):
    with pytest.raises(GenomeError, match=f"bounds.{name}"):
        Bounds(**{name: value})


def test_bounds_without_none_need_some_sparsity():
    Bounds(pruning=("weight",), sparsity=(0.001, 0.9))
    with pytest.raises(GenomeError, match="begin the sparsity above 0"):
        Bounds(pruning=("weight", "channel"))


def test_kinds_of_pruning_with_noise_are_there_if_asked_for():
    genome = Genome(training=Training(3e-3, "variational", 0.5))
    with pytest.raises(GenomeError, match="variational"):
        genomes.check_within(genome, Bounds())
    genomes.check_within(genome, Bounds(pruning=genomes.PRUNING_KINDS))
    assert {*genomes.MAGNITUDE_KINDS, *genomes.NOISY_KINDS} == {*genomes.PRUNING_KINDS}
    assert Bounds().pruning == ("none", "weight", "channel")
