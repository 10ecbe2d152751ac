"""The deploy program: firmware that is measured, and errors that leave nothing."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from experiments import _cli, _deployment, _firmware, _picked, _promise
from spjax import data, search
from spjax import deploy as deploy_room
from tests.experiments import deployed_run
from tests.experiments.deployed_run import run_dir  # noqa: F401

ROOT = pathlib.Path(__file__).parents[2]


def _main(**values):
    """Deploys; with the plain quantisation, for random weights lose what they like."""
    _deployment.deploy_pick(_deployment.Options(**{"remedy": "none"} | values))


def _leaves_nothing(folder, error, **values):
    """The error's message; the folder is as it was."""
    before = sorted(folder.rglob("*"))
    with pytest.raises(error) as caught:
        _main(**values)
    assert sorted(folder.rglob("*")) == before
    message = _cli.one_line(caught.value)
    assert _cli.is_users(caught.value), message
    return message


@pytest.mark.parametrize("board", ["uno", "microbit"])
def test_a_pick_becomes_a_measured_firmware(board, run_dir, tmp_path, capsys):  # noqa: F811
    deployed_run.need(board)
    out = tmp_path / "firmware"
    _main(run_dir=str(run_dir), board=board, images=5, out=str(out))
    said = capsys.readouterr().out
    assert "bit for bit: of all 45 test images on this computer, of 5 on" in said
    kept = json.loads((out / "measured.json").read_text())
    promised, measured = kept["promised"], kept["measured"]
    for name in ("planned_arena", "static_ram", "encoded_weights"):
        assert promised[name] == measured[name]
    parts = ("encoded_weights", "tables", "code", "support")
    assert measured["flash"] == sum(measured[part] for part in parts)
    limits = deploy_room.get_board(board)
    assert measured["static_ram"] + measured["stack"] <= limits.ram_bytes
    assert (kept["trial"], kept["images"], kept["test_images"]) == (7, 5, 45)
    assert kept["estimated_latency_seconds"] > 0
    # What the table says is what the linked file has.
    elf = deploy_room.read_elf(out / "build" / "firmware.elf")
    arena = next(s for s in elf.symbols if s.name == "spjax_arena")
    assert f"{arena.size:,}" in said and arena.size == measured["planned_arena"]
    assert {"spjax_model.c", "spjax_model.h", "README.md", "Makefile"} <= {
        path.name for path in out.iterdir()
    }
    assert (out / "network.tflite").read_bytes()[4:8] == b"TFL3"
    assert [path.name for path in tmp_path.iterdir()] == ["firmware"]


def test_the_self_test_of_the_folder_passes(run_dir, tmp_path):  # noqa: F811
    deployed_run.need("host")
    out = tmp_path / "out"
    _main(run_dir=str(run_dir), board="host", out=str(out))
    done = subprocess.run(["make", "test"], cwd=out, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("board", ["uno", "microbit"])
def test_the_folder_builds_again_and_so_does_its_example(board, run_dir, tmp_path):  # noqa: F811
    """By the commands in its README; the example in the place of the harness."""
    deployed_run.need(board)
    out = tmp_path / "out"
    _main(run_dir=str(run_dir), board=board, images=2, out=str(out))
    build = out / "build"
    assert not list(build.glob("*.o")) and not list(build.glob("*.bin"))
    elf = build / "firmware.elf"
    first = elf.read_bytes()
    elf.unlink()
    section = (out / "README.md").read_text().split("## Measured")[1]
    commands = [line for line in section.splitlines() if " -o " in line]
    for command in commands:
        subprocess.run(command, shell=True, cwd=build, check=True)
    assert elf.read_bytes() == first
    for command in commands:
        other = command.replace("-c harness.c", "-c ../example_bare_metal.c")
        subprocess.run(other, shell=True, cwd=build, check=True)
    names = {symbol.name for symbol in deploy_room.read_elf(elf).symbols}
    assert "spjax_class" in names and "spjax_arena" in names


def test_a_second_deployment_replaces_the_first(run_dir, tmp_path):  # noqa: F811
    deployed_run.need("host")
    out = tmp_path / "out"
    for schedule in ("whole", "overlap"):
        _main(run_dir=str(run_dir), board="host", out=str(out), schedule=schedule)
        kept = json.loads((out / "measured.json").read_text())
        assert kept["schedule"] == schedule
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_network_beyond_the_boards_limits(run_dir, tmp_path):  # noqa: F811
    deployed_run.need("uno")
    values = {"run_dir": str(run_dir), "board": "uno", "out": str(tmp_path / "o" / "f")}
    message = _leaves_nothing(tmp_path, _cli.UsageError, ram_bytes=350, **values)
    assert "--board=uno: the network needs" in message
    assert "bytes of planned_arena" in message and "the board has 350 of RAM" in message
    message = _leaves_nothing(
        tmp_path, deploy_room.DoesNotFit, flash_bytes=1000, **values
    )
    assert "the board has 1000 of flash" in message


def test_a_pick_that_fits_by_its_streamed_plan_only(run_dir, tmp_path, capsys):  # noqa: F811
    """The search counts whole maps: of a board that is too small for them, no pick."""
    deployed_run.need("uno")
    picked = _picked.read_pick(str(run_dir), "best")
    plans = _firmware.plans(
        search.program_of(picked.genome, picked.variables, (8, 8, 1), 3)
    )
    arenas = {name: plan.planned_arena for name, plan in plans.items()}
    stack = deploy_room.get_target(deploy_room.get_board("uno")).stack_bytes
    least = min(arenas.values())
    assert least < arenas["whole"]
    run = tmp_path / "run"
    shutil.copytree(run_dir, run)
    best = json.loads((run / "best.json").read_text())
    best |= {"point": None, "reason": "no trial on the front meets the limits of uno"}
    (run / "best.json").write_text(json.dumps(best))
    values = {"run_dir": str(run), "board": "uno", "images": 2}
    out = tmp_path / "out"
    _main(**values, out=str(out), ram_bytes=stack + least)
    said = capsys.readouterr().out
    assert "the run has none (no trial on the front meets the limits of uno)" in said
    assert "trial 0007 of its front" in said
    assert f"takes {least:,} bytes of planned_arena" in said
    measured = json.loads((out / "measured.json").read_text())["measured"]
    assert measured["planned_arena"] == least
    for limit in ({"ram_bytes": stack + least - 1}, {"flash_bytes": 20}):
        message = _leaves_nothing(
            tmp_path, _picked.PickError, **values, out=str(tmp_path / "no"), **limit
        )
        assert "none of the 1 of its front fits" in message
        assert "another board" in message


def test_names_that_are_not_there(run_dir, tmp_path):  # noqa: F811
    values = {"run_dir": str(run_dir), "out": str(tmp_path / "f")}
    message = _leaves_nothing(tmp_path, ValueError, **values | {"pick": "12"})
    assert message.startswith("--pick=12")
    message = _leaves_nothing(tmp_path, ValueError, **values | {"board": "unno"})
    assert "--board=unno" in message and "did you mean uno" in message
    message = _leaves_nothing(tmp_path, ValueError, **values | {"run_dir": "/no"})
    assert "--run_dir=/no" in message


def test_folders_of_the_users_are_left_alone(run_dir, tmp_path):  # noqa: F811
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    values = {"run_dir": str(run_dir), "board": "host"}
    for out in ("mine", "mine/notes.txt"):
        message = _leaves_nothing(
            tmp_path, _cli.UsageError, out=str(tmp_path / out), **values
        )
        assert message.startswith(f"--out={tmp_path / out}")


def test_a_missing_compiler(run_dir, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("PATH", str(tmp_path))
    message = _leaves_nothing(
        tmp_path, ValueError, run_dir=str(run_dir), board="microbit"
    )
    assert "apt-get install" in message and "gcc-arm-none-eabi" in message


def test_weights_that_are_no_numbers(tmp_path):
    def spoil(flat):
        name = next(name for name in flat if name.endswith("kernel"))
        flat[name] = np.full_like(flat[name], np.nan)

    run = deployed_run.write(tmp_path / "run", change=spoil)
    message = _leaves_nothing(
        tmp_path, deploy_room.QuantisationError, run_dir=str(run), board="host"
    )
    assert "finite" in message


def test_a_network_that_is_not_what_was_promised(run_dir, tmp_path, monkeypatch):  # noqa: F811
    """A kernel that is wrong must not pass: nothing is written, the status is 1."""
    deployed_run.need("host")
    real = _firmware.write_sources

    def wrong(model, folder):
        sources = real(model, folder)
        text = sources[0].read_text().splitlines()
        at = next(i for i, line in enumerate(text) if "_bias[" in line)
        text[at + 1] = "    123456," + text[at + 1].split(",", 1)[1]
        sources[0].write_text("\n".join(text))
        return sources

    monkeypatch.setattr(_firmware, "write_sources", wrong)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(
        _deployment.BrokenPromise, match="other outputs than the integer"
    ):
        _main(run_dir=str(run_dir), board="host", out=str(tmp_path / "out"))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((), "give either --run_dir"), (("--pick=99", "--run_dir=RUN"), "--pick=99")],
)
def test_errors_end_in_one_line(arguments, message, run_dir):  # noqa: F811
    given = [argument.replace("RUN", str(run_dir)) for argument in arguments]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.deploy", "--board=host", *given],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=dict(os.environ),
    )
    assert done.returncode == _cli.EXIT_USAGE
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def quantised_dir(run_dir, tmp_path_factory):  # noqa: F811
    """What experiments.quantise writes, with weights of four bits."""
    folder = tmp_path_factory.mktemp("quantised")
    picked = _picked.read_pick(str(run_dir), "best")
    dataset = _picked.load_dataset(picked, None)
    shape, classes = dataset.input_shape, dataset.num_classes
    program = search.program_of(picked.genome, picked.variables, shape, classes)
    images = dataset.normalisation(dataset.train.images)
    quantised = deploy_room.quantise(program, images, precisions="int4")
    deploy_room.save_quantised(folder / "quantised.npz", quantised)
    network = search.deployed_folder(run_dir, deployed_run.INDEX)
    facts = {
        "float_test_error": 0.125,
        "dataset": dataset.describe(),
        "flags": {**picked.flags, "network": str(network)},
    }
    (folder / "quantised.json").write_text(json.dumps(facts))
    return folder


def test_a_quantised_network_is_deployed_as_it_is(quantised_dir, tmp_path, capsys):
    deployed_run.need("microbit")
    out = tmp_path / "out"
    _main(quantised=str(quantised_dir), board="microbit", images=4, out=str(out))
    said = capsys.readouterr().out
    assert "float 87.50 %" in said and "int4" in said
    kept = json.loads((out / "measured.json").read_text())
    assert kept["quantised"] == str(quantised_dir)
    assert {form.rpartition("_")[2] for form in kept["formats"].values()} == {"int4"}


def test_quantised_folders_that_are_not_whole(quantised_dir, run_dir, tmp_path):  # noqa: F811
    message = _leaves_nothing(tmp_path, ValueError, quantised=str(tmp_path))
    assert "has no quantised.npz" in message and "experiments.quantise" in message
    both = {"quantised": str(quantised_dir), "run_dir": str(run_dir)}
    assert "either" in _leaves_nothing(tmp_path, _cli.UsageError, **both)
    broken = tmp_path / "broken"
    shutil.copytree(quantised_dir, broken)
    facts = json.loads((broken / "quantised.json").read_text())
    moved = {**facts, "flags": {**facts["flags"], "network": "/gone"}}
    (broken / "quantised.json").write_text(json.dumps(moved))
    message = _leaves_nothing(tmp_path, ValueError, quantised=str(broken))
    assert "made from /gone, which is not there" in message
    (broken / "quantised.json").write_text(json.dumps({**facts, "flags": {}}))
    message = _leaves_nothing(tmp_path, ValueError, quantised=str(broken))
    assert "quantised.json is damaged" in message


def test_network_input_is_the_pixels_as_int8(run_dir):  # noqa: F811
    """One mean and deviation: quantising undoes the normalisation exactly."""
    normalisation = data.Normalisation((100.0,), (40.0,))
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    x = _firmware.network_input(pixels, deployed_run.GENOME, normalisation)
    np.testing.assert_allclose(x.reshape(-1), (np.arange(256) - 100) / 40, rtol=1e-6)
    low, high = _firmware.input_range(normalisation)
    assert (low, high) == pytest.approx((-2.5, 155 / 40))


def test_the_table_is_aligned():
    text = _promise.text([("a", "1", "22", "note"), ("long name", "333", "4", "")])
    assert text.splitlines() == [
        "           promised  measured",
        "a                 1        22  note",
        "long name       333         4",
    ]
