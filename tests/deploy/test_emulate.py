"""Firmware on the emulators: outputs against numpy, counts against known code."""

import dataclasses

import numpy as np
import pytest

from spjax import deploy
from tests.deploy import tiny_model

ARM = ("microbit", "stm32vldiscovery", "netduinoplus2")


def _run(name, folder, count=3, seconds=60, **code):
    board = tiny_model.need(name)
    firmware = tiny_model.build(board, folder, **code)
    emulator = deploy.make_emulator(board, folder / "helper")
    return deploy.run_firmware(
        emulator, firmware, tiny_model.images(count), seconds=seconds
    )


@pytest.mark.parametrize("name", (*tiny_model.BOARDS, "host"))
def test_outputs_are_those_of_numpy(name, tmp_path):
    result = _run(name, tmp_path, count=25)
    wanted = tiny_model.expected(tiny_model.images(25))
    np.testing.assert_array_equal(result.outputs, wanted)
    np.testing.assert_array_equal(result.returned, wanted.argmax(1))
    assert len(np.unique(wanted)) > 20


def test_avr_cycles_are_those_of_a_known_delay(tmp_path):
    """The cycles of a delay are in the data sheet: the compiler makes it exact."""
    delays = (0, 1, 777, 100_000)
    cycles = [
        _run("uno", tmp_path / str(d), inside=f"__builtin_avr_delay_cycles({d});")
        for d in delays
    ]
    added = [(r.cycles - cycles[0].cycles).tolist() for r in cycles]
    assert added == [[d] * 3 for d in delays]
    # 64 bytes in and 5 out at 115,200 baud (16e6 / 8 / 17 bit/s), ten bits each.
    line = cycles[0].cycles_with_line - cycles[0].cycles
    assert (line > 64 * 10 * 8 * 17).all()
    assert (line < 64 * 10 * 8 * 17 * 1.5).all()


@pytest.mark.parametrize("name", ARM)
def test_arm_counts_are_those_of_a_known_loop(name, tmp_path):
    """A loop of three instructions: a load, a subtraction, a branch."""
    loop = """
      {{ uint32_t n = {0}, word = 0;
         __asm__ volatile(".syntax unified\\n"
                          "1: ldr %1, [%2]\\n subs %0, #1\\n bne 1b\\n"
                          : "+l"(n), "=&l"(word) : "l"(&__bss_end) : "cc", "memory"); }}
    """
    before = "extern uint32_t __bss_end;"
    short, long = (
        _run(name, tmp_path / str(n), before=before, inside=loop.format(n))
        for n in (100, 250)
    )
    assert len(short.instructions) == 2  # counted on the first two images only
    np.testing.assert_array_equal(long.instructions - short.instructions, 3 * 150)
    np.testing.assert_array_equal(long.accesses - short.accesses, 150)
    np.testing.assert_array_equal(long.branches - short.branches, 150)


@pytest.mark.parametrize("name", tiny_model.BOARDS)
def test_stack_high_water_mark_follows_a_buffer_on_the_stack(name, tmp_path):
    code = """
      {{ volatile int8_t buffer[{0}];
         for (int i = 0; i < {0}; ++i) buffer[i] = 1; }}
    """
    small, large = (
        _run(name, tmp_path / str(n), inside=code.format(n)) for n in (200, 600)
    )
    assert large.stack_bytes - small.stack_bytes == 400
    assert large.stack_room_bytes == small.stack_room_bytes
    size = deploy.footprint(
        tiny_model.build(tiny_model.need(name), tmp_path), tiny_model.WEIGHTS
    )
    ram = deploy.get_board(name).ram_bytes
    assert size.static_ram_bytes + small.stack_room_bytes == ram


@pytest.mark.parametrize("name", ("uno", "stm32vldiscovery"))
def test_a_stack_without_room_is_an_error(name, tmp_path):
    ram = deploy.get_board(name).ram_bytes
    code = f"""
      {{ volatile int8_t buffer[{ram - 75}L];
         for (long i = {ram - 76}L; i >= 0; --i) buffer[i] = 1; }}
    """
    with pytest.raises(deploy.EmulationError, match=f"--board={name}"):
        _run(name, tmp_path, inside=code)


@pytest.mark.parametrize("name", ARM)
def test_a_fault_is_an_error(name, tmp_path):
    code = '__asm__ volatile("udf #0");'
    with pytest.raises(deploy.EmulationError, match="status 86: the processor took"):
        _run(name, tmp_path, inside=code)


@pytest.mark.parametrize("name", ("uno", "microbit", "host"))
def test_a_firmware_that_never_ends_is_stopped(name, tmp_path):
    with pytest.raises(deploy.EmulationError, match="more than 1 seconds"):
        _run(name, tmp_path, seconds=1, inside="for (;;) { *(volatile char *)x = 0; }")


def test_images_of_another_size_or_type_are_refused(tmp_path):
    board = tiny_model.need("host")
    firmware = tiny_model.build(board, tmp_path)
    emulator = deploy.make_emulator(board, tmp_path)
    for images in (
        np.zeros((2, 63), np.int8),
        np.zeros((2, 64), np.uint8),
        np.zeros((0, 64), np.int8),
    ):
        with pytest.raises(deploy.EmulationError, match="takes int8 of 64 bytes"):
            deploy.run_firmware(emulator, firmware, images)


def test_uno_with_less_ram_has_less_room(tmp_path):
    whole = _run("uno", tmp_path / "whole")
    board = dataclasses.replace(tiny_model.need("uno"), ram_bytes=1024)
    firmware = tiny_model.build(board, tmp_path / "half")
    emulator = deploy.make_emulator(board, tmp_path)
    half = deploy.run_firmware(emulator, firmware, tiny_model.images(1))
    assert whole.stack_room_bytes - half.stack_room_bytes == 1024
