"""Which schedule a board gets, and what counts as a broken promise."""

import dataclasses

import numpy as np
import pytest

from experiments import _cli, _firmware
from spjax import analysis, deploy, genomes, networks, search
from spjax.deploy import emit
from tests.experiments import deployed_run

SHAPE = (16, 16, 1)
UNO = deploy.get_board("uno")


def _program(genome):
    variables = networks.init_variables(genome, SHAPE, 3, seed=0)
    return search.program_of(genome, variables, SHAPE, 3)


@pytest.fixture(scope="module")
def program():
    return _program(deployed_run.GENOME)


def _with_room(planned_arena):
    stack = deploy.get_target(UNO).stack_bytes
    return dataclasses.replace(UNO, ram_bytes=planned_arena + stack)


def test_plans_are_the_analysers(program):
    """The whole maps by hand; a map of 16x16x4 beside the image of 16x16."""
    made = _firmware.plans(program)
    assert list(made) == list(_firmware.SCHEDULES[2:])
    assert made["whole"].planned_arena == 16 * 16 + 16 * 16 * 4
    assert made["overlap"].planned_arena < made["whole"].planned_arena
    # Fused with the pooling, 8x8x4 are left beside the image.
    assert made["fused"].planned_arena <= 16 * 16 + 8 * 8 * 4
    smallest = analysis.streamed(program, sharing="overlap", input_rows=True)
    assert made["rows"].planned_arena == analysis.plan(smallest).planned_arena < 256


def test_auto_is_the_simplest_that_fits(program):
    sizes = {n: p.planned_arena for n, p in _firmware.plans(program).items()}
    for name, size in sizes.items():
        first = next(other for other in sizes if sizes[other] <= size)
        found, plan = _firmware.choose_plan(program, _with_room(size), "auto")
        assert (found, plan.planned_arena) == (first, sizes[first]), name
    smallest = min(sizes.values())
    _, plan = _firmware.choose_plan(program, UNO, "smallest")
    assert plan.planned_arena == smallest
    name, _ = _firmware.choose_plan(program, UNO, "fused")
    assert name == "fused"


def test_one_byte_too_few_is_said(program):
    sizes = {n: p.planned_arena for n, p in _firmware.plans(program).items()}
    smallest = min(sizes.values())
    with pytest.raises(_cli.UsageError) as caught:
        _firmware.choose_plan(program, _with_room(smallest - 1), "auto")
    message = str(caught.value)
    assert f"--board=uno: the network needs {smallest} bytes" in message
    with pytest.raises(_cli.UsageError, match="schedule whole"):
        _firmware.choose_plan(program, _with_room(sizes["whole"] - 1), "whole")


def test_an_image_that_is_read_twice_cannot_come_by_rows():
    """A block with a shortcut around it, right at the image."""
    conv = genomes.Conv(kernel=3, channels=4)
    block = genomes.Block(convs=(conv, conv), residual=True)
    program = _program(genomes.Genome(blocks=(block,)))
    assert "rows" not in _firmware.plans(program)
    with pytest.raises(_cli.UsageError, match="use --schedule=streamed"):
        _firmware.choose_plan(program, UNO, "rows")
    assert _firmware.choose_plan(program, deploy.HOST_BOARD, "auto")[0] == "whole"


def test_each_broken_promise_is_named(program, tmp_path):
    board = deployed_run.need("microbit")
    rng = np.random.default_rng(0)
    quantised = deploy.quantise(
        program, rng.normal(size=(16, *SHAPE)).astype(np.float32)
    )
    model = emit.model(quantised, _firmware.plans(program, ["whole"])["whole"])
    images = rng.integers(-128, 128, (3, *SHAPE), np.int8)
    measured = _firmware.measure(board, model, images, tmp_path, helper=tmp_path)
    wanted = _firmware.reference(quantised, images)
    assert _firmware.broken_promises(measured, model, wanted) == []

    other = wanted.copy()
    other[1, other[1].argmin()] ^= 1  # the largest stays the largest
    [found] = _firmware.broken_promises(measured, model, other)
    assert found.startswith("microbit: 1 of 3 images give other outputs")
    assert found.endswith("the first is image 1")
    run = dataclasses.replace(measured.run, returned=measured.run.returned + 1)
    [found] = _firmware.broken_promises(
        dataclasses.replace(measured, run=run), model, wanted
    )
    assert "not that of the largest output" in found
    larger = dataclasses.replace(model, arena_bytes=model.arena_bytes + 5)
    found = _firmware.broken_promises(measured, larger, wanted)
    assert len(found) == 2
    assert f"planned_arena {larger.arena_bytes} bytes promised" in found[0]
    assert found[1].startswith("microbit: static RAM")
    fewer = dataclasses.replace(model, tables=model.tables[1:])
    [found] = _firmware.broken_promises(measured, fewer, wanted)
    assert found.endswith(f"promised, {measured.footprint.weight_bytes} measured")
