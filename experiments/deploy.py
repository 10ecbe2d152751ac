r"""Puts a search's network onto a board: int8, C, built, emulated and measured.

    python -m experiments.deploy --run_dir=runs/mnist --pick=best --board=uno

Writes a firmware folder (``--out``, by default ``RUN_DIR/firmware/BOARD``): the
network's C with its README, Makefile and self-test, and in ``build`` the firmware that
was measured. It runs on the board's emulator on test images, and on this computer on
all of them; every output is compared with the integer reference. The folder appears
whole, or not at all.
"""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence

from absl import flags

from experiments import _cli, _firmware, _picked, _promise, _tools
from spjax import data, deploy, report, search, training
from spjax.deploy import emit
from spjax.deploy.quantise import quantise
from spjax.deploy.quantised import QuantisedProgram

flags.adopt_module_key_flags(_cli)
_RUN_DIR = flags.DEFINE_string("run_dir", None, "Folder of the run.")
_PICK = flags.DEFINE_string("pick", "best", "`best`, or a trial's number.")
_BOARD = flags.DEFINE_string("board", "uno", f"One of {', '.join(deploy.TARGETS)}.")
_RAM_BYTES = flags.DEFINE_integer(
    "ram_bytes", None, "RAM in bytes, instead of the board's.", lower_bound=1
)
_FLASH_BYTES = flags.DEFINE_integer(
    "flash_bytes", None, "Flash in bytes, instead of the board's.", lower_bound=1
)
_IMAGES = flags.DEFINE_integer(
    "images", 200, "Test images to run on the board's emulator.", lower_bound=1
)
_OUT = flags.DEFINE_string(
    "out", None, "The firmware folder; RUN_DIR/firmware/BOARD if not given."
)
_SCHEDULE = flags.DEFINE_enum(
    "schedule",
    "auto",
    list(_firmware.SCHEDULES),
    "How the arena is used: `auto` takes the simplest that fits, `smallest` the one "
    "with the smallest planned_arena.",
)
_OPTIMISE = flags.DEFINE_enum(
    "optimise", "s", ["s", "1", "2", "3"], "The compiler's -O for the firmware."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Where TFDS data lies, if elsewhere than for the run."
)
_INSTALL = flags.DEFINE_bool(
    "install_tools", False, "Install missing compilers and emulators with apt."
)

_MARK = "measured.json"


def main(argv: Sequence[str]) -> int:
    """Reads the flags, deploys, prints the table."""
    del argv
    if _RUN_DIR.value is None:
        raise _cli.UsageError("--run_dir is missing: give the folder of a run")
    board = _board()
    picked = _picked.read_pick(_RUN_DIR.value, _PICK.value)
    out = pathlib.Path(_OUT.value or picked.run_dir / "firmware" / _BOARD.value)
    _check_out(out)
    _tools.provide(board, _INSTALL.value)
    dataset = _picked.load_dataset(picked, _DATA_DIR.value)
    quantised = _quantised(picked, dataset)
    schedule, plan = _firmware.choose_plan(quantised.program, board, _SCHEDULE.value)
    model = emit.model(quantised, plan, name=f"{picked.dataset['name']}-{picked.index}")
    with _staged(out) as folder:
        _deploy(board, picked, dataset, quantised, schedule, model, folder)
    print(f"The firmware is in {out}")
    return 0


def _board() -> deploy.Board:
    if _BOARD.value == deploy.HOST_BOARD.name:
        board = deploy.HOST_BOARD
    else:
        board = deploy.get_board(_BOARD.value)
    changes = {"ram_bytes": _RAM_BYTES.value, "flash_bytes": _FLASH_BYTES.value}
    return dataclasses.replace(board, **{k: v for k, v in changes.items() if v})


def _quantised(picked: _picked.Picked, dataset: data.Dataset) -> QuantisedProgram:
    """The pick as integers, calibrated on images of the training split."""
    program = search.program_of(
        picked.genome, picked.variables, dataset.input_shape, dataset.num_classes
    )
    images = _firmware.network_input(
        dataset.train.images[: _firmware.CALIBRATION_IMAGES],
        picked.genome,
        dataset.normalisation,
    )
    return quantise(
        program, images, input_range=_firmware.input_range(dataset.normalisation)
    )


def _deploy(
    board: deploy.Board,
    picked: _picked.Picked,
    dataset: data.Dataset,
    quantised: QuantisedProgram,
    schedule: str,
    model: emit.Model,
    folder: pathlib.Path,
) -> None:
    """Fills the firmware folder, prints what was measured, checks every promise."""
    test = dataset.test()
    inputs = _firmware.network_input(test.images, picked.genome, dataset.normalisation)
    images = quantised.scale(quantised.program.inputs[0]).to_int8(inputs)
    wanted = _firmware.reference(quantised, images)
    with tempfile.TemporaryDirectory() as scratch:
        host = _measured(deploy.HOST_BOARD, model, images, scratch, scratch)
        count = len(images) if board == deploy.HOST_BOARD else _IMAGES.value
        some = images[:count]
        measured = _measured(board, model, some, folder, scratch)
    floating = training.error_rate(
        picked.genome,
        picked.variables,
        test,
        dataset.num_classes,
        dataset.normalisation,
    )
    accuracy = {
        "test_images": len(test),
        "float_test_accuracy": 1.0 - floating,
        "int8_test_accuracy": float((wanted.argmax(1) == test.labels).mean()),
    }
    _say(picked, board, accuracy, measured, model, schedule)
    wrong = _firmware.broken_promises(host, model, wanted)
    wrong += _firmware.broken_promises(measured, model, wanted[:count])
    if wrong:
        raise BrokenPromise("; ".join(wrong))
    print(
        f"\nOutputs equal the integer reference's bit for bit: of all {len(test):,} "
        f"test images on this computer, of {count} on {board.name}."
    )
    _write_rest(folder, model, images, wanted)
    figures = _promise.as_json(measured, model, schedule)
    origin = {"run_dir": str(picked.run_dir), "trial": picked.index}
    report.write_json(folder / _MARK, {**origin, **accuracy, **figures})


def _measured(board, model, images, folder, scratch):
    return _firmware.measure(
        board,
        model,
        images,
        pathlib.Path(folder),
        helper=pathlib.Path(scratch, "helper"),
        optimise=_OPTIMISE.value,
    )


def _say(picked, board, accuracy, measured, model, schedule) -> None:
    print(
        f"Trial {picked.index} of {picked.run_dir} on {board.name} ({board.chip}): "
        f"float {100 * accuracy['float_test_accuracy']:.2f} %, int8 "
        f"{100 * accuracy['int8_test_accuracy']:.2f} % of {accuracy['test_images']:,} "
        "test images are right."
    )
    if "planned_arena" in picked.figures:
        print(
            f"The run promised {picked.figures['planned_arena']:,} bytes of "
            "planned_arena (whole maps, in place) and "
            f"{picked.figures['model_size_nonzero']:,} bytes of nonzero weights, "
            "indices not counted."
        )
    formats = ", ".join(f"{name}: {kind}" for name, kind in model.formats.items())
    print(f"Weights are stored as {formats}.\n")
    print(_promise.text(_promise.rows(measured, model, schedule)))


def _write_rest(folder, model, images, wanted) -> None:
    """What a firmware engineer needs beside the sources that were measured."""
    few = 8
    files = {
        **emit.self_test(model, images[:few].reshape(few, -1), wanted[:few]),
        **emit.makefile(model),
        **emit.readme(model),
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    for name in ("images.bin", "outputs.bin", "counts.bin"):
        (folder / "build" / name).unlink(missing_ok=True)


def _check_out(out: pathlib.Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise _cli.UsageError(f"--out={out} is a file: name a folder")
    if any(out.iterdir()) and not (out / _MARK).is_file():
        raise _cli.UsageError(
            f"--out={out} holds files that no deployment wrote: name another folder"
        )


@contextlib.contextmanager
def _staged(out: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder beside ``out`` that takes its place at the end, if all went well."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        stage = pathlib.Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise _cli.UsageError(
            f"--out={out} cannot be written: {error.strerror or error}; choose another "
            "folder"
        ) from error
    try:
        made = stage / "firmware"
        made.mkdir()
        yield made
        if out.exists():
            os.replace(out, stage / "old")
        os.replace(made, out)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


class BrokenPromise(Exception):
    """A firmware that is not what was promised: a bug of ours."""


if __name__ == "__main__":
    _cli.run(main)
