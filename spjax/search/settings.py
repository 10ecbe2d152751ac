"""What a search is asked for: the problem, the limits and the budget of its parts."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from spjax.genomes import Bounds
from spjax.search.errors import SearchError

MEMORY_MODELS = (
    "planned_arena",
    "input_output",
    "input_weights",
    "live_bytes",
    "best_order",
)
ALGORITHMS = (
    "morphs",
    "sparse",
    "random",
    "ageing_evolution",
    "nsga2",
    "qlognehvi",
)
# The first three in the order of the objectives.
PREFERENCES = ("error", "size", "memory", "balanced")
SIZE_MODELS = ("nonzero", "dense", "encoded")
ERROR = "validation_error"
_SIZES = tuple(f"model_size_{name}" for name in SIZE_MODELS)
KNOWN_BEFORE_TRAINING = (*MEMORY_MODELS, *_SIZES, "macs")


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of a search.

    Attributes:
      input_shape: (height, width, channels) of the raw images.
      num_classes: number of classes.
      memory_model: the working-memory figure that is minimised, one of
        `MEMORY_MODELS`.
      size_model: the model size that is minimised, one of `SIZE_MODELS`: nonzero values
        without indices, all values, or all bytes of the sparse formats in flash (before
        training an estimate).
      limits: pairs (figure, largest allowed value), in bytes (MACs: a count); figures
        known before training only.
      bytes_per_element: bytes of one activation or weight on the target.
      algorithm: what proposes the trials, one of `ALGORITHMS`.
      population: size of the population of ``ageing_evolution`` and ``nsga2``.
      prefer: the part of the front that matters, one of `PREFERENCES`; see
        `preference`.
      size_bound: soft bound on the model size, in bytes, or None.
      memory_bound: the same on the working memory.
      stage_starts: first trials of SpArSe's stages 2 and 3 (see `stages`); None for
        stage 1 throughout.
      together: trials that are trained at once, as a population of one architecture;
        a proposal is made for so many (see `groups`).
      seed: nonnegative; proposals depend on it, their index and the trials before.
      initial_trials: number of random genomes at the start.
      random_share: share of random genomes among the later proposals, in [0, 1].
      candidates: genomes that each later proposal chooses from.
      error_bound: soft bound on the validation error: the search aims at errors below
        it; None to let ``prefer`` say.
      bounds: the genomes that may be visited.
    """

    input_shape: tuple[int, int, int]
    num_classes: int
    memory_model: str = "planned_arena"
    limits: tuple[tuple[str, int], ...] = ()
    bytes_per_element: int = 1
    seed: int = 0
    initial_trials: int = 10
    random_share: float = 0.0
    candidates: int = 160
    error_bound: float | None = None
    bounds: Bounds = Bounds()
    algorithm: str = "morphs"
    population: int = 20
    size_model: str = "nonzero"
    prefer: str = "balanced"
    size_bound: float | None = None
    memory_bound: float | None = None
    stage_starts: tuple[int, int] | None = None
    together: int = 1

    def __post_init__(self) -> None:
        if self.memory_model not in MEMORY_MODELS:
            raise SearchError(
                f"memory_model = {self.memory_model!r} is unknown: use one of "
                f"{', '.join(MEMORY_MODELS)}"
            )
        if self.size_model not in SIZE_MODELS:
            raise SearchError(
                f"size_model = {self.size_model!r} is unknown: use one of "
                f"{', '.join(SIZE_MODELS)}"
            )
        if self.algorithm not in ALGORITHMS:
            raise SearchError(
                f"algorithm = {self.algorithm!r} is unknown: use one of "
                f"{', '.join(ALGORITHMS)}"
            )
        if self.prefer not in PREFERENCES:
            raise SearchError(
                f"prefer = {self.prefer!r} is unknown: use one of "
                f"{', '.join(PREFERENCES)}"
            )
        for name in ("size_bound", "memory_bound"):
            bound = getattr(self, name)
            if bound is not None and not 0 < bound < np.inf:
                raise SearchError(f"{name} = {bound} must be above 0, in bytes")
        stages = self.stage_starts
        if stages is not None and not (
            len(stages) == 2 and 0 <= stages[0] <= stages[1]
        ):
            raise SearchError(
                f"stage_starts = {stages} must be two trial numbers, the second not "
                "below the first"
            )
        for name, limit in self.limits:
            if name not in KNOWN_BEFORE_TRAINING:
                raise SearchError(
                    f"limits name {name!r}, which is not known before training: use "
                    f"one of {', '.join(KNOWN_BEFORE_TRAINING)}"
                )
            if not limit > 0:
                raise SearchError(f"the limit on {name} is {limit}: it must be above 0")
        if not 0 <= self.random_share <= 1:
            raise SearchError(
                f"random_share = {self.random_share} must lie between 0 and 1"
            )
        if self.error_bound is not None and not 0 < self.error_bound <= 1:
            raise SearchError(
                f"error_bound = {self.error_bound} must be above 0 and at most 1"
            )
        for name, least in (
            ("initial_trials", 1),
            ("candidates", 1),
            ("population", 2),
            ("together", 1),
            ("seed", 0),
        ):
            if getattr(self, name) < least:
                raise SearchError(
                    f"{name} = {getattr(self, name)} must be at least {least}"
                )

    @property
    def objectives(self) -> tuple[str, str, str]:
        """Names of the figures that are minimised: error, size, working memory."""
        return ERROR, f"model_size_{self.size_model}", self.memory_model

    @property
    def limit_of(self) -> dict[str, int]:
        """The limits by figure."""
        return dict(self.limits)

    @property
    def soft_bounds(self) -> tuple[float | None, float | None, float | None]:
        """The user's soft bounds on the objectives, None where there is none."""
        return self.error_bound, self.size_bound, self.memory_bound

    def objective_limits(self) -> np.ndarray:
        """[3] limits on the objectives, ``inf`` where there is none."""
        return np.array([self.limit_of.get(name, np.inf) for name in self.objectives])

    @property
    def chance_error(self) -> float:
        """The error of guessing: what a training that failed counts as."""
        return 1 - 1 / self.num_classes

    def to_json(self) -> dict[str, Any]:
        """Returns the settings built from JSON's types."""
        tree = dataclasses.asdict(self)
        return {**_lists(tree), "bounds": _lists(tree["bounds"])}

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> "Settings":
        """Reads what `to_json` wrote.

        Raises:
          SearchError: if a field is missing, unknown or out of range.
        """
        try:
            fields = {name: _tuples(value) for name, value in tree.items()}
            fields["bounds"] = Bounds(
                **{name: _tuples(value) for name, value in tree["bounds"].items()}
            )
            return cls(**fields)
        except (TypeError, KeyError, AttributeError) as error:
            raise SearchError(f"the search's settings are damaged: {error}") from error


def _lists(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: [list(v) if isinstance(v, tuple) else v for v in value]
        if isinstance(value, tuple)
        else value
        for name, value in tree.items()
    }


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
