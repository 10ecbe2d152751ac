r"""Working memory beside TensorFlow Lite Micro's, on the same quantised networks.

    python -m experiments.bench_tflm --run_dirs=runs/mnist

Takes the networks of the fronts, quantised to int8, and those of ``--quantised_dirs``
folders, writes each as .tflite and as C, and prints TFLM's own account of its arena
beside ours: ``planned_arena`` of whole maps in place and of the smallest schedule,
which is built on this computer and measured in the linked file. Both have to give the
same outputs. Exit status 1 if they do not, or if an arena is not as planned.
"""

import dataclasses
import importlib.util
import pathlib
import statistics
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np
from absl import flags

from experiments import _cli, _firmware, _fronts, _picked, _quantised_folder, _tflm
from spjax import deploy, search
from spjax.deploy import emit

flags.adopt_module_key_flags(_cli)
flags.adopt_module_key_flags(_fronts)
_QUANTISED = flags.DEFINE_list(
    "quantised_dirs", [], "Folders of experiments.quantise, parted by commas."
)
_IMAGES = 4
_HEAD = (
    "| network | input | `.tflite` | encoded weights | TFLM head | TFLM in all "
    "| ours, whole maps | ours, smallest | schedule | TFLM head / ours, smallest |\n"
    "|---|--:|--:|--:|--:|--:|--:|--:|---|--:|"
)


@dataclasses.dataclass(frozen=True)
class Row:
    """A network in both; all figures in bytes.

    Attributes:
      network: where it is from.
      input: elements of the input.
      file: the .tflite file.
      encoded: model_size_encoded.
      tflm: its arena.
      whole: planned_arena of whole maps, in place.
      smallest: the smallest planned_arena.
      schedule: the schedule that has it.
      measured: the arena in the linked file, of the smallest.
      equal: whether the outputs are the same.
    """

    network: str
    input: int
    file: int
    encoded: int
    tflm: _tflm.Arena
    whole: int
    smallest: int
    schedule: str
    measured: int
    equal: bool

    @property
    def ratio(self) -> float:
        """TFLM's head to our smallest arena."""
        return self.tflm.head / self.smallest

    def markdown(self) -> str:
        """A row of the table."""
        return (
            f"| {self.network} | {self.input:,} | {self.file:,} | {self.encoded:,} "
            f"| {self.tflm.head:,} | {self.tflm.head + self.tflm.tail:,} "
            f"| {self.whole:,} | {self.smallest:,} | {self.schedule} "
            f"| {self.ratio:.2f} |"
        )


def main(argv: Sequence[str]) -> int:
    """Prints the table."""
    del argv
    if importlib.util.find_spec("tflite_micro") is None:
        raise _cli.UsageError(
            "the package tflite-micro is missing; run pip install tflite-micro."
        )
    if not (_fronts.RUN_DIRS.value or _QUANTISED.value):
        raise _cli.UsageError("name networks: --run_dirs or --quantised_dirs.")
    rows = []
    for name, quantised, images in _networks():
        if not rows:
            print(_HEAD)
        rows.append(compare(name, quantised, images))
        print(rows[-1].markdown(), flush=True)
    wrong = [r for r in rows if not r.equal or r.measured != r.smallest]
    for row in wrong:
        what = "other outputs" if not row.equal else "an arena of another size"
        print(f"{row.network}: {what} than promised")
    ratios = [row.ratio for row in rows]
    print(
        f"\n{len(rows)} networks; TFLM's head is {min(ratios):.2f} to "
        f"{max(ratios):.2f} times our smallest arena, in the median "
        f"{statistics.median(ratios):.2f}."
    )
    return int(bool(wrong))


def _networks() -> Iterator[tuple[str, deploy.QuantisedProgram, np.ndarray]]:
    """Names, networks and a few images as they take them."""
    found = [*_fronts.picks(), *map(_quantised_folder.read_quantised, _QUANTISED.value)]
    for one, dataset in _fronts.with_data(found):
        pixels = dataset.train.images[: _firmware.CALIBRATION_IMAGES]
        images = _firmware.network_input(pixels, one.genome, dataset.normalisation)
        name = one.run_dir.name
        if isinstance(one, _picked.Picked):
            name += f" {search.name_of(one.index, one.reading)}"
            program = search.program_of(
                one.genome, one.variables, dataset.input_shape, dataset.num_classes
            )
            quantised = deploy.quantise(
                program,
                images,
                input_range=_firmware.input_range(dataset.normalisation),
            )
        else:
            quantised = one.quantised
        scale = quantised.scale(quantised.program.inputs[0])
        yield name, quantised, scale.to_int8(images[:_IMAGES])


def compare(name: str, quantised: deploy.QuantisedProgram, images: np.ndarray) -> Row:
    """Plans, builds and runs a network in both.

    Args:
      name: for the table.
      quantised: the network.
      images: int8 [N, ..].
    """
    program = quantised.program
    plans = _firmware.plans(program)
    schedule = min(plans, key=lambda name: plans[name].planned_arena)
    model = emit.model(quantised, plans[schedule], name="network")
    blob = deploy.to_tflite(quantised)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        made = _firmware.measure(
            deploy.HOST_BOARD, model, images, path, helper=path / "helper"
        )
    return Row(
        network=name,
        input=images[0].size,
        file=len(blob),
        encoded=model.encoded_bytes,
        tflm=_tflm.arena(blob),
        whole=plans["whole"].planned_arena,
        smallest=plans[schedule].planned_arena,
        schedule=schedule,
        measured=made.footprint.arena_bytes,
        equal=np.array_equal(made.run.outputs, _tflm.tflm(blob, images)),
    )


if __name__ == "__main__":
    _cli.run(main)
