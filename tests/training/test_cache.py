"""A program that was compiled once is read back by the next process."""

import os
import subprocess
import sys
import textwrap

PROGRAM = textwrap.dedent(
    """
    import sys
    import jax
    from spjax.training import use_compilation_cache

    hits = []
    jax.monitoring.register_event_listener(
        lambda name, **_: hits.append(name) if name.endswith("cache_hits") else None
    )
    use_compilation_cache(sys.argv[1])
    jax.jit(lambda x: x * 3 + 1)(2.0).block_until_ready()
    print(len(hits))
    """
)


def test_the_second_process_compiles_nothing(tmp_path):
    folder = tmp_path / "new" / "cache"
    counts = [
        int(
            subprocess.run(
                [sys.executable, "-c", PROGRAM, str(folder)],
                capture_output=True,
                text=True,
                check=True,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(p or "." for p in sys.path),
                },
            ).stdout
        )
        for _ in range(2)
    ]
    assert counts[0] == 0
    assert counts[1] >= 1
