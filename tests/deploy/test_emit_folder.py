"""The files around an emitted network are built and run as their reader would."""

import pathlib
import re
import shutil
import subprocess

import jax
import numpy as np
import pytest

from spjax.deploy import codecs, emit, integer
from tests.deploy import compiled, nets

pytestmark = pytest.mark.skipif(
    compiled.compiler() is None, reason="there is no C compiler on this machine"
)
_SCHEDULES = ["whole in place", "input rows", "outside"]


def network(x):
    x = nets.max_pool(jax.nn.relu(nets.conv(x, nets.weights(1, 3, 3, 1, 4))))
    return x.mean((1, 2)) @ nets.weights(3, 4, 5)


def folder(path: pathlib.Path, schedule: str):
    """A firmware folder as a user gets it, with its model."""
    quantised, images = nets.of_function(network, (9, 9, 1))
    made = emit.model(quantised, nets.plan(quantised.program, schedule), name="nine")
    outputs = integer.predict(quantised, images)
    files = made.files | emit.self_test(made, images, outputs) | emit.makefile(made)
    for name, text in (files | emit.readme(made) | emit.examples(made)).items():
        (path / name).write_text(text)
    return made


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
@pytest.mark.parametrize("schedule", _SCHEDULES)
def test_make_test(schedule, tmp_path):
    folder(tmp_path, schedule)
    done = subprocess.run(
        ["make", "test"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "2 of 2 images as expected" in done.stdout
    assert "warning" not in done.stderr
    # One wrong expectation is found.
    data = tmp_path / "spjax_test_data.h"
    head, tail = data.read_text().split("spjax_test_output", 1)
    first = re.search(r"-?\d+,", tail.split("{", 2)[2])[0]
    other = "5," if first != "5," else "6,"
    data.write_text(f"{head}spjax_test_output{tail.replace(first, other, 1)}")
    done = subprocess.run(
        ["make", "test"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode != 0 and "outputs differ" in done.stdout


@pytest.mark.parametrize("schedule", _SCHEDULES)
def test_examples_compile(schedule, tmp_path):
    folder(tmp_path, schedule)
    flags = ["-std=c99", "-ffreestanding", "-Wall", "-Wextra", "-Werror", "-c"]
    command = [compiled.compiler(), *flags, "example_bare_metal.c"]
    subprocess.run([*command, "-o", "main.o"], cwd=tmp_path, check=True)
    if shutil.which("g++") is None:
        return
    # Arduino compiles a sketch as C++ and brings a Serial along.
    (tmp_path / "sketch.cpp").write_text(
        "struct Line {\n  void begin(long);\n  int available();\n  int read();\n"
        "  void write(unsigned char);\n  void println(int);\n} Serial;\n"
        '#include "example_arduino.ino"\n'
    )
    command = ["g++", "-Wall", "-Wextra", "-Werror", "-c", "sketch.cpp"]
    subprocess.run(command, cwd=tmp_path, check=True)


def test_readme_says_what_is_so(tmp_path):
    made = folder(tmp_path, "input rows")
    text = (tmp_path / "README.md").read_text()
    assert "@" not in text
    assert f"| {made.arena_bytes:,} |" in text
    assert f"| {codecs.model_size_encoded(made.quantised, made.plan):,} |" in text
    for task in made.plan.steps:
        assert f"({task.mode}) -> {task.output} at" in text
    more = emit.readme(made, {"Measured": "1 cycle"})["README.md"]
    assert more.endswith("## Measured\n\n1 cycle\n")


def test_header_is_what_is_so(tmp_path):
    made = folder(tmp_path, "whole in place")
    values = dict(re.findall(r"#define (\w+) (\S+)", made.files["spjax_model.h"]))
    program, scale = made.quantised.program, made.quantised.scale("input")
    assert np.float32(values["SPJAX_INPUT_SCALE"].rstrip("f")) == np.float32(
        scale.scale
    )
    assert int(values["SPJAX_INPUT_ZERO_POINT"]) == scale.zero_point
    assert int(values["SPJAX_INPUT_BYTES"]) == 81
    assert int(values["SPJAX_CLASSES"]) == 5
    assert program.inputs == ("input",)


def test_self_test_refuses_what_does_not_fit():
    quantised, images = nets.of_function(network, (9, 9, 1))
    made = emit.model(quantised, nets.plan(quantised.program, "whole none"))
    outputs = integer.predict(quantised, images)
    with pytest.raises(emit.EmitError, match="images of the self-test are float"):
        emit.self_test(made, images.astype(np.float32), outputs)
    with pytest.raises(emit.EmitError, match="2 images and 1 outputs"):
        emit.self_test(made, images, outputs[:1])
    with pytest.raises(emit.EmitError, match="5 numbers for each image"):
        emit.self_test(made, images, outputs[:, :4])
