"""Installs what a board's firmware needs, where that is possible."""

import os
import shutil
import subprocess

from experiments import _cli
from spjax import deploy


def provide(board: deploy.Board, install: bool) -> None:
    """Sees to the compilers and the emulator of a board.

    Args:
      board: the board.
      install: whether missing ones may be installed with apt, which is said first.

    Raises:
      ToolchainError: if something is missing and may not or cannot be installed.
      UsageError: if the installation fails.
    """
    missing = deploy.missing_packages(board)
    if not missing:
        return
    apt = shutil.which("apt-get")
    if not install or apt is None or os.geteuid() != 0:
        deploy.require_tools(board)
    print(f"Installing with apt-get: {' '.join(missing)}", flush=True)
    quiet = ["-q", "-y", "--no-install-recommends"]
    for command in ([apt, "update", "-q"], [apt, "install", *quiet, *missing]):
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise _cli.UsageError(
                f"{' '.join(command)} failed ({last}): install these packages by hand, "
                "then run this again"
            )
    deploy.require_tools(board)
