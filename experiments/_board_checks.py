"""Random networks on a board; what ``experiments.check_boards`` calls."""

import pathlib

import numpy as np

from experiments import _cli, _firmware
from spjax import deploy, genomes, networks, search
from spjax.deploy import emit

SHAPES = ((8, 8, 1), (12, 12, 1), (16, 16, 1), (10, 12, 3))
# Small enough that most networks fit the smallest board.
BOUNDS = genomes.Bounds(
    downsample=(1, 2),
    kernel=(1, 5),
    channels=(1, 16),
    dense_units=(4, 24),
    branch_units=(4, 16),
)
_PRECISIONS = ("int8", "int8", "int4", "int2", "ternary")
_CLASSES = 10
_TRIES = 200


def random_network(
    rng: np.random.Generator, input_shape: tuple[int, int, int]
) -> deploy.QuantisedProgram:
    """Draws a genome and weights, and quantises the network on random images."""
    genome = genomes.random_genome(rng, input_shape, BOUNDS)
    shape = genomes.deployed_shape(genome, input_shape)
    variables = networks.init_variables(
        genome, shape, _CLASSES, seed=int(rng.integers(1 << 30))
    )
    flat = networks.flatten(variables)
    for name, array in flat.items():
        if name.endswith("kernel"):
            flat[name] = np.where(rng.random(array.shape) < rng.random(), array, 0)
        elif name.endswith("var"):
            flat[name] = rng.uniform(0.5, 2, array.shape).astype(np.float32)
        else:
            flat[name] = array + 0.1 * rng.normal(size=array.shape).astype(np.float32)
    program = search.program_of(genome, networks.unflatten(flat), input_shape, _CLASSES)
    layers = [op.name for op in program.operations if op.kind in ("conv2d", "dense")]
    precisions = dict(zip(layers, rng.choice(_PRECISIONS, len(layers)), strict=True))
    images = rng.normal(size=(32, *shape)).astype(np.float32)
    return deploy.quantise(
        program, images, precisions={k: str(v) for k, v in precisions.items()}
    )


def check_board(
    board: deploy.Board, count: int, images: int, seed: int, folder: pathlib.Path
) -> int:
    """Checks a board with so many networks that fit it.

    Args:
      board: the board.
      count: networks.
      images: random images for each.
      seed: of the draws; the same networks are drawn for every board.
      folder: for the files; emptied by nobody.

    Returns:
      The number of networks that broke a promise.
    """
    broken = done = 0
    for draw in range(count * _TRIES):
        if done == count:
            break
        rng = np.random.default_rng((seed, draw))
        quantised = random_network(rng, SHAPES[draw % len(SHAPES)])
        schedule = _firmware.SCHEDULES[1 + draw % (len(_firmware.SCHEDULES) - 1)]
        shape = quantised.program.tensors[quantised.program.inputs[0]].shape[1:]
        pixels = rng.integers(-128, 128, (images, *shape), np.int8)
        try:
            name, plan = _firmware.choose_plan(quantised.program, board, schedule)
            model = emit.model(quantised, plan, name=f"draw{draw}")
            measured = _firmware.measure(
                board, model, pixels, folder / str(draw), helper=folder
            )
        except (_cli.UsageError, deploy.DoesNotFit):
            continue  # too large for the board, or no such schedule
        done += 1
        wanted = _firmware.reference(quantised, pixels)
        wrong = _firmware.broken_promises(measured, model, wanted)
        broken += bool(wrong)
        size, run = measured.footprint, measured.run
        print(
            f"{board.name} {done:3d} (draw {draw}, {name}): planned_arena "
            f"{size.arena_bytes:,} B, static RAM {size.static_ram_bytes:,} B, stack "
            f"{run.stack_bytes:,} B, encoded weights {size.weight_bytes:,} B, flash "
            f"{size.flash_bytes:,} B: {'; '.join(wrong) or 'as promised'}",
            flush=True,
        )
    return broken
