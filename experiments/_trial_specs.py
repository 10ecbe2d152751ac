"""What a search tells a worker of each trial."""

from collections.abc import Callable

from spjax import genomes, search, training


def specs_of(
    study: search.Study, config: training.TrainConfig, early_stopping: bool
) -> Callable[[search.Trial], search.TrialSpec]:
    """How the trials of a study are specified.

    Args:
      study: the search.
      config: settings of every training.
      early_stopping: whether trials stop when they are hopeless.

    Returns:
      ``specify(trial) -> spec``, asked when a worker takes the trial.
    """

    def specify(trial: search.Trial) -> search.TrialSpec:
        weights, stops = search.weights_of(study.run_dir, trial.parent), None
        if early_stopping:
            # Of this moment: the same when the run is resumed before the trial.
            stops = search.stop_table(
                study.records(), study.settings, trial.genome, config.epochs
            )
        return search.TrialSpec(
            run_dir=str(study.run_dir),
            index=trial.index,
            genome=genomes.to_json(trial.genome),
            config=config,
            init=None if trial.parent is None else str(weights),
            stops=stops,
        )

    return specify
