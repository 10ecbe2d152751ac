r"""Searches networks for a board: data in, a Pareto front out.

    python -m experiments.search                       # digits, uno: a few minutes
    python -m experiments.search --dataset=mnist --board=microbit --trials=100 \
        --workers=2 --run_dir=runs/mnist --seed=0
    python -m experiments.search --run_dir=runs/mnist --resume

A run may be stopped at any moment, by Ctrl-C or by a crash; ``--resume`` goes on with
the flags that it was started with. A larger ``--trials`` prolongs it.
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from experiments import _cli, _flags, _interrupts

# The rest is imported in functions: worker processes import this module again.

flags.adopt_module_key_flags(_flags)
flags.adopt_module_key_flags(_cli)
_TRIALS = flags.DEFINE_integer(
    "trials", 40, "Networks to train, failed ones included.", lower_bound=1
)
_WORKERS = flags.DEFINE_integer(
    "workers",
    None,
    "Worker processes; if not given 2, or 1 on a single core or an accelerator.",
    lower_bound=1,
)
_TOGETHER = flags.DEFINE_integer(
    "together",
    None,
    "Networks of one architecture that a worker trains at once, each a trial of its "
    "own: the one that was chosen, and others with their own learning rate, kind of "
    "pruning and sparsity. Trials with noisy kinds of pruning are trained alone; none "
    "is stopped early. If not given 1, or 16 on an accelerator.",
    lower_bound=1,
)
_RUN_DIR = flags.DEFINE_string(
    "run_dir", None, "Folder of the run; runs/DATASET-BOARD if not given."
)
_RESUME = flags.DEFINE_bool("resume", False, "Go on with the run in --run_dir.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the search.", lower_bound=0)
_EPOCHS = flags.DEFINE_integer(
    "epochs",
    None,
    "Passes over the data a trial; if not given 30, or less on large sets "
    "(1,500,000 images in all, at least 5 passes).",
    lower_bound=1,
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Images a step.", lower_bound=1)
_MEMORY_MODEL = flags.DEFINE_enum(
    "memory_model",
    "planned_arena",
    ["planned_arena", "input_output", "input_weights", "live_bytes", "best_order"],
    "Which working memory is minimised and held to the board's RAM.",
)
_SIZE_MODEL = flags.DEFINE_enum(
    "size_model",
    "nonzero",
    ["nonzero", "dense", "encoded"],
    "Which model size is minimised and held to the board's flash: nonzero values "
    "without indices, all values, or the bytes of the sparse formats in flash.",
)
_INITIAL_TRIALS = flags.DEFINE_integer(
    "initial_trials",
    None,
    "Trials with random networks before the first morphs; if not given 10, or 1 with "
    "--warm_start, times --together.",
    lower_bound=1,
)
_CANDIDATES = flags.DEFINE_integer(
    "candidates", 160, "Genomes that a proposal chooses from.", lower_bound=1
)
_RANDOM_SHARE = flags.DEFINE_float(
    "random_share", 0.0, "Share of random genomes after the first ones.", 0.0, 1.0
)
_ALGORITHM = flags.DEFINE_enum(
    "algorithm",
    "morphs",
    ["morphs", "sparse", "random", "ageing_evolution", "nsga2", "qlognehvi"],
    "What chooses the networks: `morphs` is SpArSe's way, improved, and `sparse` is "
    "SpArSe's own; the others are there to compare with.",
)
_PREFER = flags.DEFINE_enum(
    "prefer",
    "balanced",
    ["error", "size", "memory", "balanced"],
    "Which end of the front matters: networks within four times the least error, size "
    "or memory so far, or all within the board's limits.",
)
_STAGES = flags.DEFINE_list(
    "stages",
    None,
    "Shares of the trials for SpArSe's three stages (all edits; pruning only; "
    "references on the front only); 0.6,0.2,0.2 for --algorithm=sparse and 1,0,0 for "
    "the others if not given. What --resume adds is of the last stage.",
)
_POPULATION = flags.DEFINE_integer(
    "population", 20, "For ageing_evolution and nsga2.", lower_bound=2
)
_EARLY_STOPPING = flags.DEFINE_bool(
    "early_stopping",
    None,
    "Stop trainings whose learning curve says that smaller networks will stay better; "
    "if not given, with --algorithm=morphs only. Not with --together above 1.",
)
_WARM_START = flags.DEFINE_string(
    "warm_start",
    None,
    "Folder of another run, on images of the same shape and with the same models of "
    "memory and size: its trials teach this search, and their weights are inherited.",
)
_LIVE_REPORT = flags.DEFINE_bool(
    "live_report",
    True,
    "Rewrite report.html every few trials while the search runs, in at most a "
    "hundredth of the time; a browser that shows it reloads it.",
)
_TIME_BUDGET = flags.DEFINE_float(
    "time_budget",
    None,
    "Minutes after which no further trial is begun; --resume gives as many again.",
    lower_bound=0.001,
)
_PATIENCE = flags.DEFINE_integer(
    "patience",
    None,
    "Stop after so many trials in a row without a gain in hypervolume.",
    lower_bound=1,
)
_ERROR_BOUND = flags.DEFINE_float(
    "error_bound",
    None,
    "Validation error that the search aims below, as a share, beside --prefer.",
    1e-6,
    1.0,
)
_SIZE_BOUND = flags.DEFINE_float(
    "size_bound",
    None,
    "Model size in bytes that the search aims below; the board's flash bounds it, too.",
    lower_bound=1,
)
_MEMORY_BOUND = flags.DEFINE_float(
    "memory_bound",
    None,
    "Working memory in bytes that the search aims below; the board's RAM bounds it, "
    "too.",
    lower_bound=1,
)
_PRUNING = flags.DEFINE_string(
    "pruning",
    "none,weight,channel",
    "Kinds of pruning to choose from: none, weight, channel, variational, bayesian. "
    "The last two train noisy weights, which takes a few times as long.",
)
_SPACE = flags.DEFINE_string(
    "space",
    "",
    "Other ranges or choices of genes than the default's, as in "
    "'downsample=2;kernel=1..5;conv_kinds=regular,separable'; the genes are the "
    "attributes of spjax.genomes.Bounds.",
)
_CACHE_DIR = flags.DEFINE_string(
    "cache_dir",
    None,
    "Folder of compiled programs, shared by runs; spjax/xla in XDG_CACHE_HOME or "
    "~/.cache if not given.",
)


def main(argv: Sequence[str]) -> int:
    """Runs or resumes a search, then writes and prints its results."""
    del argv
    from experiments import _backend, _run_folder, _search_options, _search_run
    from spjax import search

    interrupts = _interrupts.Interrupts()
    interrupts.install()
    resume = False
    if _RESUME.value:
        resume = _run_folder.restore_flags(_RUN_DIR.value)
    if _RUN_DIR.value is not None and not resume:
        _run_folder.check_new(
            _RUN_DIR.value, "add --resume to go on with it, or choose another folder"
        )
    if _WARM_START.value is not None and _ALGORITHM.value == "qlognehvi":
        raise _cli.UsageError(
            f"--warm_start={_WARM_START.value} has no effect with "
            "--algorithm=qlognehvi, which sees its own trials only: leave one out"
        )
    accelerator = _backend.has_accelerator()
    if accelerator:
        _backend.share_memory()
    together = _TOGETHER.value or _backend.default_together(accelerator)
    if _EARLY_STOPPING.value and together > 1:
        raise _cli.UsageError(
            f"--early_stopping has no effect with --together={together}: leave it out, "
            "or add --together=1"
        )
    # What a run is, on whatever device it is resumed.
    flags.FLAGS.together = together
    board = _flags.get_board()
    bounds = _search_options.bounds_of(_PRUNING.value, _SPACE.value)
    dataset = _flags.load_dataset()
    # Made last, so that a mistake in the other flags leaves no empty folder.
    run_dir = (
        _search_options.default_run_dir(_flags.DATASET.value, _flags.BOARD.value)
        if _RUN_DIR.value is None
        else pathlib.Path(_RUN_DIR.value)
    )
    options = _search_options.Options(
        trials=_TRIALS.value,
        workers=_WORKERS.value or _backend.default_workers(accelerator),
        together=together,
        resume=resume,
        seed=_SEED.value,
        epochs=_EPOCHS.value,
        batch_size=_BATCH_SIZE.value,
        memory_model=_MEMORY_MODEL.value,
        size_model=_SIZE_MODEL.value,
        initial_trials=(
            _INITIAL_TRIALS.value or together * (10 if _WARM_START.value is None else 1)
        ),
        candidates=_CANDIDATES.value,
        random_share=_RANDOM_SHARE.value,
        error_bound=_ERROR_BOUND.value,
        size_bound=_SIZE_BOUND.value,
        memory_bound=_MEMORY_BOUND.value,
        prefer=_PREFER.value,
        stage_starts=_search_options.stage_starts_of(
            _STAGES.value, _ALGORITHM.value, _TRIALS.value
        ),
        algorithm=_ALGORITHM.value,
        population=_POPULATION.value,
        stop=search.StopRule(
            seconds=None if _TIME_BUDGET.value is None else 60 * _TIME_BUDGET.value,
            patience=_PATIENCE.value,
        ),
        cache_dir=_CACHE_DIR.value,
        warm_start=_WARM_START.value,
        live_report=_LIVE_REPORT.value,
        early_stopping=(
            _ALGORITHM.value == "morphs" and together == 1
            if _EARLY_STOPPING.value is None
            else _EARLY_STOPPING.value
        ),
        bounds=bounds,
    )
    return _search_run.search_and_report(run_dir, dataset, board, options, interrupts)


if __name__ == "__main__":
    _cli.run(main)
