"""The effort of training against multiply-accumulates counted by hand."""

import numpy as np
import pytest

from spjax import search
from spjax.genomes import Block, Conv, Genome, Training
from spjax.search.effort import efforts, training_macs
from spjax.search.observation import Observation

SETTINGS = search.Settings(input_shape=(6, 6, 1), num_classes=3, initial_trials=3)


def genome(channels, **training):
    return Genome(
        blocks=(Block(convs=(Conv(kernel=3, channels=channels, stride=1),)),),
        training=Training(**training),
    )


def macs(channels):
    return 36 * 9 * channels + 36 * channels * 3


def test_pruning_takes_nothing_off():
    plain = genome(8, pruning="none")
    pruned = genome(8, pruning="channel", sparsity=0.9)
    assert training_macs(plain, SETTINGS) == macs(8)
    assert training_macs(pruned, SETTINGS) == macs(8)
    deployed = search.static_cost(pruned, SETTINGS.input_shape, 3)
    assert deployed["macs"] < macs(8) / 5


def test_the_first_trials_set_the_scale():
    first = [Observation(i, genome(c), "completed") for i, c in enumerate((2, 4, 16))]
    later = Observation(3, genome(60), "completed")
    earlier = Observation(-1, genome(50), "completed")
    pool = [genome(4), genome(40)]
    found = efforts(SETTINGS, [earlier, *first, later], pool)
    np.testing.assert_allclose(found, [1 + 1 / 4, 1 + 10 / 4])
    # Without any of them, all that is known does.
    found = efforts(SETTINGS, [earlier], pool)
    np.testing.assert_allclose(found, [1 + 4 / 200, 1 + 40 / 200])


def test_a_search_without_trials_has_a_scale_too():
    assert efforts(SETTINGS, [], [genome(4)]) == pytest.approx([1.25])
