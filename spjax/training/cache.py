"""The persistent compilation cache: a genome seen before is not compiled again."""

import os

import jax


def use_compilation_cache(folder: str | os.PathLike) -> None:
    """Keeps every compiled program in a folder, small ones too.

    JAX's defaults skip programs that compile in under a second, which is most of ours.

    Args:
      folder: made if missing; may be shared by processes.
    """
    os.makedirs(folder, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", os.fspath(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
