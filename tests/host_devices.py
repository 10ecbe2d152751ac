"""Programs that see several devices: a CPU split into some, in a process of its own."""

import os
import pathlib
import subprocess
import sys

_ROOT = pathlib.Path(__file__).parents[1]


def run_on_four(*arguments, **options):
    """Runs Python with four devices; returns what it left, with its output as text.

    Args:
      *arguments: of the interpreter.
      **options: of ``subprocess.run``; ``env`` adds to the environment.
    """
    env = {
        **os.environ,
        "PYTHONPATH": str(_ROOT),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        **options.pop("env", {}),
    }
    return subprocess.run(
        [sys.executable, *arguments], env=env, capture_output=True, text=True, **options
    )
