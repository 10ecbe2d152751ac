r"""CIFAR-10 in two groups beside SpArSe's and uNAS's published networks.

    python -m experiments.cifar10_binary --data_dir=DIR

as ``experiments.mnist``, with images of 32x32x3. The groups are the labels 0-4 against
5-9, as uNAS has them; which grouping SpArSe's authors used is not known.

Published: SpArSe (Fedorov et al. 2019), accuracy 0.7384 at 0.78 KB and 1.28 KB, in
the model ``input_output``; uNAS (Liberis et al. 2021), 0.7749 at 685 B and 909 B, in a
model of memory of its own.
"""

from collections.abc import Sequence

from absl import flags

from experiments import _cli, _published
from spjax.report import beside

flags.adopt_module_key_flags(_published)
flags.adopt_module_key_flags(_cli)

BENCHMARK = _published.Benchmark(
    name="cifar10_binary",
    dataset="cifar10_binary",
    memory_model="input_output",
    rows=(
        beside.Published("SpArSe", 0.7384, 780, 1280),
        beside.Published("uNAS", 0.7749, 685, 909),
    ),
    # Sides of 16 pixels, plain chains of convolutions, many channels, high sparsity: a
    # search of all resolutions stayed with images averaged to 8x8, where few bytes do,
    # and with validation errors of 30 %. At 10 epochs a trial there are too few trials
    # to learn which genes hardly ever help. The second search counts nothing above
    # 27.5 %.
    search_flags=(
        "--epochs=10",
        "--pruning=weight",
        "--space=downsample=2;num_blocks=2..3;num_convs=1;num_dense=0..1;kernel=2..5;"
        "channels=6..32;batch_norm=true;relu=true;residual=false;branches=false;"
        "learning_rate=0.004..0.015;sparsity=0.65..0.92",
        "--initial_trials=14",
        "--prefer=error",
        "--error_bound=0.32",
    ),
    focus_flags=("--error_bound=0.275", "--initial_trials=1"),
    train_flags=("--augment_mirror",),
)


def main(argv: Sequence[str]) -> int:
    """Searches, trains and compares."""
    del argv
    return _published.run(BENCHMARK)


if __name__ == "__main__":
    _cli.run(main)
