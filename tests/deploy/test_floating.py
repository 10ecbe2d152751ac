import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spjax import analysis
from spjax.deploy import floating
from spjax.deploy.quantised import QuantisationError
from tests.deploy import programs


@pytest.mark.parametrize("seed", ["rich", 0, 2, 4, 9])
def test_batches_mean_what_the_program_means(seed, monkeypatch):
    made = programs.rich() if seed == "rich" else programs.of_genome(seed)
    program, images = made
    monkeypatch.setattr(floating, "_CHUNK_BYTES", 1 << 14)  # several parts
    parts = list(floating.run_float(program, images))
    assert len(parts) > 1 and set(parts[0]) == set(program.storages)
    for index in (0, 13):
        expected = analysis.evaluate(program, {"input": images[index : index + 1]})
        for name in program.storages:
            values = np.concatenate([part[name] for part in parts])[index]
            np.testing.assert_allclose(
                values, expected[name][0], rtol=1e-3, atol=1e-4, err_msg=name
            )
    logits = floating.predict_float(program, images)
    name = program.storage(program.outputs[0])
    joined = np.concatenate([part[name] for part in parts])
    np.testing.assert_array_equal(logits, joined.reshape(len(images), -1))


def test_other_shapes_are_refused():
    program, images = programs.rich()
    with pytest.raises(QuantisationError, match=r"the network takes \(N, 9, 8, 3\)"):
        next(floating.run_float(program, images[:, :-1]))


def test_weights_without_values_are_refused():
    def fn(kernel, x):
        return x @ kernel

    shapes = [jax.ShapeDtypeStruct(s, np.float32) for s in ((4, 3), (1, 4))]
    with pytest.raises(QuantisationError, match="has no values; trace the network"):
        floating.check_program(analysis.trace(fn, *shapes))


def test_two_inputs_or_outputs_are_refused():
    def two_inputs(kernel, x, y):
        return (x + y) @ kernel

    def two_outputs(kernel, x):
        y = x @ kernel
        return y, jnp.maximum(y, 0)

    kernel, x = np.ones((4, 3), np.float32), jax.ShapeDtypeStruct((1, 4), np.float32)
    for fn, inputs, count in ((two_inputs, (x, x), "2 inputs"), (two_outputs, (x,), 2)):
        with pytest.raises(QuantisationError, match=f"{count}"):
            floating.check_program(analysis.trace(fn, kernel, *inputs))
