import dataclasses
import math

import numpy as np
import pytest

from spjax.genomes import Block, Conv, Genome, Pool, Training
from spjax.search.static_cost import static_cost
from spjax.search.traits import TRAITS, traits

_GENOME = Genome(
    downsample=2,
    blocks=(
        Block((Conv(kernel=3, channels=8, padding="SAME"),), pool=Pool("max", 2)),
        Block((Conv(kernel=5, channels=4, padding="SAME", relu=False),)),
    ),
    dense=(10,),
    training=Training(1e-2, "none", 0.0),
)


def _named(genome, shape=(16, 16, 1)):
    cost = static_cost(genome, shape, 10, planned=())
    return cost, dict(zip(TRAITS, traits(genome, cost, shape), strict=True))


def test_the_traits_of_a_network_by_hand():
    # 16x16 -> 8x8 -> 8x8x8 -> 4x4x8 -> 4x4x4 = 64 values -> 10 -> 10.
    cost, found = _named(_GENOME)
    assert found["macs"] == pytest.approx(0.375 * math.log2(cost["macs"]))
    assert found["last_map"] == pytest.approx(0.375 * 6)
    assert found["narrowest"] == pytest.approx(0.375 * math.log2(10))
    assert found["fewest_channels"] == pytest.approx(0.375 * 2)
    assert found["pixels"] == pytest.approx(0.5 * 6)
    assert found["learning_rate"] == pytest.approx(-2)
    assert found["kept"] == 0
    assert found["convolutions"] == pytest.approx(2 / 3)
    assert found["relus"] == 0.5
    assert found["dense_layers"] == 1
    assert found["last_side"] == pytest.approx(0.375 * 2)
    assert found["largest_kernel"] == pytest.approx(0.5 * math.log2(5))
    assert found["prunes_channels"] == found["prunes_weights"] == 0


def test_pruned_channels_are_not_there():
    pruned = dataclasses.replace(_GENOME, training=Training(1e-2, "channel", 0.5))
    _, found = _named(pruned)
    # Two of four channels stay, and five of ten units.
    assert found["fewest_channels"] == pytest.approx(0.375)
    assert found["narrowest"] == pytest.approx(0.375 * math.log2(5))
    assert found["kept"] == pytest.approx(0.5 * math.log(0.5))
    assert found["prunes_channels"] == 1 and found["prunes_weights"] == 0
    weights = dataclasses.replace(_GENOME, training=Training(1e-2, "weight", 0.5))
    assert _named(weights)[1]["fewest_channels"] == pytest.approx(0.375 * 2)


def test_all_traits_are_finite_at_the_ends_of_the_genes():
    most = dataclasses.replace(_GENOME, training=Training(1.0, "weight", 0.999))
    assert np.isfinite(list(_named(most)[1].values())).all()
