"""A few random networks on every emulated board; the program checks many."""

import re

import numpy as np
import pytest

from experiments import _board_checks
from spjax.deploy.quantised import Linear
from tests.experiments.deployed_run import need


@pytest.mark.parametrize("board", ["uno", "microbit", "stm32vldiscovery"])
def test_random_networks_are_as_promised(board, tmp_path, capsys):
    count = _board_checks.check_board(need(board), 2, 2, 0, tmp_path)
    said = capsys.readouterr().out
    assert count == 0, said
    assert len(re.findall(r"as promised$", said, re.M)) == 2


def test_the_cortex_m4_too(tmp_path, capsys):
    board = need("netduinoplus2")
    assert _board_checks.check_board(board, 1, 2, 1, tmp_path) == 0
    assert "netduinoplus2   1 (draw" in capsys.readouterr().out


def test_draws_are_those_of_the_seed_and_of_every_precision():
    shape = _board_checks.SHAPES[0]
    a, b = (
        _board_checks.random_network(np.random.default_rng((3, 4)), shape)
        for _ in range(2)
    )
    assert [op.name for op in a.program.operations] == [
        op.name for op in b.program.operations
    ]
    for name, layer in a.operations.items():
        if isinstance(layer, Linear):
            np.testing.assert_array_equal(layer.weights, b.operations[name].weights)
    found = set()
    for draw in range(6):
        rng = np.random.default_rng((0, draw))
        made = _board_checks.random_network(rng, shape)
        layers = made.operations.values()
        found |= {layer.precision for layer in layers if isinstance(layer, Linear)}
    assert found == {"int8", "int4", "int2", "ternary"}
