"""A pick from its run to a firmware folder; what ``experiments.deploy`` calls."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from experiments import _cli, _firmware, _picked, _promise, _tools
from spjax import data, deploy, report, search, training
from spjax.deploy import emit
from spjax.deploy.quantise import quantise
from spjax.deploy.quantised import QuantisedProgram

_MARK = "measured.json"


class BrokenPromise(Exception):
    """A firmware that is not what was promised: a bug of ours."""


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags of ``experiments.deploy``."""

    run_dir: str
    pick: str = "best"
    board: str = "uno"
    ram_bytes: int | None = None
    flash_bytes: int | None = None
    images: int = 200
    out: str | None = None
    schedule: str = "auto"
    optimise: str = "s"
    data_dir: str | None = None
    install_tools: bool = False


def deploy_pick(options: Options) -> pathlib.Path:
    """Writes a pick's firmware folder, prints the promise beside what was measured.

    Args:
      options: the flags.

    Returns:
      The folder.

    Raises:
      ValueError: of the room that finds the mistake; nothing is written then.
      BrokenPromise: if the firmware is not what was promised; nothing is written.
    """
    board = _board(options)
    picked = _picked.read_pick(options.run_dir, options.pick)
    out = pathlib.Path(options.out or picked.run_dir / "firmware" / options.board)
    _check_out(out)
    _tools.provide(board, options.install_tools)
    dataset = _picked.load_dataset(picked, options.data_dir)
    quantised = _quantised(picked, dataset)
    schedule, plan = _firmware.choose_plan(quantised.program, board, options.schedule)
    name = "".join(c if c.isalnum() else "-" for c in picked.dataset["name"])
    model = emit.model(quantised, plan, name=f"{name[-40:]}-{picked.index}")
    with _staged(out) as folder:
        _fill(folder, board, picked, dataset, schedule, model, options)
    return out


def _board(options: Options) -> deploy.Board:
    if options.board == deploy.HOST_BOARD.name:
        board = deploy.HOST_BOARD
    else:
        board = deploy.get_board(options.board)
    changes = {"ram_bytes": options.ram_bytes, "flash_bytes": options.flash_bytes}
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


def _fill(
    folder: pathlib.Path,
    board: deploy.Board,
    picked: _picked.Picked,
    dataset: data.Dataset,
    schedule: str,
    model: emit.Model,
    options: Options,
) -> None:
    """Fills the firmware folder, prints what was measured, checks every promise."""
    test, quantised = dataset.test(), model.quantised
    inputs = _firmware.network_input(test.images, picked.genome, dataset.normalisation)
    images = quantised.scale(quantised.program.inputs[0]).to_int8(inputs)
    wanted = _firmware.reference(quantised, images)
    count = len(images) if board == deploy.HOST_BOARD else options.images
    made = {}
    with tempfile.TemporaryDirectory() as scratch:
        for target, where, some in (
            (deploy.HOST_BOARD, scratch, images),
            (board, folder, images[:count]),
        ):
            made[target] = _firmware.measure(
                target,
                model,
                some,
                pathlib.Path(where),
                helper=pathlib.Path(scratch, "helper"),
                optimise=options.optimise,
            )
    measured = made[board]
    accuracy = {
        "test_images": len(test),
        "float_test_accuracy": 1.0 - _float_error(picked, dataset, test),
        "int8_test_accuracy": float((wanted.argmax(1) == test.labels).mean()),
    }
    _say(picked, board, accuracy, measured, model, schedule)
    wrong = [
        sentence
        for one in made.values()
        for sentence in _firmware.broken_promises(
            one, model, wanted[: len(one.run.outputs)]
        )
    ]
    if wrong:
        raise BrokenPromise("; ".join(wrong))
    print(
        f"\nOutputs equal the integer reference's bit for bit: of all {len(test):,} "
        f"test images on this computer, of {len(images[:count]):,} on {board.name}."
    )
    _write_rest(folder, model, images, wanted)
    figures = _promise.as_json(measured, model, schedule)
    origin = {"run_dir": str(picked.run_dir), "trial": picked.index}
    report.write_json(folder / _MARK, {**origin, **accuracy, **figures})


def _float_error(
    picked: _picked.Picked, dataset: data.Dataset, test: data.Split
) -> float:
    return training.error_rate(
        picked.genome,
        picked.variables,
        test,
        dataset.num_classes,
        dataset.normalisation,
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
    for path in [*folder.glob("build/*.o"), *folder.glob("build/*.bin")]:
        path.unlink()


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
    """A folder near ``out`` that takes its place at the end, if all went well."""
    try:
        near = next(p for p in out.absolute().parents if p.exists())
        stage = pathlib.Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=near))
    except OSError as error:
        raise _cli.UsageError(
            f"--out={out} cannot be written: {error.strerror or error}; choose another "
            "folder"
        ) from error
    try:
        made = stage / "firmware"
        made.mkdir()
        yield made
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.exists():
            os.replace(out, stage / "old")
        os.replace(made, out)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
