"""Flags that several programs share: the data set and the board."""

import dataclasses

from absl import flags

from spjax import data, deploy

DATASET = flags.DEFINE_string(
    "dataset",
    "digits",
    "The data set: `digits` (embedded), `cifar10_binary`, any TFDS image set by name, "
    "`folder:PATH` (one sub-folder per class) or `npz:PATH`.",
)
DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Where TFDS data lies; TFDS_DATA_DIR if not given."
)
DOWNLOAD = flags.DEFINE_bool(
    "download", False, "Allow TFDS to download the data set if it is not there."
)
IMAGE_SIZE = flags.DEFINE_integer(
    "image_size", None, "Resize images to this side, in pixels.", lower_bound=4
)
GREY = flags.DEFINE_bool("grey", False, "Turn colour images to one grey channel.")
SPLIT_SEED = flags.DEFINE_integer(
    "split_seed", 0, "Seed of the training/validation split.", lower_bound=0
)
TRAIN_IMAGES = flags.DEFINE_integer(
    "train_images",
    None,
    "Use only so many of the training images, always the same ones.",
    lower_bound=1,
)
BOARD = flags.DEFINE_string(
    "board",
    "uno",
    "The board: `uno`, `microbit`, `stm32vldiscovery` or `netduinoplus2`.",
)
RAM_BYTES = flags.DEFINE_integer(
    "ram_bytes", None, "RAM in bytes, instead of the board's.", lower_bound=1
)
FLASH_BYTES = flags.DEFINE_integer(
    "flash_bytes", None, "Flash in bytes, instead of the board's.", lower_bound=1
)


def load_dataset() -> data.Dataset:
    """The data set that the flags name; its notes are printed.

    Raises:
      DataError: as ``data.load`` does.
    """
    dataset = data.load(
        DATASET.value,
        data_dir=DATA_DIR.value,
        download=DOWNLOAD.value,
        image_size=IMAGE_SIZE.value,
        grey=GREY.value,
        seed=SPLIT_SEED.value,
    )
    if TRAIN_IMAGES.value is not None:
        dataset = data.subset(dataset, TRAIN_IMAGES.value)
    for note in dataset.notes:
        print(f"note: {note}")
    return dataset


def get_board() -> deploy.Board:
    """The board that the flags name, with --ram_bytes and --flash_bytes in place.

    Raises:
      BoardError: for a name that is not known.
    """
    board = deploy.get_board(BOARD.value)
    changes = {
        key: flag.value
        for key, flag in (("ram_bytes", RAM_BYTES), ("flash_bytes", FLASH_BYTES))
        if flag.value is not None
    }
    if not changes:
        return board
    return dataclasses.replace(board, name=f"{board.name} (changed)", **changes)


def data_arguments() -> list[str]:
    """The flags of the data set that were given, as a command line has them."""
    return _given(
        DATASET, DATA_DIR, IMAGE_SIZE, GREY, SPLIT_SEED, TRAIN_IMAGES, always=DATASET
    )


def source_arguments() -> list[str]:
    """Where data sets come from, as a command line has it; without a data set."""
    return _given(DATA_DIR, DOWNLOAD)


def board_arguments() -> list[str]:
    """The flags of the board that were given, as a command line has them."""
    return _given(BOARD, RAM_BYTES, FLASH_BYTES, always=BOARD)


def _given(
    *holders: flags.FlagHolder, always: flags.FlagHolder | None = None
) -> list[str]:
    return [
        f"--{holder.name}"
        if holder.value is True
        else f"--{holder.name}={holder.value}"
        for holder in holders
        if holder is always or holder.value != holder.default
    ]
