r"""Quantises a trained network, with or without fine-tuning, and states what it costs.

    python -m experiments.quantise --network=runs/mnist/trials/0012/deployed \
        --dataset=mnist --precision=int4 --epochs=10 --out=runs/mnist-int4

writes ``quantised.npz`` (what firmware is made from), ``network.tflite`` and
``quantised.json`` (figures, and the flags that made them), and prints the error rates
of the float network and of the integers. ``--precision`` is one of int8, int4, int2
and ternary for all layers, or for some: ``int8,classifier=int4``. With ``--sparsity``
the smallest weights of each layer are removed during the first half of the epochs.

Without ``--epochs``, a network that is not shown to stay within ``--tolerance`` points
of its floats on the validation images is quantised in other ways, and at last trained
on for a short while; ``--remedy`` says how far that goes.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np
from absl import flags

from experiments import _augment, _cli, _flags, _remedy
from spjax import analysis, data, deploy, genomes, networks
from spjax.deploy import codecs

flags.adopt_module_key_flags(_flags)
flags.adopt_module_key_flags(_cli)
flags.adopt_module_key_flags(_remedy)
flags.adopt_module_key_flags(_augment)
_NETWORK = flags.DEFINE_string(
    "network", None, "Folder with genome.json and weights.npz."
)
_PRECISION = flags.DEFINE_string(
    "precision", "int8", "Of the weights: int8, int4, int2 or ternary, or per layer."
)
_SPARSITY = flags.DEFINE_float(
    "sparsity", 0.0, "Share of each layer's weights to remove.", 0.0, 0.99
)
_EPOCHS = flags.DEFINE_float("epochs", 0.0, "Epochs of fine-tuning.", 0.0)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Images a step.", 1)
_LEARNING_RATE = flags.DEFINE_float("learning_rate", 1e-3, "At the start.", 1e-6, 1.0)
_TEACHER = flags.DEFINE_string(
    "teacher", None, "Folder of a network to learn from besides the labels."
)
_CLIPPING = flags.DEFINE_enum("clipping", "mse", deploy.CLIPPINGS, "Of activations.")
_CALIBRATION = flags.DEFINE_integer("calibration", 512, "Training images for it.", 1)
_SEED = flags.DEFINE_integer("seed", 0, "Of the fine-tuning.", 0)
_OUT = flags.DEFINE_string("out", None, "Folder for the results.")


def main(argv: Sequence[str]) -> int:
    """Quantises, measures and stores."""
    del argv
    for flag in (_NETWORK, _OUT):
        if not flag.value:
            raise _cli.UsageError(f"--{flag.name} is missing; name a folder.")
    dataset = _flags.load_dataset()
    genome, program = _network(pathlib.Path(_NETWORK.value), dataset)
    prepared = _Prepared(dataset, genome)
    precisions = _precisions(program, _PRECISION.value)
    test = dataset.test()
    figures = {
        "float_test_error": _error(deploy.predict_float, program, prepared, test)
    }
    print(f"float: test error {figures['float_test_error']:.2%}")
    if _EPOCHS.value:
        quantised = _trained(program, precisions, dataset, prepared)
    else:
        best, attempts = _remedy.quantised(
            program,
            genome,
            dataset,
            tolerance=_remedy.TOLERANCE.value,
            remedy=_remedy.REMEDY.value,
            precisions=precisions,
            clipping=_CLIPPING.value,
            calibration=_CALIBRATION.value,
            seed=_SEED.value,
        )
        quantised = best.quantised
        figures["remedy"] = _remedy.as_json(best, attempts, _remedy.TOLERANCE.value)
    for name, split in (("validation", dataset.validation), ("test", test)):
        figures[f"{name}_error"] = _error(_integers, quantised, prepared, split)
        print(f"integers: {name} error {figures[f'{name}_error']:.2%}")
    figures["model_size_encoded"] = codecs.model_size_encoded(quantised)
    print(f"model_size_encoded: {figures['model_size_encoded']:,} bytes")
    figures |= _weights(quantised)
    _store(pathlib.Path(_OUT.value), genome, quantised, figures, dataset)
    return 0


@dataclasses.dataclass(frozen=True)
class _Prepared:
    """Raw images as the network takes them: downsampled and normalised."""

    dataset: data.Dataset
    genome: genomes.Genome

    def __call__(self, images: np.ndarray) -> np.ndarray:
        small = networks.downsample(images, self.genome.downsample)
        return self.dataset.normalisation(small)


def _genome(folder: pathlib.Path, flag: str) -> genomes.Genome:
    try:
        text = (folder / "genome.json").read_text(encoding="utf-8")
    except OSError as error:
        raise _cli.UsageError(
            f"--{flag}={folder} has no genome.json ({error.strerror}); give a folder "
            "such as RUN_DIR/trials/0012/deployed."
        ) from error
    return genomes.from_json(text)


def _network(
    folder: pathlib.Path, dataset: data.Dataset
) -> tuple[genomes.Genome, analysis.Program]:
    genome = _genome(folder, "network")
    shape = genomes.deployed_shape(genome, dataset.input_shape)
    program = analysis.trace(
        networks.inference_function(genome, dataset.num_classes),
        networks.load_tree(folder / "weights.npz"),
        jax.ShapeDtypeStruct((1, *shape), np.float32),
    )
    return genome, program


def _precisions(program: analysis.Program, text: str) -> dict[str, str]:
    """Reads ``int8,classifier=int4``."""
    given = [part.strip() for part in text.split(",") if part.strip()]
    every = [part for part in given if "=" not in part] or ["int8"]
    if len(every) > 1:
        raise _cli.UsageError(
            f"--precision={text} names {len(every)} precisions for all layers; give "
            "one, and LAYER=PRECISION for the others."
        )
    named = dict(part.split("=", 1) for part in given if "=" in part)
    return deploy.layer_precisions(
        program, deploy.layer_precisions(program, every[0]) | named
    )


def _integers(quantised: deploy.QuantisedProgram, images: np.ndarray) -> np.ndarray:
    scale = quantised.scale(quantised.program.inputs[0])
    return deploy.predict(quantised, scale.to_int8(images))


def _error(run, network, prepared: _Prepared, split: data.Split) -> float:
    wrong = 0
    for start in range(0, len(split.images), 1000):
        part = slice(start, start + 1000)
        answers = run(network, prepared(split.images[part])).argmax(1)
        wrong += int((answers != split.labels[part]).sum())
    return wrong / len(split.images)


def _trained(
    program: analysis.Program,
    precisions: dict[str, str],
    dataset: data.Dataset,
    prepared: _Prepared,
) -> deploy.QuantisedProgram:
    start = deploy.quantise(
        program,
        prepared(dataset.train.images[: _CALIBRATION.value]),
        precisions=precisions,
        clipping=_CLIPPING.value,
        seed=_SEED.value,
    )
    steps = max(1, round(_EPOCHS.value * len(dataset.train.images) / _BATCH_SIZE.value))
    return deploy.finetune(
        program,
        start.scales,
        _batches(dataset, prepared),
        steps=steps,
        precisions=precisions,
        learning_rate=_LEARNING_RATE.value,
        sparsity=_SPARSITY.value,
        teacher=_teacher(dataset, prepared.genome) if _TEACHER.value else None,
        on_step=lambda step, loss: (
            step % 400 == 0
            and print(f"step {step} of {steps}: loss {loss:.4f}", flush=True)
        ),
    ).quantised


def _teacher(dataset: data.Dataset, student: genomes.Genome) -> Callable:
    folder = pathlib.Path(_TEACHER.value)
    genome = _genome(folder, "teacher")
    if genome.downsample != student.downsample:
        raise _cli.UsageError(
            f"--teacher={folder} downsamples by {genome.downsample}, the network by "
            f"{student.downsample}; give one that sees the same images."
        )
    variables = networks.load_tree(folder / "weights.npz")
    module = networks.build(genome, dataset.num_classes, lowering="training")
    return lambda images: module.apply(variables, images, train=False)


def _batches(dataset: data.Dataset, prepared: _Prepared) -> Iterator[tuple]:
    train = dataset.train
    for images, labels in _augment.batches(
        _SEED.value,
        networks.downsample(train.images, prepared.genome.downsample),
        train.labels,
        _BATCH_SIZE.value,
        _augment.SHIFT.value,
        _augment.ROTATION.value,
        _augment.SCALING.value,
        _augment.MIRROR.value,
    ):
        yield dataset.normalisation(images), labels


def _weights(quantised: deploy.QuantisedProgram) -> dict:
    layers = {}
    for name, operation in quantised.operations.items():
        if hasattr(operation, "weights"):
            layers[name] = {
                "precision": operation.precision,
                "weights": operation.weights.size,
                "nonzero": int(np.count_nonzero(operation.weights)),
            }
    return {"layers": layers}


def _store(
    folder: pathlib.Path,
    genome: genomes.Genome,
    quantised: deploy.QuantisedProgram,
    figures: dict,
    dataset: data.Dataset,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "genome.json").write_text(genomes.to_json(genome) + "\n", "utf-8")
    deploy.save_quantised(folder / "quantised.npz", quantised)
    (folder / "network.tflite").write_bytes(deploy.to_tflite(quantised))
    figures |= {"dataset": dataset.describe(), "flags": _cli.flag_values()}
    # Last: a folder with it is whole.
    text = json.dumps(figures, indent=1, default=str) + "\n"
    (folder / "quantised.json").write_text(text, encoding="utf-8")
    for name in ("quantised.npz", "network.tflite", "quantised.json"):
        print(f"wrote  {folder / name}")


if __name__ == "__main__":
    _cli.run(main)
