"""A study's experiment in SQLite, by Ax's SQLAlchemy storage.

Only what changes is written: a new trial and a finished trial cost some tens of
milliseconds each, however long the study is. Ax keeps its database session in a global
variable; every operation here brings a session of its own and leaves that alone.

Ax writes a trial and its data in separate transactions. A trial that was completed in
the first but has no data (the process died in between) is mended on loading, from the
copy of the figures in the trial itself.
"""

import contextlib
import logging
import os
import pathlib
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from spjax.search.errors import StudyError
from spjax.search.settings import KNOWN_BEFORE_TRAINING, Settings

if TYPE_CHECKING:
    from ax.core.experiment import Experiment
    from ax.core.generator_run import GeneratorRun
    from ax.core.trial import Trial
    from ax.generation_strategy.generation_strategy import GenerationStrategy

DATABASE = "study.db"
EXPERIMENT = "spjax"
_NODE = "MorphThompson"


def new_experiment(
    settings: Settings,
) -> tuple["Experiment", "GenerationStrategy"]:
    """Makes an Ax experiment with three objectives, limits and bounds as thresholds.

    Args:
      settings: the search.

    Returns:
      The experiment, not stored yet, and the strategy that generates its trials.
    """
    with _quiet_ax():
        from ax.api.client import Client
        from ax.generation_strategy.generation_strategy import GenerationStrategy

        from spjax.search import node

        client = Client(random_seed=settings.seed)
        client.configure_experiment(
            name=EXPERIMENT, parameters=node.parameters(settings)
        )
        # A limit on an objective is its threshold, on another figure a constraint; a
        # soft bound below the limit is where Ax's own methods are to aim, too.
        allowed = dict(settings.limits)
        for name, bound in zip(settings.objectives, settings.soft_bounds, strict=True):
            if bound is not None:
                allowed[name] = min(bound, allowed.get(name, bound))
        client.configure_optimization(
            objective=", ".join(f"-{name}" for name in settings.objectives),
            outcome_constraints=[f"{name} <= {n}" for name, n in allowed.items()],
        )
        used = {*settings.objectives, *settings.limit_of}
        client.configure_tracking_metrics(
            [name for name in KNOWN_BEFORE_TRAINING if name not in used]
        )
        strategy = GenerationStrategy(
            name="SpArSe",
            nodes=[node.MorphThompsonNode(_NODE, settings.to_json())],
        )
        client.set_generation_strategy(strategy)
        # The public client has no way to hand its experiment out.
        return client._experiment, strategy


def create(
    run_dir: str | os.PathLike, experiment: "Experiment", strategy: "GenerationStrategy"
) -> None:
    """Stores a new experiment, replacing the database if there is one.

    Raises:
      StudyError: if it cannot be written.
    """
    with _session(run_dir, fresh=True) as config:
        from ax.storage.sqa_store import db, save

        db.create_all_tables(db.get_engine())
        save.save_experiment(experiment, config)
        save.save_generation_strategy(strategy, config)


def load(
    run_dir: str | os.PathLike, *, mend: bool = True
) -> tuple["Experiment", "GenerationStrategy"]:
    """Loads the experiment and its strategy.

    Args:
      run_dir: the run's folder.
      mend: whether data that was lost is written again; not by mere readers.

    Raises:
      StudyError: if there is no database or it is damaged.
    """
    if not (pathlib.Path(run_dir) / DATABASE).is_file():
        raise StudyError(f"{run_dir} holds no {DATABASE}: there is nothing to resume")
    with _session(run_dir, reading=True) as config:
        from ax.storage.sqa_store import load as loading

        experiment = loading.load_experiment(
            EXPERIMENT, config, load_auxiliary_experiments=False
        )
        strategy = loading.load_generation_strategy_by_experiment_name(
            EXPERIMENT, config
        )
    # The strategy comes with a copy of the experiment.
    strategy.experiment = experiment
    if mend:
        _mend(run_dir, experiment)
    return experiment, strategy


def save_trial(
    run_dir: str | os.PathLike, experiment: "Experiment", trial: "Trial"
) -> None:
    """Writes a new or changed trial and its data.

    Raises:
      StudyError: if it cannot be written.
    """
    with _session(run_dir) as config:
        from ax.storage.sqa_store import save

        save.save_or_update_trial(experiment, trial, config)


def run_of(point: Mapping[str, Any]) -> "GeneratorRun":
    """A point that no generator chose, in the form in which trials take points."""
    from ax.core.arm import Arm
    from ax.core.generator_run import GeneratorRun

    return GeneratorRun(arms=[Arm(parameters=dict(point))])


def attach_figures(
    experiment: "Experiment", trial: "Trial", figures: Mapping[str, Any]
) -> None:
    """Adds a trial's figures, those that are metrics, to the experiment's data."""
    import pandas as pd
    from ax.core.data import Data

    rows = [
        {
            "trial_index": trial.index,
            "arm_name": trial.arm.name,
            "metric_name": name,
            "metric_signature": name,
            "mean": float(figures[name]),
            "sem": 0.0 if name in KNOWN_BEFORE_TRAINING else float("nan"),
        }
        for name in experiment.metrics
        if figures.get(name) is not None
    ]
    if rows:
        experiment.attach_data(Data(df=pd.DataFrame(rows)))


def _mend(run_dir: str | os.PathLike, experiment: "Experiment") -> None:
    with_data = set(experiment.lookup_data().df["trial_index"])
    for index, trial in experiment.trials.items():
        figures = trial.run_metadata.get("figures")
        ended = trial.status.is_completed or trial.status.is_early_stopped
        if ended and figures and index not in with_data:
            attach_figures(experiment, trial, figures)
            save_trial(run_dir, experiment, trial)


@contextlib.contextmanager
def _session(
    run_dir: str | os.PathLike, *, fresh: bool = False, reading: bool = False
) -> Iterator[Any]:
    """An Ax session on the run's database; yields the storage's configuration."""
    path = pathlib.Path(run_dir).absolute() / DATABASE
    with _quiet_ax():
        from ax.exceptions.storage import SQADecodeError, SQAEncodeError
        from ax.storage.sqa_store import db
        from sqlalchemy import URL
        from sqlalchemy.exc import SQLAlchemyError

        from spjax.search.node import BUNDLE

        # Half a minute's patience with a program that reads the database.
        url = URL.create("sqlite", database=str(path), query={"timeout": "30"})
        try:
            if fresh:
                path.parent.mkdir(parents=True, exist_ok=True)
                for stale in path.parent.glob(f"{DATABASE}*"):
                    stale.unlink()
            with db.session_context(url=url):
                yield BUNDLE.sqa_config
        except (SQLAlchemyError, OSError) as error:
            cause = " ".join(str(getattr(error, "orig", None) or error).split())
            verb = "read" if reading else "write"
            advice = (
                "is it a study of this program?"
                if reading
                else "make room there or choose another folder; what was written "
                "before can be resumed"
            )
            raise StudyError(f"cannot {verb} {path}: {cause}; {advice}") from error
        except (SQADecodeError, SQAEncodeError) as error:
            raise StudyError(f"{path} is damaged: {error}") from error


@contextlib.contextmanager
def _quiet_ax() -> Iterator[None]:
    """Keeps the notices that Ax writes to the terminal out of a program's output."""
    previous = logging.root.manager.disable
    logging.disable(max(previous, logging.WARNING))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
