"""Flags of the data set and the board, and genome files."""

import json

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from experiments import _cli, _flags, _genome_file
from spjax import data, deploy, genomes
from tests.experiments import small


@pytest.fixture(autouse=True)
def _parsed():
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["search"])


def test_the_data_set_is_the_one_that_the_flags_describe(tmp_path, capsys):
    colour = np.repeat(small.images(60, 0)[0], 3, axis=-1)
    colour[..., 1] = 0
    np.savez(tmp_path / "c.npz", images=colour, labels=small.images(60, 0)[1])
    name = f"npz:{tmp_path}/c.npz"
    with flagsaver.as_parsed(dataset=name):
        assert _flags.load_dataset().input_shape == (8, 8, 3)
    assert "no test split of its own" in capsys.readouterr().out
    given = {"dataset": name, "image_size": "6", "grey": "true", "split_seed": "4"}
    with flagsaver.as_parsed(**given):
        found = _flags.load_dataset()
        assert _flags.data_arguments() == [
            f"--dataset={name}",
            "--image_size=6",
            "--grey",
            "--split_seed=4",
        ]
    expected = data.load(name, image_size=6, grey=True, seed=4)
    assert found.input_shape == (6, 6, 1)
    assert found.fingerprint == expected.fingerprint


def test_limits_take_the_place_of_the_boards():
    assert _flags.get_board() == deploy.get_board("uno")
    with flagsaver.as_parsed(board="microbit", ram_bytes="500"):
        board = _flags.get_board()
        assert _flags.board_arguments() == ["--board=microbit", "--ram_bytes=500"]
    microbit = deploy.get_board("microbit")
    assert (board.ram_bytes, board.flash_bytes) == (500, microbit.flash_bytes)
    assert board.name == "microbit (changed)"
    with (
        flagsaver.as_parsed(board="none"),
        pytest.raises(ValueError, match="--board=none"),
    ):
        _flags.get_board()


GENOME = genomes.Genome(blocks=(genomes.Block(convs=(genomes.Conv(channels=3),)),))


def test_a_genome_is_read_alone_or_from_a_searchs_best(tmp_path):
    text = genomes.to_json(GENOME)
    alone, best = tmp_path / "genome.json", tmp_path / "best.json"
    alone.write_text(text)
    best.write_text(json.dumps({"point": {"genome": json.loads(text)}}))
    for path in (alone, best):
        assert _genome_file.read_genome(str(path)) == GENOME


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read .*No such file"),
        ("", "is no genome"),
        ("[1, 2]", "is no genome"),
        ('{"point": null}', "is no genome"),
        ('{"point": {"genome": {"version": 99}}}', "is no genome: .*99"),
        (b"\xff\xfe\x00", "is no genome"),
        ("[" * 100_000, "is no genome"),
    ],
)
def test_what_is_no_genome_is_one_clear_line(tmp_path, content, message):
    path = tmp_path / "genome.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(_cli.UsageError, match=message) as caught:
        _genome_file.read_genome(str(path))
    assert f"--genome={path}" in str(caught.value)
