"""What a search does by default on the device that JAX computes on.

On a CPU each worker process trains one network at a time. An accelerator is mostly idle
with one small network: a single worker trains a population on it.
"""

import importlib.metadata
import importlib.util
import os
import subprocess
import sys

_WORKERS_ON_CPU = 2
_TOGETHER_ON_ACCELERATOR = 16
_QUESTION = "import jax; print(jax.default_backend())"


def has_accelerator() -> bool:
    """Whether JAX computes on anything but a CPU.

    Without a plugin for another device it cannot. Otherwise a process that ends at once
    is asked: one that has looked for devices holds them, some of them for itself alone.
    """
    if not _has_plugin():
        return False
    asked = [sys.executable, "-c", _QUESTION]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.split()[-1:] != ["cpu"]


def share_memory() -> None:
    """Lets this process and its workers share an accelerator's memory.

    JAX would take most of it in the first process that computes. To be called before
    that; what the user has set stays.
    """
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def default_workers(accelerator: bool) -> int:
    """Worker processes of a search."""
    return 1 if accelerator else min(_WORKERS_ON_CPU, os.cpu_count() or 1)


def default_together(accelerator: bool) -> int:
    """Networks that a worker of a search trains at once."""
    return _TOGETHER_ON_ACCELERATOR if accelerator else 1


def _has_plugin() -> bool:
    """Whether a plugin of JAX's for a device, or the library of TPUs, is installed."""
    names = "jax_plugins", "libtpu"
    found = any(importlib.util.find_spec(name) is not None for name in names)
    return found or bool(importlib.metadata.entry_points(group="jax_plugins"))
