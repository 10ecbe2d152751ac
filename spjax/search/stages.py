"""SpArSe's three stages (Fedorov et al., NeurIPS 2019).

1. References are all trained networks (those that are good or on the front, for the
   default algorithm), and all edits are allowed.
2. Only edits of the pruning genes: trained weights are inherited whole, and a trial
   finds out how far the network can be pruned when it is trained to be. The further
   readings of a trained network (see `readings`) ask the same without training, up to
   a third fewer weights; the stage reaches beyond, and across kinds of pruning.
3. All edits, and references on the Pareto set only.
"""

from collections.abc import Sequence

from spjax import genomes
from spjax.search import pareto
from spjax.search.errors import SearchError
from spjax.search.observation import Observation, objective_values
from spjax.search.settings import Settings


def starts(shares: Sequence[float], trials: int) -> tuple[int, int]:
    """First trials of stages 2 and 3.

    Args:
      shares: of the three stages in the number of trials; they sum to 1.
      trials: of the whole search.

    Raises:
      SearchError: if they are not three such shares.
    """
    if len(shares) != 3 or min(shares) < 0 or not abs(sum(shares) - 1) < 1e-6:
        raise SearchError(
            f"stages = {','.join(f'{s:g}' for s in shares)} must be three shares of "
            "the trials, none negative, that sum to 1: for example 0.6,0.2,0.2"
        )
    return round(shares[0] * trials), round((shares[0] + shares[1]) * trials)


def stage_of(settings: Settings, index: int) -> int:
    """The stage, 1 to 3, of a trial."""
    if settings.stage_starts is None:
        return 1
    return 1 + sum(index >= start for start in settings.stage_starts)


def edits_of(stage: int) -> tuple[str, ...]:
    """Names of the edits that a stage allows."""
    return genomes.PRUNING_MORPHS if stage == 2 else genomes.MORPHS


def references_of(
    stage: int, settings: Settings, trials: Sequence[Observation]
) -> list[Observation]:
    """Which completed trials a stage takes as references."""
    if stage < 3:
        return list(trials)
    keep = pareto.non_dominated(objective_values(settings, trials))
    return [trial for trial, stays in zip(trials, keep, strict=True) if stays]
