"""Trained genomes per core-hour, beside plain Flax and the same loop in PyTorch.

    python -m experiments.bench_search --dataset=digits --epochs=30
    python -m experiments.bench_search --dataset=mnist --train_images=10000 --epochs=5

The same genomes, drawn at random within the limits of `uno`, are trained for equally
many epochs by

    spjax   what a worker of the search does for a trial: training with pruning, an
            analysis of the traced network, compaction, files (`search.run_trial`), an
            empty compilation cache at the start
    flax    Flax's own layers and initialisation, one jitted step and one jitted
            evaluation per genome, without pruning
    torch   the same network, loss and optimiser in PyTorch, without pruning

each in a process of its own on one core, in turns; batch 64, AdamW, validation error
after every epoch. Imports and the reading of the data are not counted. Prints a table
of the rates (median [quartiles] over repeats), the ratios within each repeat, and
where our time goes.
"""

import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import numpy as np
from absl import flags

from experiments import _bench_settings, _cli, _flags
from experiments._quartiles import quartiles

flags.adopt_module_key_flags(_cli)
flags.adopt_module_key_flags(_flags)
_EPOCHS = flags.DEFINE_integer("epochs", 5, "Passes over the data.", lower_bound=1)
_GENOMES = flags.DEFINE_integer("genomes", 12, "Genomes to train.", lower_bound=1)
_REPEATS = flags.DEFINE_integer("repeats", 3, "Rounds.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the genomes.", lower_bound=0)
_CLOCK = flags.DEFINE_enum(
    "clock",
    "wall",
    ["wall", "cpu"],
    "`cpu`, the process's own time, is steadier where other programs run.",
)
_GENES = flags.DEFINE_enum(
    "genes",
    "drawn",
    ["drawn", "plain"],
    "How spjax trains them: with the pruning and learning rates that were drawn with "
    "the genomes, as in a search, or `plain`, without pruning, as the others do.",
)
_WAY = flags.DEFINE_string("way", None, "For the program's own use: measure one way.")

_WAYS = ("spjax", "flax", "torch")
_BATCH, _RATE = 64, 3e-3


def main(argv: Sequence[str]) -> int:
    """Measures and prints the tables."""
    del argv
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if _WAY.value:
        print(json.dumps(_measure(_WAY.value)))
        return 0
    pixels = _EPOCHS.value * _flags.load_dataset().train.num_pixels
    results = {way: [] for way in _WAYS}
    for repeat in range(_REPEATS.value):
        # Another order each time: what heats the machine up hits all alike.
        for way in np.random.default_rng(repeat).permutation(_WAYS):
            results[way].append(_in_a_process(way, pixels))
    _print_rates(results)
    _print_parts(results["spjax"])
    return 0


def _in_a_process(way, pixels):
    own = [f for f in sys.argv[1:] if not f.startswith("--way")]
    command = [sys.executable, "-m", "experiments.bench_search", *own, f"--way={way}"]
    environment = dict(os.environ)
    if way == "spjax":
        from spjax import search

        environment |= search.worker_environment(pixels)
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        raise RuntimeError(f"{way} failed: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _clock():
    return time.process_time() if _CLOCK.value == "cpu" else time.perf_counter()


def _genomes(dataset):
    """The genomes, the same for every way."""
    from spjax import genomes
    from spjax.search import draw_feasible

    settings = _bench_settings.board_settings(dataset.input_shape, dataset.num_classes)
    drawn = []
    for i in range(_GENOMES.value):
        rng = np.random.default_rng([_SEED.value, i])
        drawn.append(draw_feasible(rng, settings, set(drawn)))
    if _GENES.value == "plain":
        plain = genomes.Training(_RATE, "none")
        drawn = [dataclasses.replace(genome, training=plain) for genome in drawn]
    return drawn


def _measure(way):
    """Seconds of one way for all genomes, and its parts; validation errors."""
    dataset = _flags.load_dataset()
    drawn = _genomes(dataset)
    if way == "spjax":
        return _spjax(dataset, drawn)
    from experiments import _bench_loops

    train = getattr(_bench_loops, f"train_{way}")
    start, errors = _clock(), []
    for genome in drawn:
        errors.append(
            train(genome, dataset, epochs=_EPOCHS.value, batch=_BATCH, rate=_RATE)
        )
    return {"seconds": _clock() - start, "errors": errors}


def _spjax(dataset, drawn):
    from spjax import data, genomes, search, training

    config = training.TrainConfig(epochs=_EPOCHS.value, batch_size=_BATCH)
    errors, parts = [], {"before the first step": 0.0, "steps and validation": 0.0}
    with tempfile.TemporaryDirectory() as folder:
        data.save_arrays(dataset, search.data_folder(folder))
        search.start_worker(str(pathlib.Path(folder) / "cache"))
        start, wall = _clock(), 0.0
        for index, genome in enumerate(drawn):
            spec = search.TrialSpec(
                folder, index, genomes.to_json(genome), config, further=False
            )
            figures = search.run_trial(spec)
            errors.append(figures["validation_error"])
            setup = figures["seconds_setup"]
            wall += figures["seconds"]
            parts["before the first step"] += setup
            parts["steps and validation"] += figures["seconds_train"] - setup
        seconds = _clock() - start
    parts["analysis, compaction, files"] = wall - sum(parts.values())
    parts = {name: part / wall for name, part in parts.items()}
    return {"seconds": seconds, "errors": errors, "parts": parts}


def _rate(result):
    return 3600 * _GENOMES.value / result["seconds"]


def _print_rates(results):
    print(
        f"{_GENOMES.value} genomes, {_EPOCHS.value} epochs, {_flags.DATASET.value}, "
        f"{_REPEATS.value} repeats, {_CLOCK.value} time of one core\n"
    )
    print(
        "| way | genomes per core-hour | spjax / this | mean validation error % |\n"
        "|---|--:|--:|--:|"
    )
    for way, found in results.items():
        ratios = [
            theirs["seconds"] / ours["seconds"]
            for ours, theirs in zip(results["spjax"], found, strict=True)
        ]
        error = 100 * np.mean([r["errors"] for r in found])
        rates = quartiles([_rate(r) for r in found], ",.0f")
        print(f"| {way} | {rates} | {quartiles(ratios, '.2f')} | {error:.1f} |")
    print()


def _print_parts(found):
    print("| where our wall time goes | share % |\n|---|--:|")
    for part in found[0]["parts"]:
        share = statistics.median(r["parts"][part] for r in found)
        print(f"| {part} | {100 * share:.0f} |")


if __name__ == "__main__":
    _cli.run(main)
