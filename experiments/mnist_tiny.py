r"""MNIST beside uNAS's network of half a kilobyte.

    python -m experiments.mnist_tiny --data_dir=DIR

as ``experiments.mnist``, within far less. uNAS (Liberis et al. 2021) has, as recalled
and not read in its paper, accuracy 0.9919 at 480 B and 488 B. Its model of memory
leaves the input out; ours here, ``input_output``, counts it: 14x14 pixels, the image
averaged by two, are 196 of the 488 bytes.
"""

from collections.abc import Sequence

from absl import flags

from experiments import _cli, _published
from spjax.report import beside

flags.adopt_module_key_flags(_published)
flags.adopt_module_key_flags(_cli)

BENCHMARK = _published.Benchmark(
    name="mnist_tiny",
    dataset="mnist",
    memory_model="input_output",
    rows=(beside.Published("uNAS, as recalled", 0.9919, 480, 488),),
    search_flags=("--epochs=10", "--error_bound=0.1"),
    # Warped images are too much for networks so small.
    train_flags=("--learning_rate=0.015",),
)


def main(argv: Sequence[str]) -> int:
    """Searches, trains and compares."""
    del argv
    return _published.run(BENCHMARK)


if __name__ == "__main__":
    _cli.run(main)
