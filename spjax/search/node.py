"""The search as a node of an Ax generation strategy, and its search space.

Importing this module imports Ax and PyTorch (seconds, hundreds of megabytes): only the
main process does so, and late.

An Ax database that holds this node is opened with the registry bundle given here::

    from ax.api.client import Client
    from ax.api.configs import StorageConfig
    config = StorageConfig(url="sqlite:////.../study.db", registry_bundle=BUNDLE)
    client = Client.load_from_database("spjax", storage_config=config)
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig
from ax.core.data import Data
from ax.core.experiment import Experiment
from ax.core.types import TParameterization
from ax.generation_strategy.external_generation_node import ExternalGenerationNode
from ax.generation_strategy.transition_criterion import TransitionCriterion
from ax.storage.json_store.registry import (
    CORE_DECODER_REGISTRY,
    CORE_ENCODER_REGISTRY,
)
from ax.storage.metric_registry import CORE_METRIC_REGISTRY
from ax.storage.registry_bundle import RegistryBundle
from ax.storage.runner_registry import CORE_RUNNER_REGISTRY

from spjax import genomes
from spjax.search.algorithms import algorithm
from spjax.search.ax_method import ax_proposal
from spjax.search.early_stop import PREDICTED
from spjax.search.observation import Observation, Proposal
from spjax.search.settings import Settings

_STATUSES = {"COMPLETED": "completed", "EARLY_STOPPED": "stopped", "FAILED": "failed"}


class MorphThompsonNode(ExternalGenerationNode):
    """Proposes genomes by the algorithm that the settings name.

    ``earlier`` may be set to observations that are no trials of the experiment; see
    `spjax.search.warm_start`. It is not stored with the node.

    Args:
      name: the node's name in its strategy.
      settings: the search, as `Settings.to_json` writes it.
      transition_criteria: when the strategy leaves this node; as in Ax.
    """

    def __init__(
        self,
        name: str,
        settings: Mapping[str, Any],
        transition_criteria: list[TransitionCriterion] | None = None,
    ) -> None:
        super().__init__(
            name=name,
            # Proposals differ from every earlier trial already.
            should_deduplicate=False,
            transition_criteria=transition_criteria,
        )
        # Ax would turn to Sobol points, most of them no networks, where we fail.
        self.fallback_specs = {}
        self.settings = Settings.from_json(settings)
        self.earlier: Sequence[Observation] = ()
        self._observations: list[Observation] = []
        self._proposals: dict[genomes.Genome, Proposal] = {}

    def proposal_for(self, genome: genomes.Genome) -> Proposal:
        """Returns the proposal that a generated genome came from."""
        return self._proposals[genome]

    def update_generator_state(self, experiment: Experiment, data: Data) -> None:
        """Reads the trials so far; called by Ax before candidates are asked for."""
        self._seen = experiment, data
        self._observations = observations(experiment, data, self.settings)
        known = {o.genome for o in self._observations}
        # What was handed out but is no trial yet counts as under way.
        self._proposals = {g: p for g, p in self._proposals.items() if g not in known}

    def get_next_candidate(
        self, pending_parameters: list[TParameterization]
    ) -> TParameterization:
        """Returns the flat point of the next genome; called by Ax."""
        count = len(self._observations)
        waiting = [
            Observation(count + i, genome, "running")
            for i, genome in enumerate(self._proposals)
        ]
        index = count + len(waiting)
        known = [*self.earlier, *self._observations, *waiting]
        if self.settings.algorithm == "qlognehvi":
            proposal = ax_proposal(self.settings, known, index, *self._seen)
        else:
            chosen = algorithm(self.settings.algorithm)
            proposal = chosen(self.settings, known, index)
        self._proposals[proposal.genome] = proposal
        return dict(genomes.to_flat(proposal.genome, self.settings.bounds))


def observations(
    experiment: Experiment, data: Data, settings: Settings
) -> list[Observation]:
    """The experiment's trials as the proposals see them, by index."""
    figures: dict[int, dict[str, float]] = {}
    if len(data.df):
        columns = (data.df[c] for c in ("trial_index", "metric_name", "mean"))
        for index, name, mean in zip(*columns, strict=True):
            figures.setdefault(int(index), {})[name] = float(mean)
    names = {*settings.objectives, *settings.limit_of}
    seen = []
    for index, trial in sorted(experiment.trials.items()):
        # Ax stores its data with 10 decimals; the copy in the trial is exact, so that
        # proposals after a resumption are the same to the last bit.
        values = trial.run_metadata.get("figures") or figures.get(index, {})
        status = _STATUSES.get(trial.status.name, "running")
        needed = names
        if status == "stopped":
            needed = {PREDICTED}
            values = {n: v for n, v in values.items() if n in needed}
        if status in ("completed", "stopped") and not needed <= set(values):
            status = "failed"  # Without its figures it teaches nothing else.
        readings = trial.run_metadata.get("extra", {}).get("readings") or ()
        seen.append(
            Observation(
                index,
                genomes.from_flat(trial.arm.parameters),
                status,
                values if status in ("completed", "stopped") else {},
                tuple(r for r in readings if status == "completed" and names <= set(r)),
            )
        )
    return seen


def parameters(
    settings: Settings,
) -> list[RangeParameterConfig | ChoiceParameterConfig]:
    """The flat genome space as Ax parameters; Ax's own methods can search it too."""
    configs = []
    for gene in genomes.flat_space(settings.bounds, settings.input_shape):
        if gene.choices or gene.low == gene.high:
            values = list(gene.choices) or [gene.low]
            kind = type(values[0]).__name__
            ordered = kind != "str" or len(values) == 2
            configs.append(
                ChoiceParameterConfig(gene.name, values, kind, is_ordered=ordered)
            )
        else:
            scaling = "log" if gene.log else "linear"
            configs.append(
                RangeParameterConfig(
                    gene.name, (gene.low, gene.high), gene.kind, scaling=scaling
                )
            )
    return configs


def _node_to_json(node: MorphThompsonNode) -> dict[str, Any]:
    return {
        "__type": "MorphThompsonNode",
        "name": node.name,
        "settings": node.settings.to_json(),
        "transition_criteria": node.transition_criteria,
    }


BUNDLE = RegistryBundle(
    metric_clss=dict(CORE_METRIC_REGISTRY),
    runner_clss=dict(CORE_RUNNER_REGISTRY),
    json_encoder_registry={**CORE_ENCODER_REGISTRY, MorphThompsonNode: _node_to_json},
    json_decoder_registry={
        **CORE_DECODER_REGISTRY,
        "MorphThompsonNode": MorphThompsonNode,
    },
)
