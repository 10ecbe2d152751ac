"""A trial of an Ax experiment in our own terms: what to train, what came of it."""

import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spjax import genomes

if TYPE_CHECKING:
    from ax.core.trial import Trial as AxTrial


@dataclasses.dataclass(frozen=True)
class Trial:
    """A genome to train.

    Attributes:
      index: the trial's number, from 0 without gaps.
      genome: canonical, valid, within the limits.
      parent: number of the trial whose weights it inherits; None for none.
      edit: ``random``, or the names of the edits joined by ``+``.
    """

    index: int
    genome: genomes.Genome
    parent: int | None
    edit: str


def trial_of(trial: "AxTrial") -> Trial:
    """What is to be trained."""
    facts = trial.run_metadata
    return Trial(
        index=trial.index,
        genome=genomes.from_flat(trial.arm.parameters),
        parent=facts.get("parent"),
        edit=facts.get("edit", ""),
    )


def genome_of(row: Mapping[str, Any]) -> genomes.Genome:
    """The genome of a row as `row_of` makes it."""
    return genomes.from_json(json.dumps(row["genome"]))


def row_of(trial: "AxTrial") -> dict[str, Any]:
    """All that is known of a trial; see `Study.records`."""
    facts, status = trial.run_metadata, trial.status
    return {
        "index": trial.index,
        "status": "completed"
        if status.is_completed
        else "stopped"
        if status.is_early_stopped
        else "failed"
        if status.is_terminal
        else "running",
        "reason": facts.get("reason"),
        "genome_id": facts.get("genome_id"),
        "genome": facts.get("genome"),
        "parent": facts.get("parent"),
        "edit": facts.get("edit"),
        "elapsed": facts.get("elapsed"),
        **facts.get("extra", {}),
        **facts.get("figures", {}),
    }
