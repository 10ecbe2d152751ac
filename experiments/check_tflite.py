r"""Random networks in LiteRT and TensorFlow Lite Micro, beside the integer reference.

    python -m experiments.check_tflite --count=100

Genomes are drawn from the search's space, given random weights, quantised with a
precision drawn for each layer and written as .tflite. LiteRT (reference kernels) and
TensorFlow Lite Micro have to give the reference's outputs bit for bit, LiteRT's
intermediate tensors too. How many networks differ under LiteRT's default kernels is
counted, for information. Needs the packages ai-edge-litert and tflite-micro. Exit
status 1 if a network differs.
"""

import importlib.util
from collections.abc import Sequence

import jax
import numpy as np
from absl import flags

from experiments import _cli, _tflm
from spjax import analysis, deploy, genomes, networks

flags.adopt_module_key_flags(_cli)
_COUNT = flags.DEFINE_integer("count", 100, "Number of networks.", lower_bound=1)
_IMAGES = flags.DEFINE_integer("images", 8, "Images for each network.", lower_bound=1)
_SEED = flags.DEFINE_integer("genome_seed", 0, "Seed of the draws.", lower_bound=0)
_SHAPES = ((28, 28, 1), (12, 12, 1), (16, 16, 3))


def main(argv: Sequence[str]) -> int:
    """Compares every network."""
    del argv
    _require_interpreters()
    rng = np.random.default_rng(_SEED.value)
    counts = dict.fromkeys(("LiteRT", "its tensors", "TFLM", "default kernels"), 0)
    for index in range(_COUNT.value):
        quantised = random_network(rng, _SHAPES[index % len(_SHAPES)], index)
        shape = quantised.program.tensors["input"].shape[1:]
        images = rng.integers(-128, 128, (_IMAGES.value, *shape), np.int8)
        differs = compare(quantised, images)
        for name in differs:
            counts[name] += 1
        if differs & {"LiteRT", "its tensors", "TFLM"}:
            print(f"network {index}: {', '.join(sorted(differs))} differ")
    said = ", ".join(f"{name} {number}" for name, number in counts.items())
    print(f"{_COUNT.value} networks; that differ from the integer reference: {said}.")
    return int(any(counts[name] for name in ("LiteRT", "its tensors", "TFLM")))


def random_network(
    rng: np.random.Generator, shape: tuple[int, int, int], seed: int
) -> deploy.QuantisedProgram:
    """A quantised random genome with random weights and precisions."""
    genome = genomes.random_genome(rng, shape, genomes.Bounds())
    deployed = genomes.deployed_shape(genome, shape)
    program = analysis.trace(
        networks.inference_function(genome, 10),
        networks.init_variables(genome, deployed, 10, seed),
        jax.ShapeDtypeStruct((1, *deployed), np.float32),
    )
    precisions = {
        name: str(rng.choice(list(deploy.PRECISIONS)))
        for name in deploy.layer_precisions(program, "int8")
    }
    images = rng.normal(size=(32, *deployed)).astype(np.float32)
    return deploy.quantise(program, images, precisions=precisions)


def compare(quantised: deploy.QuantisedProgram, images: np.ndarray) -> set[str]:
    """Which interpreters differ from the integer reference.

    Args:
      quantised: the network.
      images: int8 [N, ..].

    Returns:
      Some of ``LiteRT``, ``its tensors``, ``TFLM`` and ``default kernels``.
    """
    blob = deploy.to_tflite(quantised)
    values = deploy.run(quantised, images)
    (output,) = quantised.program.outputs
    answers = values[quantised.program.storage(output)].reshape(len(images), -1)
    seen, tensors = litert(blob, images, reference=True)
    differs = set()
    if not np.array_equal(seen, answers):
        differs.add("LiteRT")
    if any(
        not np.array_equal(tensors[name].reshape(value.shape), value)
        for name, value in values.items()
    ):
        differs.add("its tensors")
    if not np.array_equal(_tflm.tflm(blob, images), answers):
        differs.add("TFLM")
    if not np.array_equal(litert(blob, images, reference=False)[0], answers):
        differs.add("default kernels")
    return differs


def litert(
    blob: bytes, images: np.ndarray, reference: bool
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Runs a .tflite file in LiteRT.

    Args:
      blob: the file.
      images: int8 [N, ..].
      reference: whether to use the reference kernels; else the default ones, of
        which intermediate tensors are not kept.

    Returns:
      (outputs [N, classes], tensor name -> its values [N, ..]).
    """
    from ai_edge_litert import interpreter as runtime

    options = {}
    if reference:
        kernels = runtime.OpResolverType.BUILTIN_REF
        options["experimental_op_resolver_type"] = kernels
        options["experimental_preserve_all_tensors"] = True
    interpreter = runtime.Interpreter(model_content=blob, num_threads=1, **options)
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]["index"]
    output = interpreter.get_output_details()[0]["index"]
    details = interpreter.get_tensor_details() if reference else []
    kept = {
        d["name"]: d["index"]
        for d in details
        if d["dtype"] == np.int8 and not d["name"].endswith("/kernel")
    }
    answers, tensors = [], {name: [] for name in kept}
    for image in images:
        interpreter.set_tensor(entry, image[None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(output).reshape(-1))
        for name, index in kept.items():
            tensors[name].append(interpreter.get_tensor(index))
    return np.stack(answers), {n: np.concatenate(v) for n, v in tensors.items()}


def _require_interpreters() -> None:
    for name in ("ai_edge_litert", "tflite_micro"):
        if importlib.util.find_spec(name) is None:
            package = name.replace("_", "-")
            raise _cli.UsageError(
                f"the package {package} is missing; run pip install {package}."
            )


if __name__ == "__main__":
    _cli.run(main)
