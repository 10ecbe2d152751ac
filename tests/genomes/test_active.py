from hypothesis import given

from spjax import genomes
from spjax.genomes import Block, Bounds, Conv, Genome, Pool, Training
from spjax.genomes.active import active_genes
from tests.genomes.strategies import GENOMES, PROPERTY


def test_every_gene_of_a_worked_example():
    block = Block(
        convs=(
            Conv("downsampled", 1, 5, 2, "SAME", True, False, 0.25),
            Conv("regular", 3, 6, 1, "VALID", False, True),
        ),
        pool=Pool("max", 3),
        branch=7,
    )
    plain = Block((Conv("separable", 2),), pool=Pool("global_average"))
    genome = Genome(2, (block, plain), 0, (9,), Training(0.01, "channel", 0.7))
    assert [tuple(gene) for gene in active_genes(genome)] == [
        ("downsample", 2, "downsample"),
        ("num_blocks", 2, "num_blocks"),
        ("blocks[0].num_convs", 2, "num_convs"),
        ("blocks[0].convs[0].kind", "downsampled", "conv_kinds"),
        ("blocks[0].convs[0].kernel", 1, "kernel"),
        ("blocks[0].convs[0].channels", 5, "channels"),
        ("blocks[0].convs[0].stride", 2, "stride"),
        ("blocks[0].convs[0].batch_norm", True, "batch_norm"),
        ("blocks[0].convs[0].relu", False, "relu"),
        ("blocks[0].convs[0].reduction", 0.25, "reduction"),
        ("blocks[0].convs[1].kind", "regular", "conv_kinds"),
        ("blocks[0].convs[1].kernel", 3, "kernel"),
        ("blocks[0].convs[1].channels", 6, "channels"),
        ("blocks[0].convs[1].stride", 1, "stride"),
        ("blocks[0].convs[1].batch_norm", False, "batch_norm"),
        ("blocks[0].convs[1].relu", True, "relu"),
        ("blocks[0].convs[1].padding", "VALID", "paddings"),
        ("blocks[0].residual", False, "residual"),
        ("blocks[0].pool.kind", "max", "pool_kinds"),
        ("blocks[0].pool.window", 3, "pool_window"),
        ("blocks[0].has_branch", True, "branches"),
        ("blocks[0].branch.units", 7, "branch_units"),
        ("blocks[1].num_convs", 1, "num_convs"),
        ("blocks[1].convs[0].kind", "separable", "conv_kinds"),
        ("blocks[1].convs[0].kernel", 2, "kernel"),
        ("blocks[1].convs[0].channels", 8, "channels"),
        ("blocks[1].convs[0].stride", 1, "stride"),
        ("blocks[1].convs[0].batch_norm", True, "batch_norm"),
        ("blocks[1].convs[0].relu", True, "relu"),
        ("blocks[1].convs[0].padding", "SAME", "paddings"),
        ("blocks[1].pool.kind", "global_average", "pool_kinds"),
        ("blocks[1].has_branch", False, "branches"),
        ("has_input_branch", False, "branches"),
        ("num_dense", 1, "num_dense"),
        ("dense[0].units", 9, "dense_units"),
        ("training.learning_rate", 0.01, "learning_rate"),
        ("training.pruning", "channel", "pruning"),
        ("training.sparsity", 0.7, "sparsity"),
    ]


@PROPERTY
@given(GENOMES)
def test_paths_are_distinct_and_bounds_exist(genome):
    genes = list(active_genes(genomes.canonical(genome)))
    assert len({gene.path for gene in genes}) == len(genes)
    assert all(hasattr(Bounds(), gene.bound) for gene in genes)


@PROPERTY
@given(GENOMES, GENOMES)
def test_the_active_genes_tell_canonical_genomes_apart(a, b):
    a, b = genomes.canonical(a), genomes.canonical(b)
    assert (list(active_genes(a)) == list(active_genes(b))) == (a == b)
