"""What it takes to train a genome: gain is to be had for little of it.

Pruning of channels makes the deployed network small, whatever was trained before: its
limits leave networks free whose training takes a hundred times that of others. A
candidate's worth is therefore divided by its effort::

    effort = 1 + macs / (4 * median macs of the first trials)

with the multiply-accumulates of the unpruned network. The one stands for what every
training costs: compilation, validation, files. Expected improvement by cost is old
practice (Snoek et al., NeurIPS 2012); seconds themselves would make a search differ
from its repetition.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from spjax.genomes import Genome, Training
from spjax.search.observation import Observation
from spjax.search.settings import Settings
from spjax.search.skeleton import skeleton

_FIXED = 4.0


def efforts(
    settings: Settings, observations: Sequence[Observation], pool: Sequence[Genome]
) -> np.ndarray:
    """The effort of training each genome; at least 1.

    Args:
      settings: the search.
      observations: the trials so far; the first of them set the scale.
      pool: genomes.

    Returns:
      float64 [len(pool)].
    """
    first = [o.genome for o in observations if 0 <= o.index < settings.initial_trials]
    first = first or [o.genome for o in observations] or list(pool)
    scale = _FIXED * np.median([training_macs(genome, settings) for genome in first])
    return 1 + np.array([training_macs(genome, settings) for genome in pool]) / scale


@functools.lru_cache(maxsize=4096)
def training_macs(genome: Genome, settings: Settings) -> int:
    """Multiply-accumulates of the network before anything is pruned."""
    unpruned = dataclasses.replace(genome, training=Training(pruning="none"))
    program = skeleton(unpruned, settings.input_shape, settings.num_classes)
    return sum(operation.macs for operation in program.operations)
