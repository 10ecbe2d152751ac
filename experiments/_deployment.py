"""A pick from its run to a firmware folder; what ``experiments.deploy`` calls."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator

import numpy as np

from experiments import (
    _cli,
    _firmware,
    _picked,
    _promise,
    _quantised_folder,
    _source,
    _tools,
)
from spjax import deploy, report, search
from spjax.deploy import emit

_MARK = "measured.json"
_TEST_IMAGES = 8  # in the self-test


class BrokenPromise(Exception):
    """A firmware that is not what was promised: a bug of ours."""


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags of ``experiments.deploy``."""

    run_dir: str | None = None
    pick: str = "best"
    board: str = "uno"
    ram_bytes: int | None = None
    flash_bytes: int | None = None
    images: int = 200
    out: str | None = None
    schedule: str = "auto"
    optimise: str = "s"
    data_dir: str | None = None
    quantised: str | None = None
    install_tools: bool = False
    tolerance: float = 100 * deploy.TOLERANCE
    remedy: str = "finetune"


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
    found = _found(options, board)
    out = pathlib.Path(options.out or found.run_dir / "firmware" / options.board)
    _check_out(out)
    _tools.provide(board, options.install_tools)
    source = _source.load(found, options.data_dir, options.tolerance, options.remedy)
    program = source.quantised.program
    schedule, plan = _firmware.choose_plan(program, board, options.schedule)
    model = emit.model(source.quantised, plan, name=source.name)
    with _staged(out) as folder:
        _fill(folder, board, source, schedule, model, options)
    return out


def _found(
    options: Options, board: deploy.Board
) -> _picked.Picked | _quantised_folder.QuantisedFolder:
    if (options.run_dir is None) == (options.quantised is None):
        raise _cli.UsageError(
            "give either --run_dir=DIR, a run's folder, or --quantised=DIR, one of "
            "experiments.quantise"
        )
    if options.quantised is not None:
        return _quantised_folder.read_quantised(options.quantised)
    return _picked.read_pick(options.run_dir, options.pick, _fits(board, options))


def _fits(
    board: deploy.Board, options: Options
) -> Callable[[_picked.Picked], str | None]:
    """How a network fits a board by its plan, or None."""

    def fits(picked: _picked.Picked) -> str | None:
        facts = picked.dataset
        shape, classes = tuple(facts["input_shape"]), len(facts["class_names"])
        program = search.program_of(picked.genome, picked.variables, shape, classes)
        try:
            name, plan = _firmware.choose_plan(program, board, options.schedule)
        except _cli.UsageError:
            return None
        size = deploy.encoded_size(program)
        if size > board.flash_bytes:
            return None
        return (
            f"the schedule {name} takes {plan.planned_arena:,} bytes of planned_arena, "
            f"its weights {size:,} bytes of model_size_encoded"
        )

    return fits


def _board(options: Options) -> deploy.Board:
    if options.board == deploy.HOST_BOARD.name:
        board = deploy.HOST_BOARD
    else:
        board = deploy.get_board(options.board)
    changes = {"ram_bytes": options.ram_bytes, "flash_bytes": options.flash_bytes}
    return dataclasses.replace(board, **{k: v for k, v in changes.items() if v})


def _fill(
    folder: pathlib.Path,
    board: deploy.Board,
    source: _source.Source,
    schedule: str,
    model: emit.Model,
    options: Options,
) -> None:
    """Fills the firmware folder, prints what was measured, checks every promise."""
    images, everything = source.images, len(source.images)
    count = (
        everything if board == deploy.HOST_BOARD else min(options.images, everything)
    )
    wanted = _firmware.reference(source.quantised, images)
    made = []
    with tempfile.TemporaryDirectory() as scratch:
        for target, where, some in (
            (deploy.HOST_BOARD, scratch, images),
            (board, folder, images[:count]),
        ):
            made.append(
                _firmware.measure(
                    target,
                    model,
                    some,
                    pathlib.Path(where),
                    helper=pathlib.Path(scratch, "helper"),
                    optimise=options.optimise,
                )
            )
    accuracy = {
        "test_images": everything,
        "float_test_accuracy": 1.0 - source.float_test_error,
        "int8_test_accuracy": float((wanted.argmax(1) == source.labels).mean()),
    }
    table = _promise.text(_promise.rows(made[-1], model, schedule))
    summary = _summary(source, board, accuracy)
    _say(source, summary, table, model)
    wrong = [
        sentence
        for one in made
        for sentence in _firmware.broken_promises(
            one, model, wanted[: len(one.run.outputs)]
        )
    ]
    if wrong:
        raise BrokenPromise("; ".join(wrong))
    print(
        f"\nOutputs equal the integer reference's bit for bit: of all {everything:,} "
        f"test images on this computer, of {count:,} on {board.name}."
    )
    section = f"{summary}\n\n```\n{table}\n```\n\n" + _commands(made[-1].firmware)
    _write_rest(folder, model, images, wanted, {"Measured": section})
    figures = _promise.as_json(made[-1], model, schedule)
    report.write_json(folder / _MARK, {**source.origin, **accuracy, **figures})


def _summary(
    source: _source.Source, board: deploy.Board, accuracy: dict[str, float]
) -> str:
    return (
        f"{source.title} on {board.name} ({board.chip}): "
        f"float {100 * accuracy['float_test_accuracy']:.2f} %, int8 "
        f"{100 * accuracy['int8_test_accuracy']:.2f} % of {accuracy['test_images']:,} "
        "test images are right."
    )


def _say(source: _source.Source, summary: str, table: str, model: emit.Model) -> None:
    print(summary)
    promised = source.promised
    if "planned_arena" in promised and "model_size_nonzero" in promised:
        print(
            f"The run promised {promised['planned_arena']:,} bytes of planned_arena "
            f"(whole maps, in place) and {promised['model_size_nonzero']:,} bytes of "
            "nonzero weights, indices not counted."
        )
    formats = ", ".join(f"{name}: {kind}" for name, kind in model.formats.items())
    print(f"Weights are stored as {formats}.\n")
    print(table)


def _commands(firmware: deploy.Firmware) -> str:
    """How the measured firmware is built again, in the README's words."""
    lines = "\n".join(firmware.commands)
    return (
        "`build` holds the firmware that was measured, `firmware.elf`, with its test "
        f"harness. It is built again, in `build`, by\n\n```\n{lines}\n```\n"
    )


def _write_rest(
    folder: pathlib.Path,
    model: emit.Model,
    images: np.ndarray,
    wanted: np.ndarray,
    sections: dict[str, str],
) -> None:
    """What a firmware engineer needs beside the sources that were measured."""
    files = {
        **emit.self_test(model, images[:_TEST_IMAGES], wanted[:_TEST_IMAGES]),
        **emit.makefile(model),
        **emit.examples(model),
        **emit.readme(model, sections),
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "network.tflite").write_bytes(
        deploy.to_tflite(model.quantised, model.name)
    )
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
