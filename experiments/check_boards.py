r"""Random networks on every emulated board: the promise against what is measured.

    python -m experiments.check_boards --count=20 --boards=uno,microbit

Genomes are drawn from the search's space, given random weights of which some are cut,
quantised with a random precision of each layer, planned with each schedule in turn,
emitted as C, built within the board's limits and run on random images. Outputs have to
equal the integer reference's bit for bit, and the arena, static RAM and encoded weights
in the linked file have to be what was promised. Exit status 1 if anything is not.
"""

import pathlib
import tempfile
from collections.abc import Sequence

from absl import flags

from experiments import _board_checks, _cli
from spjax import deploy

flags.adopt_module_key_flags(_cli)
_EMULATED = ("uno", "microbit", "stm32vldiscovery", "netduinoplus2")
_BOARDS = flags.DEFINE_list("boards", list(_EMULATED), "Boards, comma-separated.")
_COUNT = flags.DEFINE_integer("count", 20, "Networks for each board.", lower_bound=1)
_IMAGES = flags.DEFINE_integer("images", 3, "Images for each network.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the draws.", lower_bound=0)


def main(argv: Sequence[str]) -> int:
    """Checks every board, prints a line for each network."""
    del argv
    boards = [deploy.get_board(name) for name in _BOARDS.value]
    for board in boards:
        deploy.require_tools(board)
    broken = 0
    for board in boards:
        with tempfile.TemporaryDirectory() as folder:
            broken += _board_checks.check_board(
                board, _COUNT.value, _IMAGES.value, _SEED.value, pathlib.Path(folder)
            )
    kept = "every promise held" if not broken else f"{broken} networks broke a promise"
    print(f"{len(boards)} boards, {_COUNT.value} networks each: {kept}.")
    return 1 if broken else 0


if __name__ == "__main__":
    _cli.run(main)
