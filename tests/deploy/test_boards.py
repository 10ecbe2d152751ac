import dataclasses

import pytest

from spjax import deploy


@pytest.mark.parametrize(
    ("name", "ram_kib", "flash_kib", "mhz", "core"),
    [
        ("uno", 2, 32, 16, "AVR 8-bit"),
        ("microbit", 16, 256, 16, "Cortex-M0"),
        ("stm32vldiscovery", 8, 128, 24, "Cortex-M3"),
        ("netduinoplus2", 128, 1024, 168, "Cortex-M4"),
    ],
)
def test_boards_have_their_data_sheets_figures(name, ram_kib, flash_kib, mhz, core):
    board = deploy.get_board(name)
    assert board.name == name
    assert board.ram_bytes == ram_kib * 1024
    assert board.flash_bytes == flash_kib * 1024
    assert board.clock_hz == mhz * 10**6
    assert board.core == core


def test_names_are_keys():
    assert {b.name: b for b in deploy.BOARDS.values()} == deploy.BOARDS


def test_unknown_board_lists_known_and_the_near_match():
    with pytest.raises(deploy.BoardError) as caught:
        deploy.get_board("Microbits")
    message = str(caught.value)
    assert "--board=Microbits" in message
    assert "did you mean microbit?" in message
    assert all(name in message for name in deploy.BOARDS)
    assert "--ram_bytes" in message
    assert "\n" not in message


def test_unknown_board_without_near_match():
    with pytest.raises(deploy.BoardError) as caught:
        deploy.get_board("cray")
    assert "did you mean" not in str(caught.value)
    assert "uno, microbit, stm32vldiscovery" in str(caught.value)


def test_custom_board():
    board = deploy.custom_board(1000, 20_000)
    assert (board.name, board.ram_bytes, board.flash_bytes) == ("custom", 1000, 20_000)
    assert board.clock_hz is None


@pytest.mark.parametrize("ram", [0, -1, 1.5, True, "2048", None])
def test_limits_must_be_positive_whole_numbers(ram):
    with pytest.raises(deploy.BoardError, match=f"--ram_bytes={ram}"):
        deploy.custom_board(ram, 1000)
    with pytest.raises(deploy.BoardError, match=f"--flash_bytes={ram}"):
        deploy.custom_board(1000, ram)


def test_replace_checks_too_and_boards_are_frozen_values():
    uno = deploy.get_board("uno")
    with pytest.raises(deploy.BoardError, match="ram_bytes=0"):
        dataclasses.replace(uno, ram_bytes=0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        uno.ram_bytes = 1
    assert hash(uno) == hash(dataclasses.replace(uno))
    assert isinstance(deploy.BoardError("x"), ValueError)
