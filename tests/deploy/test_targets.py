"""Every board of the search can be built for, within its own limits."""

import dataclasses

import pytest

from spjax import deploy
from spjax.deploy import targets


@pytest.mark.parametrize("name", deploy.BOARDS)
def test_every_board_has_a_target(name):
    board = deploy.get_board(name)
    target = deploy.get_target(board)
    assert target.family == ("avr" if "AVR" in board.core else "arm")
    if target.family == "arm":
        # QEMU names its machines as we name the boards, the compiler its cores as Arm.
        assert target.machine == name
        assert target.cpu == board.core.lower()
    else:
        assert target.cpu == board.chip.lower()
    assert 0 < target.stack_bytes < board.ram_bytes / 4


def test_limits_are_those_of_the_board_even_when_changed():
    board = dataclasses.replace(deploy.get_board("uno"), ram_bytes=1024)
    assert targets.limits(board) == {
        "FLASH_ORIGIN": 0,
        "FLASH_BYTES": 32 * 1024,
        "RAM_ORIGIN": 0x800100,
        "RAM_BYTES": 1024,
        "STACK_BYTES": 320,
    }


def test_a_custom_board_has_no_target():
    with pytest.raises(deploy.BoardError, match="--board=custom") as caught:
        deploy.get_target(deploy.custom_board(1000, 1000))
    assert "microbit" in str(caught.value)
