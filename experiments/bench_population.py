"""Trained genomes per hour: populations of one architecture against one by one.

    python -m experiments.bench_population --dataset=digits --population_epochs=5
    python -m experiments.bench_population --dataset=mnist --train_images=10000

A genome is drawn at random within the limits of the board, with as many sets of genes
of training (without the noisy kinds of pruning) as the largest population has members.
One of them is trained alone (`spjax.training.train`), then populations of each size in
one call each (`spjax.training.train_population`), on all devices that JAX has and in
another order for each repeat, with another genome. Nothing is compiled before. Prints
the device, and medians [quartiles] over the repeats of

    genomes per hour    of the whole call, compilation included
    epochs per hour     of all members together, after their first epoch: all compiled
    / one by one        either as a ratio within each repeat, above 1 is faster

On a CPU expect populations to gain by compiling once for all their members, and epochs
to be a third slower than one by one; on an accelerator to gain with their size, while
the device has room.
"""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

from experiments import _bench_settings, _cli, _flags
from experiments._quartiles import quartiles

flags.adopt_module_key_flags(_cli)
flags.adopt_module_key_flags(_flags)
_SIZES = flags.DEFINE_list("population_sizes", ["1", "4", "16", "64"], "Members.")
_EPOCHS = flags.DEFINE_integer(
    "population_epochs", 5, "Passes over the data.", lower_bound=2
)
_REPEATS = flags.DEFINE_integer(
    "population_repeats", 3, "Rounds, each with a genome of its own.", lower_bound=1
)
_BATCH = flags.DEFINE_integer("population_batch", 64, "Images a step.", lower_bound=1)
_ONE = "one by one"


def main(argv: Sequence[str]) -> int:
    """Measures and prints the table."""
    del argv
    sizes = _cli.whole_numbers("population_sizes", _SIZES.value)
    import jax

    dataset = _flags.load_dataset()
    devices = jax.devices()
    print(
        f"{_flags.DATASET.value}, {len(dataset.train):,} training images, "
        f"{_EPOCHS.value} epoch(s), batch {_BATCH.value}, {_REPEATS.value} repeat(s), "
        f"{len(devices)} device(s): {devices[0].device_kind}\n"
    )
    found: dict[Any, list] = {way: [] for way in (_ONE, *sizes)}
    for repeat in range(_REPEATS.value):
        genome, genes = draw(dataset, max(sizes), repeat)
        order = np.random.default_rng(repeat).permutation(len(found))
        for way in (list(found)[i] for i in order):
            found[way].append(measure(way, genome, genes, dataset))
    for line in table(found):
        print(line)
    return 0


def draw(dataset: Any, count: int, repeat: int) -> tuple[Any, list]:
    """A genome within the board's limits, and so many sets of genes of training."""
    from spjax import genomes, search

    settings = _bench_settings.board_settings(dataset.input_shape, dataset.num_classes)
    rng = np.random.default_rng([7, repeat])
    genome = search.draw_feasible(rng, settings, set())
    shape, bounds = dataset.input_shape, settings.bounds
    others = [genomes.random_genome(rng, shape, bounds) for _ in range(count)]
    return genome, [other.training for other in others]


def measure(
    way: str | int, genome: Any, genes: Sequence[Any], dataset: Any
) -> tuple[float, float]:
    """Genomes per hour of a whole call, and epochs per hour after the first of each.

    Args:
      way: ``one by one``, or the size of a population.
      genome: the architecture.
      genes: of training, at least as many as members.
      dataset: what to train on.
    """
    import jax

    from spjax import training

    jax.clear_caches()
    config = training.TrainConfig(epochs=_EPOCHS.value, batch_size=_BATCH.value)
    given = dataset.train, dataset.validation, dataset.num_classes
    given = *given, dataset.normalisation, config
    times = [time.perf_counter()]

    def on_epoch(*_):
        times.append(time.perf_counter())

    if way == _ONE:
        count, alone = 1, dataclasses.replace(genome, training=genes[0])
        training.train(alone, *given, on_epoch=on_epoch)
    else:
        members = [training.Member(g, seed) for seed, g in enumerate(genes[:way])]
        count = len(members)
        training.train_population(genome, members, *given, on_epoch=on_epoch)
    whole = time.perf_counter() - times[0]
    epochs = count * (len(times) - 2) / (times[-1] - times[1])
    return 3600 * count / whole, 3600 * epochs


def table(found: dict[Any, list[tuple[float, float]]]) -> list[str]:
    """The lines of the table.

    Args:
      found: for ``one by one`` and each size of population, a pair of rates a repeat.
    """
    heads = ["trained"]
    for what in ("genomes", "epochs"):
        heads += [f"{what} per hour", "/ one by one"]
    lines = [f"| {' | '.join(heads)} |", "|---" + "|--:" * 4 + "|"]
    base = np.array(found[_ONE])
    for way, pairs in found.items():
        rates = np.array(pairs)
        cells = [_ONE if way == _ONE else f"{way} at once"]
        for k in range(2):
            cells.append(quartiles(rates[:, k], ",.0f"))
            cells.append(quartiles(rates[:, k] / base[:, k], ".2f"))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    _cli.run(main)
