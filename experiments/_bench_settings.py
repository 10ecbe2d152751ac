"""The search whose genomes the benchmarks draw."""

from typing import TYPE_CHECKING

from experiments import _flags

if TYPE_CHECKING:
    from spjax import search


def board_settings(
    input_shape: tuple[int, int, int], num_classes: int
) -> "search.Settings":
    """A search within the limits of the board that the flags name.

    Args:
      input_shape: (height, width, channels) of the images.
      num_classes: number of classes.
    """
    from spjax import search

    board = _flags.get_board()
    return search.Settings(
        input_shape=input_shape,
        num_classes=num_classes,
        limits=(
            ("planned_arena", board.ram_bytes),
            ("model_size_nonzero", board.flash_bytes),
        ),
    )
