"""The genomes that a proposal chooses from: morphs, crossings and new draws.

A candidate is new, valid and within the limits, and carries what it costs, which is
known without training.
"""

import dataclasses
from collections.abc import Callable, Sequence, Set

import numpy as np

from spjax import genomes
from spjax.genomes import Genome, GenomeError
from spjax.search.drawing import cost_of, fits
from spjax.search.observation import Observation, Proposal
from spjax.search.settings import Settings

_ATTEMPTS_PER_CANDIDATE = 4


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A proposal and what it costs.

    Attributes:
      proposal: the genome and where it comes from.
      cost: its figures, from `static_cost`.
    """

    proposal: Proposal
    cost: dict[str, int]


def draw_pool(
    settings: Settings, draw: Callable[[], Proposal | None], taken: Set[Genome],
    count: int,
) -> list[Candidate]:  # fmt: skip
    """Draws candidates until there are enough, or a multiple of attempts is spent.

    Args:
      settings: the search.
      draw: makes one candidate; None, or one that was taken or breaks a limit, is an
        attempt in vain.
      taken: canonical genomes that may not be candidates.
      count: how many are wanted.

    Returns:
      At most ``count`` candidates, no two alike.
    """
    pool, seen = [], set(taken)
    for _ in range(_ATTEMPTS_PER_CANDIDATE * count):
        if len(pool) == count:
            break
        proposal = draw()
        if proposal is None or proposal.genome in seen:
            continue
        seen.add(proposal.genome)
        cost = cost_of(proposal.genome, settings)
        if fits(cost, settings.limit_of):
            pool.append(Candidate(proposal, cost))
    return pool


def new_draw(rng: np.random.Generator, settings: Settings) -> Proposal:
    """A random genome."""
    genome = genomes.random_genome(rng, settings.input_shape, settings.bounds)
    return Proposal(genome, None, "random")


def morph_of(
    rng: np.random.Generator,
    settings: Settings,
    origin: Proposal,
    names: Sequence[str] | None = None,
) -> Proposal | None:
    """One to several edits of a genome: one in half of all cases, two in a quarter, ..

    Args:
      rng: source of randomness.
      settings: the search.
      origin: the genome; its parent is the child's, and its edit, unless empty, the
        first of the child's.
      names: the edits to choose from; None for all.

    Returns:
      The child, or None if no edit of these names applies.
    """
    genome, edits = origin.genome, [origin.edit] if origin.edit else []
    for _ in range(rng.geometric(0.5)):
        try:
            genome, edit = genomes.morph(
                rng, genome, settings.input_shape, settings.bounds, names
            )
        except GenomeError:
            return None
        edits.append(edit)
    return Proposal(genome, origin.parent, "+".join(edits))


def cross(
    rng: np.random.Generator, settings: Settings, first: Genome, second: Genome
) -> Genome | None:
    """Takes every gene from either parent; None if that is no network for the image."""
    flat = [genomes.to_flat(g, settings.bounds) for g in (first, second)]
    mixed = {name: flat[rng.integers(2)][name] for name in flat[0]}
    try:
        genome = genomes.canonical(genomes.from_flat(mixed))
        genomes.validate(genome, settings.input_shape)
        genomes.check_within(genome, settings.bounds)
    except GenomeError:
        return None
    return genome


def of_trial(trial: Observation) -> Proposal:
    """A trial as an origin of morphs: they inherit its weights."""
    return Proposal(trial.genome, trial.index, "")
