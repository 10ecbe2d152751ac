"""Footprints against the sources and binutils, estimates against their formula."""

import subprocess

import numpy as np
import pytest

from spjax import deploy
from tests.deploy import tiny_model


@pytest.mark.parametrize("name", tiny_model.BOARDS)
def test_footprint_is_that_of_the_sources(name, tmp_path):
    firmware = tiny_model.build(tiny_model.need(name), tmp_path)
    size = deploy.footprint(firmware, tiny_model.WEIGHTS)
    assert size.weight_bytes == tiny_model.CLASSES * tiny_model.PIXELS
    assert size.constant_bytes == tiny_model.CLASSES
    assert size.arena_bytes == tiny_model.ARENA_BYTES
    # Arm's sections end on a word.
    word = 1 if name == "uno" else 4
    assert size.static_ram_bytes == -(-tiny_model.ARENA_BYTES // word) * word
    prefix = "avr-" if name == "uno" else "arm-none-eabi-"
    out = subprocess.run(
        [f"{prefix}size", str(firmware.elf)], capture_output=True, text=True
    ).stdout.splitlines()[1]
    text, data, bss = map(int, out.split()[:3])
    assert size.flash_bytes == text + data
    assert size.static_ram_bytes == data + bss
    assert 0 < size.code_bytes < size.flash_bytes
    assert size.support_bytes > 0


@pytest.mark.parametrize("name", ("uno", "microbit"))
def test_more_of_a_thing_is_counted_there(name, tmp_path):
    board = tiny_model.need(name)
    before = """
      static const int8_t spjax_more[40] ROM = {1, 2, 3};
      static int16_t counter = 7;
    """
    inside = "x[0] = (int8_t)(x[0] + READ(spjax_more + (x[1] & 7)) * ++counter);"
    plain = tiny_model.build(board, tmp_path / "plain")
    more = tiny_model.build(board, tmp_path / "more", before=before, inside=inside)
    a = deploy.footprint(plain, tiny_model.WEIGHTS)
    b = deploy.footprint(more, tiny_model.WEIGHTS)
    assert b.constant_bytes - a.constant_bytes == 40
    assert b.weight_bytes == a.weight_bytes
    assert b.code_bytes > a.code_bytes
    # The counter lies in RAM, and its first value in flash.
    assert b.static_ram_bytes - a.static_ram_bytes == (2 if name == "uno" else 4)
    as_weights = deploy.footprint(more, [*tiny_model.WEIGHTS, "spjax_more"])
    assert as_weights.weight_bytes - a.weight_bytes == 40
    assert as_weights.constants == {"spjax_test_weights": 192, "spjax_test_bias": 3} | {
        "spjax_more": 40
    }


def test_a_firmware_without_an_arena_is_refused(tmp_path):
    board = tiny_model.need("host")
    firmware = tiny_model.build(board, tmp_path)
    subprocess.run(["strip", str(firmware.elf)], check=True)
    with pytest.raises(deploy.ElfError, match="no symbol spjax_arena"):
        deploy.footprint(firmware, tiny_model.WEIGHTS)


def test_estimates():
    outputs = np.zeros((2, 3), np.int8)
    run = deploy.Run(outputs, np.zeros(2, np.int32))
    assert deploy.estimated_cycles(run) is None
    assert deploy.estimated_seconds(run, 16_000_000) is None
    arm = deploy.Run(
        outputs,
        run.returned,
        instructions=np.array([100, 200]),
        accesses=np.array([10, 30]),
        branches=np.array([5, 6]),
    )
    assert deploy.estimated_cycles(arm) == (100 + 10 + 10 + 200 + 30 + 12) / 2
    assert deploy.estimated_seconds(arm, 181) == 1.0
    avr = deploy.Run(outputs, run.returned, cycles=np.array([10, 30]))
    assert deploy.estimated_cycles(avr) == 20
    assert deploy.estimated_seconds(avr, None) is None
