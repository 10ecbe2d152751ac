"""From a trained network to a firmware that has been measured; for any program here."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from experiments import _cli
from spjax import analysis, data, deploy, genomes, networks
from spjax.deploy import emit

# From the simplest to the smallest: what runs, how memory is shared, and whether the
# image is in memory as a whole.
_SCHEDULES = {
    "whole": lambda p: analysis.whole(p, sharing="in_place"),
    "overlap": lambda p: analysis.whole(p, sharing="overlap"),
    "fused": lambda p: analysis.fused(p, sharing="overlap"),
    "streamed": lambda p: analysis.streamed(p, sharing="overlap"),
    "rows": lambda p: analysis.streamed(p, sharing="overlap", input_rows=True),
}
SCHEDULES = ("auto", "smallest", *_SCHEDULES)

CALIBRATION_IMAGES = 512


@dataclasses.dataclass(frozen=True)
class Measured:
    """A firmware, what it did, and what it takes."""

    firmware: deploy.Firmware
    run: deploy.Run
    footprint: deploy.Footprint


def network_input(
    images: np.ndarray, genome: genomes.Genome, normalisation: data.Normalisation
) -> np.ndarray:
    """Images as the network takes them: averaged by its downsampling, normalised.

    Args:
      images: uint8 [N, H, W, C].
      genome: the network's.
      normalisation: of the data set.

    Returns:
      float32 [N, H', W', C].
    """
    small = networks.downsample(images, genome.downsample)
    return normalisation(small)


def input_range(normalisation: data.Normalisation) -> tuple[float, float]:
    """Smallest and largest value that a pixel can have once it is normalised."""
    pairs = list(zip(normalisation.mean, normalisation.std, strict=True))
    low = min((0.0 - mean) / std for mean, std in pairs)
    return low, max((255.0 - mean) / std for mean, std in pairs)


def plans(
    program: analysis.Program, names: Sequence[str] = tuple(_SCHEDULES)
) -> dict[str, analysis.Plan]:
    """Plans of a program by the name of their schedule; those that it can have."""
    made = {}
    for name in names:
        try:
            made[name] = analysis.plan(_SCHEDULES[name](program))
        except analysis.AnalysisError:
            # An image that several operations read cannot come row by row.
            if name != "rows":
                raise
    return made


def choose_plan(
    program: analysis.Program, board: deploy.Board, schedule: str
) -> tuple[str, analysis.Plan]:
    """Chooses how a network uses the board's RAM.

    Args:
      program: the network.
      board: the board.
      schedule: one of `SCHEDULES`; ``auto`` is the first, in their order, whose arena
        fits, ``smallest`` the one with the smallest arena.

    Returns:
      The name of the schedule and the plan.

    Raises:
      UsageError: if the board has no room for it.
    """
    room = board.ram_bytes - deploy.get_target(board).stack_bytes
    names = tuple(_SCHEDULES) if schedule in ("auto", "smallest") else (schedule,)
    made = plans(program, names)
    if not made:
        raise _cli.UsageError(
            "--schedule=rows: more than one operation reads the image, or the one "
            "that does cannot take it row by row; use --schedule=streamed"
        )
    best = min(made, key=lambda name: made[name].planned_arena)
    fitting = [name for name, plan in made.items() if plan.planned_arena <= room]
    if not fitting:
        raise _cli.UsageError(
            f"--board={board.name}: the network needs {made[best].planned_arena} bytes "
            f"of planned_arena (schedule {best}), and the board has {board.ram_bytes} "
            f"of RAM, {board.ram_bytes - room} of them kept for the stack; choose "
            "another --pick or a larger board"
        )
    chosen = best if schedule == "smallest" else fitting[0]
    return chosen, made[chosen]


def write_sources(model: emit.Model, folder: pathlib.Path) -> list[pathlib.Path]:
    """Writes a network's C; returns the files to compile."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in model.files.items():
        (folder / name).write_text(text)
    return [folder / name for name in model.network_sources]


def interface(model: emit.Model) -> deploy.Interface:
    """What a harness has to know of a network."""
    program = model.quantised.program
    tensors = [program.tensors[n] for n in (*program.inputs, *program.outputs)]
    header = next(name for name in model.files if name.endswith(".h"))
    return deploy.Interface(header, *(tensor.elements for tensor in tensors))


def measure(
    board: deploy.Board,
    model: emit.Model,
    images: np.ndarray,
    folder: pathlib.Path,
    *,
    helper: pathlib.Path,
    optimise: str = "s",
    seconds: float = 3600.0,
    counted: int = 2,
) -> Measured:
    """Builds a network's firmware for a board, runs it and measures it.

    Args:
      board: the board.
      model: the network's C.
      images: int8 [N, H, W, C].
      folder: for the sources; ``build`` in it for everything else.
      helper: folder of the emulator's helper; may be shared.
      optimise: after ``-O``.
      seconds: that the emulator may take.
      counted: images on which instructions are counted on Arm.

    Raises:
      ToolchainError: if it does not fit, or a tool is missing.
      EmulationError: if it does not run.
    """
    sources = write_sources(model, folder)
    firmware = deploy.build_firmware(
        board,
        sources,
        interface(model),
        folder / "build",
        optimise=optimise,
    )
    emulator = deploy.make_emulator(board, helper)
    run = deploy.run_firmware(
        emulator, firmware, images, counted=counted, seconds=seconds
    )
    size = deploy.footprint(firmware, encoded_symbols(model))
    return Measured(firmware, run, size)


def encoded_symbols(model: emit.Model) -> set[str]:
    """Symbols of the arrays that ``encoded_bytes`` counts."""
    return {table.symbol for table in model.tables}


def reference(quantised: deploy.QuantisedProgram, images: np.ndarray) -> np.ndarray:
    """The integer reference's outputs: what every board has to give."""
    return deploy.predict(quantised, images)


def broken_promises(
    measured: Measured, model: emit.Model, wanted: np.ndarray
) -> list[str]:
    """Compares a measured firmware with what was promised.

    Args:
      measured: the firmware.
      model: the network's C.
      wanted: the reference's outputs for the images that it ran on.

    Returns:
      One sentence for each promise that does not hold; empty if all do.
    """
    size, run = measured.footprint, measured.run
    name = measured.firmware.board.name
    wrong = []
    different = np.flatnonzero((run.outputs != wanted).any(1))
    if len(different):
        wrong.append(
            f"{name}: {len(different)} of {len(wanted)} images give other outputs than "
            f"the integer reference, the first is image {different[0]}"
        )
    if (run.returned != wanted.argmax(1)).any():
        wrong.append(f"{name}: the returned class is not that of the largest output")
    for what, promised, found in (
        ("planned_arena", model.arena_bytes, size.arena_bytes),
        ("static RAM", static_ram_bytes(measured, model), size.static_ram_bytes),
        ("encoded weights", model.encoded_bytes, size.weight_bytes),
    ):
        # The computer's own C library has static data too.
        if promised != found and (name != "host" or what != "static RAM"):
            wrong.append(f"{name}: {what} {promised} bytes promised, {found} measured")
    return wrong


def static_ram_bytes(measured: Measured, model: emit.Model) -> int:
    """Static RAM that is promised: the arena, rounded up to a word on Arm."""
    family = deploy.get_target(measured.firmware.board).family
    word = 4 if family == "arm" else 1
    return -(-model.arena_bytes // word) * word
