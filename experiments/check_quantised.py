r"""All networks of the fronts of runs as integers, beside their floats.

    python -m experiments.check_quantised --run_dirs=runs/mnist

Each is quantised as ``experiments.deploy`` does it: judged on the validation images,
with remedies where it is not shown to stay within ``--tolerance`` points. Then the test
images are looked at, for the table: what the plain quantisation loses there, what the
one that was taken loses, and the standard errors of these paired differences.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from absl import flags

from experiments import _cli, _firmware, _fronts, _picked, _remedy
from spjax import data, deploy, search

flags.adopt_module_key_flags(_cli)
flags.adopt_module_key_flags(_fronts)
flags.adopt_module_key_flags(_remedy)
_HEAD = (
    "| network | float test error % | plain: loss on validation | on test | taken "
    "| loss on test |\n|---|--:|--:|--:|---|--:|"
)


@dataclasses.dataclass(frozen=True)
class Row:
    """A network of a front.

    Attributes:
      network: its run and number.
      judged: validation loss of the plain quantisation.
      plain: its test loss.
      name: how the quantisation that was taken was made.
      taken: its test loss.
    """

    network: str
    judged: deploy.Loss
    plain: deploy.Loss
    name: str
    taken: deploy.Loss

    def markdown(self) -> str:
        """A row of the table."""
        error = 100 * self.plain.float_errors / self.plain.images
        losses = map(_points, (self.judged, self.plain, self.taken))
        judged, plain, taken = losses
        name = "plain" if self.name == "mse" else self.name.removeprefix("mse, ")
        return (
            f"| {self.network} | {error:.2f} | {judged} | {plain} | {name} | {taken} |"
        )


def main(argv: Sequence[str]) -> int:
    """Quantises and measures every network of the fronts."""
    del argv
    if not _fronts.RUN_DIRS.value:
        raise _cli.UsageError("--run_dirs is missing; name folders of runs.")
    tolerance, remedy = _remedy.TOLERANCE.value, _remedy.REMEDY.value
    rows = []
    for picked, dataset in _fronts.with_data(_fronts.picks()):
        rows.append(measure(picked, dataset, tolerance, remedy))
        print(rows[-1].markdown(), flush=True)
    print("\n".join(["", _HEAD, *(row.markdown() for row in rows), ""]))
    print("\n".join(summary(rows, tolerance)))
    return 0


def measure(
    picked: _picked.Picked, dataset: data.Dataset, tolerance: float, remedy: str
) -> Row:
    """Quantises a network and compares it with its floats.

    Args:
      picked: the network.
      dataset: that of its run.
      tolerance: in percentage points.
      remedy: one of ``deploy.REMEDIES``.
    """
    program = search.program_of(
        picked.genome, picked.variables, dataset.input_shape, dataset.num_classes
    )
    best, attempts = _remedy.quantised(
        program, picked.genome, dataset, tolerance=tolerance, remedy=remedy
    )
    test = dataset.test()
    images = _firmware.network_input(test.images, picked.genome, dataset.normalisation)
    plain, taken = (
        deploy.measure_loss(program, attempt.quantised, images, test.labels)
        for attempt in (attempts[0], best)
    )
    number = search.name_of(picked.index, picked.reading)
    name = f"{picked.run_dir.name} {number}"
    return Row(name, attempts[0].loss, plain, best.name, taken)


def summary(rows: Sequence[Row], tolerance: float) -> Iterator[str]:
    """How many networks lose more than the tolerance on the test images.

    Args:
      rows: the networks.
      tolerance: in percentage points.

    Yields:
      Lines, before and after the remedies.
    """
    for when, losses in (
        ("plain", [row.plain for row in rows]),
        ("taken", [row.taken for row in rows]),
    ):
        shares = np.array([100 * loss.share for loss in losses])
        errors = np.array([100 * loss.standard_error for loss in losses])
        over = shares > tolerance + 1e-7
        clearly = shares - 2 * errors > tolerance
        yield (
            f"{when}: {over.sum()} of {len(rows)} networks lose more than "
            f"{tolerance:g} points on the test images, {clearly.sum()} of them by more "
            f"than two standard errors; mean loss {shares.mean():+.2f}, largest "
            f"{shares.max():+.2f} points."
        )


def _points(loss: deploy.Loss) -> str:
    return f"{100 * loss.share:+.2f} +- {100 * loss.standard_error:.2f}"


if __name__ == "__main__":
    _cli.run(main)
