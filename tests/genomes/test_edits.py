import dataclasses

import numpy as np
import pytest

from spjax import genomes
from spjax.genomes import Block, Bounds, Conv, Genome, Pool, Training
from spjax.genomes.edits import EDITS

SMALL = Genome(
    blocks=(Block((Conv(channels=10),)),), training=Training(1e-3, "weight", 0.5)
)
LARGE = Genome(
    downsample=2,
    blocks=(
        Block(
            (Conv("downsampled", 5, 20), Conv(kernel=1), Conv()), True, Pool("max", 3)
        ),
        Block((Conv("separable"), Conv()), pool=Pool("average", 2), branch=10),
        Block((Conv(),), pool=Pool("none"), branch=20),
    ),
    input_branch=30,
    dense=(40, 50),
    training=Training(1e-3, "channel", 0.5),
)
FULL = Bounds()


def _candidates(name, genome, bounds=FULL, seeds=30):
    """All that an edit offers, over a number of seeds."""
    found = set()
    for seed in range(seeds):
        found.update(EDITS[name](np.random.default_rng(seed), genome, bounds))
    return found


def _conv_values(name, field, genome):
    return {
        tuple(getattr(conv, field) for block in g.blocks for conv in block.convs)
        for g in _candidates(name, genome)
    } - {tuple(getattr(c, field) for block in genome.blocks for c in block.convs)}


@pytest.mark.parametrize(
    ("name", "field", "expected"),
    [
        ("kernel", "kernel", {(k,) for k in (1, 2, 4, 5, 6, 7)}),
        ("conv_kind", "kind", {("separable",), ("downsampled",)}),
        ("stride", "stride", {(2,)}),
        ("padding", "padding", {("VALID",)}),
        ("batch_norm", "batch_norm", {(False,)}),
        ("relu", "relu", {(False,)}),
        ("reduction", "reduction", {(0.25,), (0.75,)}),
    ],
)
def test_short_ranges_offer_every_other_value(name, field, expected):
    assert _conv_values(name, field, SMALL) == expected


def test_an_edit_may_act_on_each_convolution():
    before = (5, 1, 3, 3, 3, 3)
    after = _conv_values("kernel", "kernel", LARGE)
    places = {tuple(np.not_equal(before, kernels).nonzero()[0]) for kernels in after}
    assert places == {(i,) for i in range(6)}


def test_channels_change_by_at_most_a_factor_of_two():
    values = {v for (v,) in _conv_values("channels", "channels", SMALL)}
    assert min(values) in (5, 6) and max(values) in (18, 19, 20)
    assert 10 not in values and {8, 12} <= values


@pytest.mark.parametrize(("size", "expected"), [(1, {2}), (2, {1, 3, 4}), (100, None)])
def test_channels_move_at_the_ends_of_the_range(size, expected):
    genome = Genome(blocks=(Block((Conv(channels=size),)),))
    values = {g.blocks[0].convs[0].channels for g in _candidates("channels", genome)}
    assert values == expected or (expected is None and max(values) < 100)


def test_a_new_convolution_takes_any_place_and_its_neighbour_s_width():
    genome = Genome(blocks=(Block((Conv(channels=5), Conv(channels=9))),))
    widths = {
        tuple(conv.channels for conv in g.blocks[0].convs)
        for g in _candidates("add_conv", genome)
    }
    assert widths == {(5, 5, 9), (5, 9, 9)}
    for g in _candidates("add_conv", genome):
        # The two that were there are there still, in order.
        rest = [conv for conv in g.blocks[0].convs if conv in genome.blocks[0].convs]
        assert [c.channels for c in rest] in ([5, 9], [5, 5, 9], [5, 9, 9])


def test_a_second_convolution_brings_no_residual_unless_it_must():
    assert {g.blocks[0].residual for g in _candidates("add_conv", SMALL)} == {False}
    bounds = Bounds(residual=(True,))
    found = _candidates("add_conv", SMALL, bounds)
    assert {g.blocks[0].residual for g in found} == {True}


def test_removing_takes_one_away():
    assert {
        tuple(len(block.convs) for block in g.blocks)
        for g in _candidates("remove_conv", LARGE)
    } == {(2, 2, 1), (3, 1, 1), (3, 2, 0)}
    left = {g.blocks for g in _candidates("remove_block", LARGE)}
    a, b, c = LARGE.blocks
    assert left == {(a, b), (a, c), (b, c)}
    assert {g.dense for g in _candidates("remove_dense", LARGE)} == {(40,), (50,)}
    assert _candidates("remove_dense", SMALL) == set()


def test_a_new_block_is_plain_and_takes_any_place():
    genome = dataclasses.replace(LARGE, blocks=LARGE.blocks[:2])
    found = _candidates("add_block", genome)
    a, b = genome.blocks
    places = {tuple(block in (a, b) for block in g.blocks) for g in found}
    assert places == {(False, True, True), (True, False, True), (True, True, False)}
    for g in found:
        (new,) = [block for block in g.blocks if block not in (a, b)]
        assert (new.residual, new.pool.kind, new.branch) == (False, "none", 0)
        assert len(new.convs) == 1


def test_a_residual_asks_for_same_padding():
    valid = Conv(padding="VALID")
    genome = Genome(blocks=(Block((valid, Conv(), valid)),))
    found = {g.blocks[0] for g in _candidates("residual", genome)}
    assert Block((Conv(), Conv(), valid), residual=True) in found
    assert {block.residual for block in found} == {True}
    found = _candidates("residual", Genome(blocks=LARGE.blocks[:1]))
    assert {g.blocks[0].residual for g in found} == {False}


def test_pooling():
    kinds = {g.blocks[0].pool.kind for g in _candidates("pool_kind", SMALL)}
    assert kinds == {"none", "max", "average", "global_average"}
    windows = {
        g.blocks[0].pool.window
        for g in _candidates("pool_kind", SMALL)
        if g.blocks[0].pool.kind == "max"
    }
    assert windows == {2, 3, 4}
    # From one windowed kind to the other, the window may stay.
    found = {g.blocks[0].pool for g in _candidates("pool_kind", LARGE)}
    assert Pool("average", 3) in found
    assert _candidates("pool_window", SMALL) == set()
    found = {g.blocks[0].pool for g in _candidates("pool_window", LARGE)}
    assert found == {Pool("max", w) for w in (2, 3, 4)}


def test_branches():
    assert {g.blocks[0].branch > 0 for g in _candidates("add_branch", SMALL)} == {True}
    branches = {
        tuple(block.branch for block in g.blocks)
        for g in _candidates("remove_branch", LARGE)
    }
    assert branches >= {(0, 0, 20), (0, 10, 0)}
    for g in _candidates("resize_branch", LARGE):
        first, second, third = (block.branch for block in g.blocks)
        assert first == 0 and (second == 10) != (third == 20)
        assert 5 <= second <= 20 and 10 <= third <= 40
    assert _candidates("add_input_branch", LARGE) == set()
    found = {g.input_branch for g in _candidates("add_input_branch", SMALL)}
    assert min(found) >= 4 and max(found) <= 100 and len(found) > 10
    assert {g.input_branch for g in _candidates("remove_input_branch", LARGE)} == {0}
    found = {g.input_branch for g in _candidates("resize_input_branch", LARGE)}
    assert min(found) >= 15 and max(found) <= 60 and 30 not in found
    assert _candidates("resize_input_branch", SMALL) == set()


def test_dense_layers():
    genome = dataclasses.replace(SMALL, dense=(40,))
    found = {g.dense for g in _candidates("add_dense", genome)}
    assert all(len(dense) == 2 and 40 in dense for dense in found)
    assert any(dense[0] != 40 for dense in found)
    assert any(dense[1] != 40 for dense in found)
    for first, second in {g.dense for g in _candidates("resize_dense", LARGE)}:
        assert (first == 40) != (second == 50)


def test_learning_rates_step_by_a_log_normal_factor():
    wide = Bounds(learning_rate=(1e-9, 1.0))
    found = _candidates("learning_rate", SMALL, wide, 200)
    steps = np.log([g.training.learning_rate / 1e-3 for g in found])
    assert np.mean(steps) == pytest.approx(0, abs=0.05)
    assert np.std(steps) == pytest.approx(np.log(2), abs=0.05)


def test_sparsity_steps_what_is_left_by_a_log_normal_factor():
    genome = Genome(training=Training(sparsity=0.95))
    found = _candidates("sparsity", genome, Bounds(sparsity=(0.0, 0.999)), 200)
    steps = np.log([(1 - g.training.sparsity) / 0.05 for g in found])
    assert np.mean(steps) == pytest.approx(0, abs=0.05)
    assert np.std(steps) == pytest.approx(0.5, abs=0.05)
    assert _candidates("sparsity", Genome(training=Training(1e-3, "none"))) == set()


def test_kinds_of_pruning():
    found = {g.training.pruning for g in _candidates("pruning", SMALL)}
    assert found == {"none", "weight", "channel"}
    assert {g.training.sparsity for g in _candidates("pruning", SMALL)} == {0.5}
    none = Genome(training=Training(1e-3, "none", 0.0))
    shares = [g.training.sparsity for g in _candidates("pruning", none)]
    assert min(shares) < 0.1 and max(shares) > 0.9 and len(set(shares)) > 50


def test_what_becomes_active_obeys_the_bounds():
    bounds = Bounds(paddings=("VALID",), reduction=(0.25,), pool_window=(3, 4))
    pixel = Genome(blocks=(Block((Conv(kernel=1),)),))
    grown = {g.blocks[0].convs[0] for g in _candidates("kernel", pixel, bounds)}
    assert {conv.padding for conv in grown if conv.kernel > 1} == {"VALID"}
    kinds = {g.blocks[0].convs[0] for g in _candidates("conv_kind", pixel, bounds)}
    assert {c.reduction for c in kinds if c.kind == "downsampled"} == {0.25}
    pools = {g.blocks[0].pool for g in _candidates("pool_kind", pixel, bounds)}
    assert {p.window for p in pools if p.kind == "max"} == {3, 4}


@pytest.mark.parametrize("name", EDITS)
def test_edits_are_pure(name):
    before = genomes.to_json(LARGE)

    def run():
        return list(EDITS[name](np.random.default_rng(3), LARGE, FULL))

    assert run() == run()
    assert genomes.to_json(LARGE) == before
