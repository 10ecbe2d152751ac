import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spjax import genomes
from spjax.genomes import (
    MORPHS,
    PRUNING_MORPHS,
    Block,
    Bounds,
    Conv,
    Genome,
    GenomeError,
    Pool,
    Training,
    morph,
)
from spjax.genomes.active import active_genes
from tests.genomes.strategies import BOUNDS, INPUT_SHAPES, PROPERTY, random_genomes

SHAPE = (20, 20, 1)
# The bounds whose genes each edit may change. Editing a count moves other genes.
TOUCHES = {
    "kernel": {"kernel", "paddings"},  # a 1x1 kernel has no padding
    "channels": {"channels"},
    "conv_kind": {"conv_kinds", "reduction"},
    "stride": {"stride"},
    "padding": {"paddings"},
    "batch_norm": {"batch_norm"},
    "relu": {"relu"},
    "reduction": {"reduction"},
    "residual": {"residual", "paddings"},
    "pool_kind": {"pool_kinds", "pool_window"},
    "pool_window": {"pool_window"},
    "add_branch": {"branches", "branch_units"},
    "remove_branch": {"branches", "branch_units"},
    "resize_branch": {"branch_units"},
    "add_input_branch": {"branches", "branch_units"},
    "remove_input_branch": {"branches", "branch_units"},
    "resize_input_branch": {"branch_units"},
    "resize_dense": {"dense_units"},
    "downsample": {"downsample"},
    "learning_rate": {"learning_rate"},
    "sparsity": {"sparsity"},
    "pruning": {"pruning", "sparsity"},
}
COUNTS = {
    "add_conv": (0, 1, 0),
    "remove_conv": (0, -1, 0),
    "add_dense": (0, 0, 1),
    "remove_dense": (0, 0, -1),
}


def _counts(genome):
    convs = sum(len(block.convs) for block in genome.blocks)
    return np.array([len(genome.blocks), convs, len(genome.dense)])


def _check_edit(parent, child, name):
    """The child differs in what its edit's name says, and in nothing else."""
    change = _counts(child) - _counts(parent)
    if name in TOUCHES:
        differing = set(active_genes(parent)) ^ set(active_genes(child))
        assert {gene.bound for gene in differing} <= TOUCHES[name]
        assert not change.any()
    elif name in COUNTS:
        assert tuple(change) == COUNTS[name]
    else:
        assert change[0] == {"add_block": 1, "remove_block": -1}[name]
        longer, shorter = sorted((parent, child), key=lambda g: -len(g.blocks))
        assert any(
            longer.blocks[:b] + longer.blocks[b + 1 :] == shorter.blocks
            for b in range(len(longer.blocks))
        )


@PROPERTY
@given(st.integers(0, 2**32 - 1), INPUT_SHAPES, st.none() | BOUNDS)
def test_a_chain_of_morphs(seed, shape, bounds):
    rng = np.random.default_rng(seed)
    try:
        parent = genomes.random_genome(rng, shape, bounds)
    except GenomeError:
        return
    for _ in range(15):
        try:
            child, name = morph(rng, parent, shape, bounds)
        except GenomeError as error:
            # Only bounds of one's own can be that narrow.
            assert bounds is not None and "none of the edits" in str(error)
            return
        genomes.validate(child, shape)
        genomes.check_within(child, bounds or Bounds())
        assert genomes.canonical(child) == child
        assert child != parent
        _check_edit(parent, child, name)
        parent = child


@PROPERTY
@given(st.integers(0, 2**32 - 1), random_genomes(SHAPE))
def test_pruning_morphs_leave_the_network_alone(seed, parent):
    rng = np.random.default_rng(seed)
    child, name = morph(rng, parent, SHAPE, names=PRUNING_MORPHS)
    assert name in PRUNING_MORPHS
    assert child.blocks == parent.blocks and child.dense == parent.dense
    assert child.training.learning_rate == parent.training.learning_rate
    assert child.training != parent.training


def test_every_edit_happens_about_as_often():
    parent = Genome(
        blocks=(
            Block((Conv("downsampled"), Conv()), pool=Pool("max"), branch=9),
            Block((Conv(),)),
        ),
        input_branch=9,
        dense=(9,),
    )
    rng = np.random.default_rng(0)
    names = [morph(rng, parent, SHAPE)[1] for _ in range(4000)]
    counts = {name: names.count(name) for name in MORPHS}
    # A second input branch is impossible; all others apply to this parent.
    assert counts.pop("add_input_branch") == 0
    assert min(counts.values()) > 4000 / 27 * 0.6
    # What cannot be goes to the next edit in the shuffled order.
    assert max(counts.values()) < 4000 / 27 * 1.6


@pytest.mark.parametrize("name", MORPHS)
def test_only_the_named_edit_is_made(name):
    rng = np.random.default_rng(0)
    made = 0
    for _ in range(100):
        parent = genomes.random_genome(rng, SHAPE)
        try:
            child, found = morph(rng, parent, SHAPE, names=(name,))
        except GenomeError:
            continue
        assert found == name
        _check_edit(parent, child, name)
        made += 1
    assert made >= 5


def _tiny(**changes):
    sizes = {
        "downsample": (1, 2),
        "num_blocks": (1, 2),
        "num_convs": (1, 2),
        "num_dense": (0, 1),
        "conv_kinds": ("regular",),
        "kernel": (1, 2),
        "channels": (3, 3),
        "stride": (1, 1),
        "batch_norm": (True,),
        "relu": (True,),
        "reduction": (0.5,),
        "pool_kinds": ("none", "max"),
        "pool_window": (2, 2),
        "branches": (False,),
        "dense_units": (4, 4),
        "learning_rate": (0.01, 0.01),
        "pruning": ("none", "weight"),
        "sparsity": (0.5, 0.5),
    }
    return Bounds(**{**sizes, **changes})


def test_morphs_reach_every_genome_of_a_small_space():
    # The whole space by brute force: every point of the flat box that is valid.
    shape, bounds = (3, 3, 1), _tiny(num_blocks=(1, 1))
    space = genomes.flat_space(bounds, shape)
    values = [g.choices or tuple(range(int(g.low), int(g.high) + 1)) for g in space]
    for i, gene in enumerate(space):
        if gene.kind == "float":
            values[i] = (gene.low,)
    everything = set()
    for point in itertools.product(*values):
        names = [gene.name for gene in space]
        genome = genomes.from_flat(dict(zip(names, point, strict=True)))
        try:
            genomes.validate(genome, shape)
        except GenomeError:
            continue
        everything.add(genome)
    assert len(everything) > 100
    rng = np.random.default_rng(0)
    genome = genomes.random_genome(rng, shape, bounds)
    reached = {genome}
    for _ in range(20_000):
        genome, _ = morph(rng, genome, shape, bounds)
        reached.add(genome)
        if len(reached) == len(everything):
            break
    assert reached == everything


def test_an_edit_that_can_act_in_one_place_only_is_found():
    # Of nine convolutions the last alone has a map on which VALID fits.
    first = Block((Conv(kernel=5),) * 3, residual=True)
    last = Block((Conv(kernel=5), Conv(kernel=5), Conv(kernel=2)), residual=True)
    genome = Genome(blocks=(first, first, last))
    bounds = Bounds(kernel=(2, 5))
    for seed in range(20):
        rng = np.random.default_rng(seed)
        child, _ = morph(rng, genome, (4, 4, 1), bounds, names=("padding",))
        assert child.blocks[2].convs[2].padding == "VALID"


def test_morphs_depend_on_the_generator_only():
    parent = genomes.random_genome(np.random.default_rng(0), SHAPE)

    def run(seed):
        rng = np.random.default_rng(seed)
        return [morph(rng, parent, SHAPE) for _ in range(10)]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_a_parent_that_is_not_canonical():
    convs = (Conv(kernel=1, padding="VALID"),)
    parent = Genome(blocks=(Block(convs),), training=Training(sparsity=0.12345))
    for seed in range(20):
        child, _ = morph(np.random.default_rng(seed), parent, SHAPE)
        assert child != genomes.canonical(parent)


@pytest.mark.parametrize(
    ("names", "bounds"),
    [
        ((), Bounds()),
        (("remove_block", "remove_dense", "resize_branch"), Bounds()),
        (("channels",), Bounds(channels=(8, 8))),
        (PRUNING_MORPHS, Bounds(pruning=("none",))),
        (("learning_rate",), Bounds(learning_rate=(3e-3, 3e-3))),
    ],
)
def test_no_edit_applies(names, bounds):
    parent = Genome(training=Training(3e-3, "none", 0.0))
    with pytest.raises(GenomeError, match="none of the edits"):
        morph(np.random.default_rng(0), parent, SHAPE, bounds, names)


def test_wrong_arguments():
    rng = np.random.default_rng(0)
    with pytest.raises(GenomeError, match="'mutate', which is no edit: use kernel, "):
        morph(rng, Genome(), SHAPE, names=("kernel", "mutate"))
    with pytest.raises(GenomeError, match="downsample = 30 does not fit"):
        morph(rng, Genome(downsample=30), SHAPE)
