"""Random genomes that meet the limits, and a clear answer where none does."""

from collections.abc import Mapping, Set

import numpy as np

from spjax import genomes
from spjax.genomes import Genome, GenomeError
from spjax.search.errors import InfeasibleError
from spjax.search.settings import Settings
from spjax.search.static_cost import static_cost

_DRAWS = 300
_STARTS = 12
_STEPS = 300
_PATIENCE = 60


def fits(figures: Mapping[str, float], limits: Mapping[str, float]) -> bool:
    """Whether all limited figures are within their limits."""
    return all(figures[name] <= limit for name, limit in limits.items())


def cost_of(genome: Genome, settings: Settings) -> dict[str, int]:
    """What a genome costs on the target; see `static_cost`.

    Of the models that take a plan, only those that the search asks for.
    """
    return static_cost(
        genome,
        settings.input_shape,
        settings.num_classes,
        bytes_per_element=settings.bytes_per_element,
        planned={*settings.objectives, *settings.limit_of},
    )


def draw_feasible(
    rng: np.random.Generator, settings: Settings, taken: Set[Genome]
) -> Genome:
    """Draws a random genome that is within the limits and was not taken.

    Uniform draws come first. If none fits, the nearest ones are walked downhill, one
    edit at a time, until one does.

    Args:
      rng: source of randomness.
      settings: the search.
      taken: canonical genomes that may not be drawn.

    Returns:
      A canonical, valid genome.

    Raises:
      InfeasibleError: if none is found; names the limits and the smallest values met.
    """
    shape, limits = settings.input_shape, settings.limit_of
    seen: list[tuple[float, Genome]] = []
    least: dict[str, float] = {}
    exhausted = False
    for _ in range(_DRAWS):
        genome = genomes.random_genome(rng, shape, settings.bounds)
        excess = _excess(genome, settings, least)
        if excess > 0:
            seen.append((excess, genome))
        elif genome not in taken:
            return genome
        else:
            exhausted = True
    seen.sort(key=lambda pair: pair[0])
    for _, genome in seen[:_STARTS]:
        found, known = _walk(rng, settings, genome, taken, least)
        if found is not None:
            return found
        exhausted |= known
    if exhausted:
        raise InfeasibleError(
            f"no new genome within the limits was found beside the {len(taken)} of "
            f"this search: ask for fewer trials, or widen the bounds or the limits"
        )
    wanted = " and ".join(f"{name} <= {limit:,}" for name, limit in limits.items())
    found = ", ".join(f"{name} = {least[name]:,}" for name in limits)
    raise InfeasibleError(
        f"no network for images of shape {'x'.join(map(str, shape))} was found that "
        f"meets {wanted}; the smallest met, each by itself: {found}: raise the limit "
        f"or use smaller images"
    )


def nearest_feasible(
    rng: np.random.Generator, settings: Settings, genome: Genome, taken: Set[Genome]
) -> Genome | None:
    """Walks from a valid genome to one within the limits that was not taken.

    Args:
      rng: source of randomness.
      settings: the search.
      genome: where to start; itself the answer if it will do.
      taken: canonical genomes that may not be the answer.

    Returns:
      The genome, or None if the walk ended without one.
    """
    cost = cost_of(genome, settings)
    if genome not in taken and fits(cost, settings.limit_of):
        return genome
    return _walk(rng, settings, genome, taken, {})[0]


def _walk(
    rng: np.random.Generator,
    settings: Settings,
    genome: Genome,
    taken: Set[Genome],
    least: dict[str, float],
) -> tuple[Genome | None, bool]:
    """Edits a genome downhill; also tells whether it met only taken ones."""
    shape, exhausted, last = settings.input_shape, False, 0
    excess = _excess(genome, settings, least)
    for step in range(_STEPS):
        if step - last > _PATIENCE:
            break
        try:
            child, _ = genomes.morph(rng, genome, shape, settings.bounds)
            if rng.random() < 0.5:  # Two edits at once leave some dead ends.
                child, _ = genomes.morph(rng, child, shape, settings.bounds)
        except GenomeError:  # A space with a single genome.
            break
        now = _excess(child, settings, least)
        if now == 0:
            if child not in taken:
                return child, exhausted
            exhausted = True
        if now < excess:
            last = step
        if now <= excess:
            genome, excess = child, now
    return None, exhausted


def _excess(genome: Genome, settings: Settings, least: dict[str, float]) -> float:
    """Sum of the relative excesses over the limits; notes the smallest figures."""
    cost, total = cost_of(genome, settings), 0.0
    for name, limit in settings.limits:
        least[name] = min(least.get(name, cost[name]), cost[name])
        total += max(0.0, cost[name] / limit - 1)
    return total
