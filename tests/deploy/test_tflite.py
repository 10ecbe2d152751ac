"""The interpreters of LiteRT and TensorFlow Lite Micro as second opinions.

Without the packages `ai-edge-litert` and `tflite-micro` these tests are skipped.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spjax.deploy import integer
from spjax.deploy.quantise import quantise
from spjax.deploy.quantised import QuantisationError
from spjax.deploy.tflite import to_tflite
from tests.deploy import programs

litert = pytest.importorskip("ai_edge_litert.interpreter")
_RUNS = 4


def _litert_values(blob, images):
    """Tensor name -> [n, ..]: every tensor that LiteRT computes."""
    interpreter = litert.Interpreter(
        model_content=blob,
        num_threads=1,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]["index"]
    output = interpreter.get_output_details()[0]["index"]
    made = {}
    for image in images:
        interpreter.set_tensor(entry, image[None])
        interpreter.invoke()
        for detail in interpreter.get_tensor_details():
            if detail["dtype"] == np.int8 and "/kernel" not in detail["name"]:
                value = interpreter.get_tensor(detail["index"])
                made.setdefault(detail["name"], []).append(value)
        made.setdefault("output", []).append(interpreter.get_tensor(output))
    return {name: np.concatenate(values) for name, values in made.items()}


def _tflm_outputs(blob, images):
    pytest.importorskip("tflite_micro")
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(blob, arena_size=4_000_000)
    made = []
    for image in images:
        interpreter.set_input(image[None], 0)
        interpreter.invoke()
        made.append(interpreter.get_output(0))
    return np.concatenate(made)


def _inputs(quantised, seed=0):
    shape = quantised.program.tensors["input"].shape
    rng = np.random.default_rng(seed)
    return rng.integers(-128, 128, (_RUNS, *shape[1:]), np.int8)


def _compare(program, images, precisions="int8"):
    quantised = quantise(program, images, precisions=precisions)
    inputs = _inputs(quantised)
    blob = to_tflite(quantised)
    values = integer.run(quantised, inputs)
    (name,) = program.outputs
    shape = program.tensors[name].shape[1:]
    expected = values[program.storage(name)].reshape(_RUNS, *shape)
    seen = _litert_values(blob, inputs)
    np.testing.assert_array_equal(seen["output"], expected)
    for storage, value in values.items():
        np.testing.assert_array_equal(
            seen[storage].reshape(value.shape), value, err_msg=storage
        )
    np.testing.assert_array_equal(_tflm_outputs(blob, inputs), expected)


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 5, 8, 13, 21, 34])
def test_genomes_run_bit_identically(seed):
    precision = ("int8", "int8", "int4", "ternary")[seed % 4]
    _compare(*programs.of_genome(seed), precision)


@pytest.mark.parametrize("seed", [0, 1])
def test_functions_run_bit_identically(seed):
    _compare(*programs.rich(seed))


def test_multipliers_are_those_that_the_interpreters_compute():
    # Sums of a wide range make single and double rounding differ here.
    shapes = {"a": (60, 4000)}
    program, images = programs.of_function(
        lambda p, x: x.reshape(1, -1) @ p["a"], shapes, image=(3, 4, 5)
    )
    _compare(program, images)


def _clipped(p, x):
    return jnp.clip(programs.conv(x, p["a"]), -2, 3)


def _padded_pool(p, x):
    y = jax.nn.relu(programs.conv(x, p["a"]))
    return programs.pool(y, (2, 2), (2, 2), ((0, 0), (1, 0), (1, 0), (0, 0)))


@pytest.mark.parametrize(
    ("fn", "why"), [(_clipped, "clips to"), (_padded_pool, "not SAME or VALID")]
)
def test_what_tflite_lacks_is_refused(fn, why):
    program, images = programs.of_function(fn, {"a": (3, 3, 3, 4)})
    quantised = quantise(program, images)
    integer.run(quantised, _inputs(quantised))  # which has a kernel of ours
    with pytest.raises(QuantisationError, match=f"no counterpart in TFLite: .*{why}"):
        to_tflite(quantised)
