"""A study: the trials of one search, proposed by Ax and kept in a run directory.

    with study.create("runs/digits", settings, config) as search:
        trial = search.propose()
        ...
        search.complete(trial.index, figures, {"seconds": 3.2})

Everything is on disk when a call returns. A process may be killed at any moment: the
trials that were under way are given again by `Study.pending` after `load`, with the
numbers they had, so that a resumed search has neither gaps nor duplicates.
"""

import datetime
import json
import os
import pathlib
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from spjax import genomes
from spjax.search import storage, warm_start
from spjax.search.early_stop import PREDICTED
from spjax.search.errors import StudyError
from spjax.search.lock import RunLock
from spjax.search.run_file import (
    RUN_FILE,
    check_same,
    read_run_file,
    write_run_file,
)
from spjax.search.settings import ERROR, Settings
from spjax.search.trial_row import Trial, row_of, trial_of

if TYPE_CHECKING:
    from ax.core.experiment import Experiment
    from ax.core.generator_run import GeneratorRun
    from ax.core.trial import Trial as AxTrial
    from ax.generation_strategy.generation_strategy import GenerationStrategy


def exists(run_dir: str | os.PathLike) -> bool:
    """Whether the folder holds a run that `load` can continue."""
    return (pathlib.Path(run_dir) / RUN_FILE).exists()


def create(
    run_dir: str | os.PathLike,
    settings: Settings,
    config: Mapping[str, Any] | None = None,
    *,
    earlier: str | os.PathLike | None = None,
) -> "Study":
    """Starts a study.

    Args:
      run_dir: its folder; made if missing.
      settings: the search.
      config: flags and facts that must be the same when it is resumed; JSON's types.
      earlier: folder of another run whose trials are earlier observations of this one
        (see `warm_start`); None for none.

    Returns:
      The study, which holds the folder until it is closed.

    Raises:
      StudyError: if the folder holds a run, is in use, or cannot be written; or the
        earlier run is not there or does not match.
    """
    if exists(run_dir):
        raise StudyError(
            f"{run_dir} holds a run already: resume it (--resume) or choose another "
            f"folder"
        )
    selected = []
    if earlier is not None:
        other, rows = read_run_file(earlier)["settings"], read_records(earlier)
        selected = warm_start.select(earlier, rows, other, settings)
    try:
        os.makedirs(run_dir, exist_ok=True)
    except OSError as error:
        raise StudyError(
            f"cannot make the folder {run_dir}: {error.strerror or error}; choose "
            f"another one"
        ) from error
    lock = RunLock(run_dir)
    try:
        experiment, strategy = storage.new_experiment(settings)
        storage.create(run_dir, experiment, strategy)
        warm_start.keep(run_dir, earlier, selected)
        # Last: a folder without it was not set up whole and may be set up again.
        write_run_file(run_dir, settings, config or {})
        stored = read_run_file(run_dir)
        return Study(run_dir, stored, experiment, strategy, lock)
    except BaseException:
        lock.release()
        raise


def load(
    run_dir: str | os.PathLike,
    settings: Settings | None = None,
    config: Mapping[str, Any] | None = None,
) -> "Study":
    """Continues a study.

    Args:
      run_dir: its folder.
      settings: the search as it is asked for now; None to take what is stored.
      config: as `create` had it, now; None to take what is stored.

    Returns:
      The study, which holds the folder until it is closed.

    Raises:
      StudyError: if there is none, it is damaged, in use, or was started otherwise.
    """
    stored = read_run_file(run_dir)
    check_same(run_dir, stored, settings, config)
    lock = RunLock(run_dir)
    try:
        experiment, strategy = storage.load(run_dir)
        return Study(run_dir, stored, experiment, strategy, lock)
    except BaseException:
        lock.release()
        raise


def read_records(run_dir: str | os.PathLike) -> list[dict[str, Any]]:
    """Returns a run's rows without holding its folder; see `Study.records`.

    Raises:
      StudyError: if there is none, or it is damaged.
    """
    experiment, _ = storage.load(run_dir, mend=False)
    return [row_of(trial) for _, trial in sorted(experiment.trials.items())]


class Study:
    """Made by `create` and `load`; use as a context manager, or `close` it.

    Attributes:
      run_dir: its folder.
      settings: the search.
      config: what was given to `create`.
      info: the whole content of ``run.json``: versions, time of the start.
      earlier: observations from another run; see `warm_start`.
    """

    def __init__(
        self,
        run_dir: str | os.PathLike,
        stored: Mapping[str, Any],
        experiment: "Experiment",
        strategy: "GenerationStrategy",
        lock: RunLock,
    ) -> None:
        self.run_dir = pathlib.Path(run_dir)
        self.settings: Settings = stored["settings"]
        self.config: dict[str, Any] = stored["config"]
        self.info = dict(stored)
        self._experiment = experiment
        self._strategy = strategy
        self._lock = lock
        self.earlier = warm_start.read(run_dir)
        strategy.current_node.earlier = self.earlier

    def __enter__(self) -> "Study":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets the folder go."""
        self._lock.release()

    @property
    def num_trials(self) -> int:
        """Trials proposed so far, those under way included."""
        return len(self._experiment.trials)

    @property
    def num_finished(self) -> int:
        """Trials completed, stopped early or failed."""
        return sum(t.status.is_terminal for t in self._experiment.trials.values())

    @property
    def num_completed(self) -> int:
        """Trials that gave a result."""
        return sum(t.status.is_completed for t in self._experiment.trials.values())

    def propose(self) -> Trial:
        """Chooses the next genome, stores it as under way and returns it.

        Raises:
          InfeasibleError: if no new genome within the limits can be found.
          StudyError: if it cannot be stored.
        """
        [[run]] = self._strategy.gen(experiment=self._experiment, n=1, num_trials=1)
        genome = genomes.from_flat(run.arms[0].parameters)
        proposal = self._strategy.current_node.proposal_for(genome)
        return self._begin(run, genome, proposal.parent, proposal.edit)

    def add(self, genome: genomes.Genome, parent: int | None, edit: str) -> Trial:
        """Stores a genome that was chosen elsewhere as under way and returns it.

        Args:
          genome: canonical, valid, within the bounds and limits; no trial's yet.
          parent: as of a `Trial`; so is the edit.
          edit: what was done to its parent.

        Raises:
          StudyError: if it cannot be stored.
        """
        run = storage.run_of(genomes.to_flat(genome, self.settings.bounds))
        return self._begin(run, genome, parent, edit)

    def _begin(
        self,
        run: "GeneratorRun",
        genome: genomes.Genome,
        parent: int | None,
        edit: str,
    ) -> Trial:
        trial = self._experiment.new_trial(generator_run=run)
        trial.update_run_metadata(
            {
                "genome_id": genomes.genome_id(genome),
                "genome": json.loads(genomes.to_json(genome)),
                "parent": parent,
                "edit": edit,
            }
        )
        trial.mark_running(no_runner_required=True)
        self._save(trial)
        return trial_of(trial)

    def pending(self) -> list[Trial]:
        """Returns the trials that are under way, by index."""
        return [
            trial_of(trial)
            for _, trial in sorted(self._experiment.trials.items())
            if not trial.status.is_terminal
        ]

    def complete(
        self,
        index: int,
        figures: Mapping[str, float],
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """Stores a trial's result.

        Args:
          index: the trial's number.
          figures: numbers by name: the three objectives, and others. Those that are
            metrics of the Ax experiment enter its data.
          extra: whatever else is to be in the trial's row, of JSON's types.

        Raises:
          StudyError: if the trial is not under way, an objective is missing, or it
            cannot be stored.
        """
        trial = self._running(index)
        for name in self.settings.objectives:
            if figures.get(name) is None:
                raise StudyError(f"trial {index} was completed without {name}")
        trial.update_run_metadata(
            {
                "figures": dict(figures),
                "extra": dict(extra or {}),
                "elapsed": self._elapsed(),
            }
        )
        storage.attach_figures(self._experiment, trial, figures)
        trial.mark_completed()
        self._save(trial)

    def stop(
        self,
        index: int,
        reason: str,
        figures: Mapping[str, float],
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """Stores that a trial was stopped early; see `spjax.search.early_stop`.

        Args:
          index: the trial's number.
          reason: one line.
          figures: ``predicted_error``, and what is known without its final error.
          extra: as for `complete`.

        Raises:
          StudyError: if the trial is not under way, there is no prediction or the
            error itself, or it cannot be stored.
        """
        trial = self._running(index)
        if figures.get(PREDICTED) is None or ERROR in figures:
            raise StudyError(
                f"trial {index} was stopped with the figures {', '.join(figures)}: it "
                f"needs {PREDICTED} and cannot have {ERROR}"
            )
        trial.update_run_metadata(
            {
                "reason": reason,
                "figures": dict(figures),
                "extra": dict(extra or {}),
                "elapsed": self._elapsed(),
            }
        )
        # Ax's data has no predictions: an error there is one that was measured.
        storage.attach_figures(self._experiment, trial, figures)
        trial.mark_early_stopped(reason=reason, unsafe=True)
        self._save(trial)

    def fail(
        self, index: int, reason: str, extra: Mapping[str, Any] | None = None
    ) -> None:
        """Stores that a trial gave no result; proposals learn from it.

        Args:
          index: the trial's number.
          reason: one line.
          extra: as for `complete`.

        Raises:
          StudyError: if the trial is not under way, or it cannot be stored.
        """
        trial = self._running(index)
        trial.update_run_metadata(
            {"reason": reason, "extra": dict(extra or {}), "elapsed": self._elapsed()}
        )
        trial.mark_failed(reason=reason)
        self._save(trial)

    def records(self) -> list[dict[str, Any]]:
        """Returns one plain row per trial, by index.

        Keys: ``index``, ``status`` (``completed``, ``stopped``, ``failed`` or
        ``running``), ``reason``, ``genome_id``, ``genome`` (JSON object), ``parent``,
        ``edit``, ``elapsed`` (seconds from the first proposal to its end, pauses
        included), and the figures and extras that the trial ended with.
        """
        return [row_of(trial) for _, trial in sorted(self._experiment.trials.items())]

    def record(self, index: int) -> dict[str, Any]:
        """Returns one trial's row; see `records`."""
        return row_of(self._experiment.trials[index])

    def _elapsed(self) -> float:
        """Seconds since the first trial was proposed."""
        first = self._experiment.trials[0].time_created
        return round((datetime.datetime.now() - first).total_seconds(), 3)

    def _running(self, index: int) -> "AxTrial":
        trial = self._experiment.trials.get(index)
        if trial is None or trial.status.is_terminal:
            raise StudyError(f"trial {index} is not under way")
        return trial

    def _save(self, trial: "AxTrial") -> None:
        storage.save_trial(self.run_dir, self._experiment, trial)
