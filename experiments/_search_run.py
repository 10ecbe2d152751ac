"""A search from its flags to its results; what ``experiments.search`` calls."""

import contextlib
import dataclasses
import pathlib
import sys
import time

from experiments import (
    _cli,
    _display,
    _flags,
    _interrupts,
    _live_report,
    _results,
    _run_folder,
    _search_options,
    _trial_specs,
)
from spjax import data, deploy, report, search, training


def search_and_report(
    run_dir: pathlib.Path,
    dataset: data.Dataset,
    board: deploy.Board,
    options: _search_options.Options,
    interrupts: _interrupts.Interrupts,
) -> int:
    """Runs the search, writes the results and prints them.

    Args:
      run_dir: the run's folder.
      dataset: what to search on.
      board: its limits are those of the search.
      options: the other flags.
      interrupts: asked between two events of the search.

    Returns:
      Exit status: 0 if a network fits the board, 1 if the search ended without one,
      130 if it was interrupted.

    Raises:
      UsageError: if the run's folder cannot be used, or is not the one asked for.
      SearchError: if the search cannot go on.
      ReportError: if the results cannot be written.
    """
    config = training.TrainConfig(
        epochs=options.epochs or _search_options.epochs_for(len(dataset.train)),
        batch_size=options.batch_size,
        seed=options.seed,
    )
    console = _display.make_console()
    at_once = f", {options.together} at a time" if options.together > 1 else ""
    plan = (
        f"{options.trials} trials of {config.epochs} epoch(s){at_once}, "
        f"{options.workers} worker(s), seed {options.seed}, into {run_dir}"
    )
    _display.say_what(
        console, dataset, board, options.memory_model, options.size_model, plan
    )
    cache = _search_options.cache_folder(options.cache_dir)
    with (
        interrupts.held(),
        _open_study(run_dir, dataset, board, config, options) as study,
    ):
        head = _results.header(
            dataset,
            board,
            memory_model=options.memory_model,
            size_model=options.size_model,
            seed=options.seed,
            flags=_cli.flag_values(),
            started=study.info["started"],
        )
        try:
            _save_data(run_dir, dataset)
            _run(study, config, options, cache, head, dataset, console, interrupts)
            with console.status("testing the networks of the front, drawing"):
                rows, pick = _write(
                    run_dir, study, head, dataset, tested=True, check=interrupts.check
                )
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            if not study.num_trials:
                _run_folder.take_back(run_dir)
                if interrupted:
                    _display.say(console, "interrupted before the first trial")
            else:
                why = "interrupted" if interrupted else "stopped by an error"
                finished = study.num_finished
                _display.say_how_to_resume(console, run_dir, finished, why)
            if study.num_finished:
                # Whatever went wrong, the trials so far are there to look at.
                with contextlib.suppress(Exception):
                    _write(run_dir, study, head, dataset, tested=False)
                    _display.say_where(console, run_dir)
            if interrupted:
                return _cli.EXIT_INTERRUPTED
            if isinstance(error, search.InfeasibleError):
                limits = " ".join(_flags.board_arguments())
                raise _cli.UsageError(f"{limits}: {error}") from error
            raise
    _display.say_results(console, run_dir, rows, pick, head)
    return _status(rows, pick)


def _status(rows, pick):
    """Exit status of a search that ended; says on standard error why it is not 0."""
    if pick is not None and pick["feasible"]:
        return 0
    if any(row["status"] == "completed" for row in rows):
        why = "raise --ram_bytes or --flash_bytes, or allow more --trials"
    else:
        why = f"no training came to its end; the first one: {rows[0]['reason']}"
    limits = " ".join(_flags.board_arguments())
    print(f"error: {limits}: none of {len(rows)} trial(s) fits: {why}", file=sys.stderr)
    return _cli.EXIT_BUG


def _open_study(run_dir, dataset, board, config, options):
    settings = search.Settings(
        input_shape=dataset.input_shape,
        num_classes=dataset.num_classes,
        memory_model=options.memory_model,
        limits=(
            (options.memory_model, board.ram_bytes),
            (f"model_size_{options.size_model}", board.flash_bytes),
        ),
        seed=options.seed,
        initial_trials=options.initial_trials,
        random_share=options.random_share,
        error_bound=options.error_bound,
        size_bound=options.size_bound,
        memory_bound=options.memory_bound,
        prefer=options.prefer,
        stage_starts=options.stage_starts,
        candidates=options.candidates,
        bounds=options.bounds,
        algorithm=options.algorithm,
        population=options.population,
        size_model=options.size_model,
        together=options.together,
    )
    identity = {
        "dataset": dataset.name,
        "fingerprint": dataset.fingerprint,
        "board": board.name,
        "training": dataclasses.asdict(config),
        "flags": _run_folder.identity(),
    }
    try:
        if not options.resume:
            # Before the run counts as set up: whoever finds it finds its flags.
            run_dir.mkdir(parents=True, exist_ok=True)
            _run_folder.remember_flags(run_dir)
            return _create(run_dir, settings, identity, options)
        stored = search.read_run_file(run_dir)
        # With more --trials the stages begin where they began.
        settings = dataclasses.replace(
            settings, stage_starts=stored["settings"].stage_starts
        )
        stored = stored["config"]
        if stored["fingerprint"] != dataset.fingerprint:
            raise _cli.UsageError(
                f"--dataset={dataset.name}: its images are not those that the run in "
                f"{run_dir} was started with; bring those back, or choose another "
                "--run_dir"
            )
        # Flags that this version has and the one that started the run had not.
        identity["flags"] = stored["flags"]
        study = search.load(run_dir, settings, identity)
        _run_folder.remember_flags(run_dir)
        return study
    except OSError as error:
        raise _cli.UsageError(
            f"--run_dir={run_dir} cannot be made: {error.strerror or error}; choose "
            "another folder"
        ) from error
    except (search.StudyError, report.ReportError) as error:
        raise _cli.UsageError(f"--run_dir={run_dir}: {error}") from error


def _create(run_dir, settings, identity, options):
    """A new study, with another run's trials if they are asked for."""
    other = options.warm_start
    if other is None:
        return search.create(run_dir, settings, identity)
    try:
        kept = search.read_run_file(other)["config"]
        study = search.create(run_dir, settings, identity, earlier=other)
    except search.StudyError as error:
        # Nothing is there yet but the flags.
        (run_dir / _run_folder.FLAG_FILE).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            run_dir.rmdir()
        raise _cli.UsageError(f"--warm_start={other}: {error}") from error
    print(f"note: --warm_start={other}: {len(study.earlier)} trials were taken over")
    if kept.get("fingerprint") != identity["fingerprint"]:
        print(
            f"note: --warm_start={other}: its images are others; their errors are "
            "taken for what they would be here"
        )
    return study


def _save_data(run_dir, dataset):
    try:
        data.save_arrays(dataset, search.data_folder(run_dir))
    except OSError as error:
        raise _cli.UsageError(
            f"--run_dir={run_dir}: cannot write the images there: "
            f"{error.strerror or error}; make room there or choose another folder"
        ) from error


def _run(study, config, options, cache, head, dataset, console, interrupts):
    started, why = time.monotonic(), []

    def enough() -> bool:
        reason = options.stop.reason(study.records(), study.settings, started)
        why.extend([reason] if reason else [])
        return bool(reason)

    limits = study.settings.limit_of
    live = None
    if options.live_report:
        live = _live_report.LiveReport(study, head, dataset)
    # A worker without a trial would only take memory.
    left = max(options.trials, study.num_trials) - study.num_finished
    if not left:
        return
    workers = min(options.workers, -(-left // options.together))
    specify = _trial_specs.specs_of(study, config, options.early_stopping)
    pixels = config.epochs * dataset.train.num_pixels
    environment = search.worker_environment(pixels)
    with (
        search.WorkerPool(workers, search.start_worker, (cache,), environment) as pool,
        _display.Display(console, options.trials, study.num_finished) as display,
    ):
        events = search.run(
            study,
            pool,
            search.run_trial,
            specify,
            options.trials,
            enough,
            group_task=search.run_trials,
        )
        for event in events:
            interrupts.check()
            display.show(event, head, limits)
            if live is None:
                continue
            try:
                live.show(event)
            except report.ReportError as error:
                # The search goes on; what it finds is in the study.
                _display.say(console, f"no live report any more: {error}")
                live = None
    if why:
        _display.say(console, f"stopped: {why[0]}")


def _write(run_dir, study, head, dataset, *, tested, check=None):
    """Writes the results of the trials so far."""
    rows = _live_report.rows_of(study)
    head = {**head, "finished": _results.now()}
    if not tested:
        head["unfinished"] = True
    pick = _results.write_results(
        run_dir, rows, head, dataset, tested=tested, check=check
    )
    return rows, pick
