r"""Puts a search's network onto a board: int8, C, built, emulated and measured.

    python -m experiments.deploy --run_dir=runs/mnist --pick=best --board=uno

With ``--quantised=DIR`` the network is one that ``experiments.quantise`` wrote.

Writes a firmware folder (``--out``, by default ``DIR/firmware/BOARD``): the
network's C with its README, Makefile and self-test, and in ``build`` the firmware that
was measured. It runs on the board's emulator on test images, and on this computer on
all of them; every output is compared with the integer reference. The folder appears
whole, or not at all.
"""

from collections.abc import Sequence

from absl import flags

from experiments import _cli, _deployment, _firmware, _remedy
from spjax import deploy

flags.adopt_module_key_flags(_cli)
flags.adopt_module_key_flags(_remedy)
_RUN_DIR = flags.DEFINE_string("run_dir", None, "Folder of the run.")
_PICK = flags.DEFINE_string("pick", "best", "`best`, or a trial's number.")
_QUANTISED = flags.DEFINE_string(
    "quantised", None, "Instead of a run: a folder that experiments.quantise wrote."
)
_BOARD = flags.DEFINE_string("board", "uno", f"One of {', '.join(deploy.TARGETS)}.")
_RAM_BYTES = flags.DEFINE_integer(
    "ram_bytes", None, "RAM in bytes, instead of the board's.", lower_bound=1
)
_FLASH_BYTES = flags.DEFINE_integer(
    "flash_bytes", None, "Flash in bytes, instead of the board's.", lower_bound=1
)
_IMAGES = flags.DEFINE_integer(
    "images", 200, "Test images to run on the board's emulator.", lower_bound=1
)
_OUT = flags.DEFINE_string(
    "out", None, "The firmware folder; DIR/firmware/BOARD if not given."
)
_SCHEDULE = flags.DEFINE_enum(
    "schedule",
    "auto",
    list(_firmware.SCHEDULES),
    "How the arena is used: `auto` takes the simplest that fits, `smallest` the one "
    "with the smallest planned_arena.",
)
_OPTIMISE = flags.DEFINE_enum(
    "optimise", "s", ["s", "1", "2", "3"], "The compiler's -O for the firmware."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Where TFDS data lies, if elsewhere than for the run."
)
_INSTALL = flags.DEFINE_bool(
    "install_tools", False, "Install missing compilers and emulators with apt."
)


def main(argv: Sequence[str]) -> int:
    """Reads the flags, deploys, prints where to."""
    del argv
    out = _deployment.deploy_pick(
        _deployment.Options(
            run_dir=_RUN_DIR.value,
            pick=_PICK.value,
            board=_BOARD.value,
            ram_bytes=_RAM_BYTES.value,
            flash_bytes=_FLASH_BYTES.value,
            images=_IMAGES.value,
            out=_OUT.value,
            schedule=_SCHEDULE.value,
            optimise=_OPTIMISE.value,
            data_dir=_DATA_DIR.value,
            quantised=_QUANTISED.value,
            install_tools=_INSTALL.value,
            tolerance=_remedy.TOLERANCE.value,
            remedy=_remedy.REMEDY.value,
        )
    )
    print(f"The firmware is in {out}")
    return 0


if __name__ == "__main__":
    _cli.run(main)
