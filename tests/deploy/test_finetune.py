import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spjax.deploy import integer
from spjax.deploy.finetune import finetune
from spjax.deploy.floating import predict_float
from spjax.deploy.quantise import quantise
from spjax.deploy.quantised import PRECISIONS, QuantisationError
from tests.deploy import programs

_CLASSES = 4


def _network(p, x):
    y = jax.nn.relu(programs.conv(x, p["a"]) + p["b"])
    y = programs.pool(y, (2, 2), (2, 2))
    y = jax.nn.relu(programs.conv(y, p["c"]))
    return y.mean((1, 2)) @ p["d"]


@pytest.fixture(scope="module")
def task():
    """A network, images, and its own answers (less their mean) as labels."""
    shapes = {"a": (3, 3, 1, 8), "b": (8,), "c": (3, 3, 8, 12), "d": (12, _CLASSES)}
    program, _ = programs.of_function(_network, shapes, image=(8, 8, 1), seed=2)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(4096, 8, 8, 1)).astype(np.float32)
    images *= rng.lognormal(size=(4096, 1, 1, 1)).astype(np.float32)
    logits = predict_float(program, images)
    labels = (logits - logits.mean(0)).argmax(1)
    assert len(set(labels.tolist())) == _CLASSES
    return program, images, labels


def _batches(images, labels, size=64):
    while True:
        for start in range(0, len(images), size):
            yield images[start : start + size], labels[start : start + size]


def _error(quantised, images, labels):
    inputs = quantised.scale("input").to_int8(images)
    return (integer.predict(quantised, inputs).argmax(1) != labels).mean()


def _sparse(program):
    """The program with a third of the middle layer's weights pruned."""

    def weight(old):
        if old.shape != (3, 3, 8, 12):
            return old
        values = old.values.copy()
        values.reshape(-1)[::3] = 0
        return dataclasses.replace(old, values=values)

    operations = tuple(
        dataclasses.replace(op, weights=tuple(map(weight, op.weights)))
        for op in program.operations
    )
    return dataclasses.replace(program, operations=operations)


def test_fine_tuning_recovers_what_few_bits_lose(task):
    precision = "ternary"
    program, images, labels = task
    before = quantise(program, images[:512], precisions=precision)
    made = finetune(
        program,
        before.scales,
        _batches(images, labels),
        steps=200,
        precisions=precision,
        learning_rate=5e-3,
    )
    assert len(made.losses) == 200
    assert np.mean(made.losses[-20:]) < np.mean(made.losses[:20])
    after = _error(made.quantised, images, labels)
    assert after < 0.75 * _error(before, images, labels)


def test_masks_are_kept_and_the_smallest_weights_go(task):
    program, images, labels = task
    program = _sparse(program)
    before = quantise(program, images[:128], precisions="int2")
    seen = []
    made = finetune(
        program,
        before.scales,
        _batches(images, labels),
        steps=60,
        precisions="int2",
        sparsity=0.6,
        on_step=lambda step, loss: seen.append((step, loss)),
    ).quantised
    assert [step for step, _ in seen] == [50, 60]
    for old, new in zip(program.operations, made.program.operations, strict=True):
        for a, b in zip(old.weights, new.weights, strict=True):
            assert (b.values != a.values).any()
            assert b.nonzero == np.count_nonzero(b.values)
        if not old.weight("kernel"):
            continue
        old, new = old.weight("kernel").values, new.weight("kernel").values
        assert (new[old == 0] == 0).all()
        assert np.count_nonzero(new == 0) == int(0.6 * new.size)
        # 60 small steps do not change which weights are large.
        assert (new[np.abs(old) > 0.8 * np.abs(old).max()] != 0).all()
    for operation in made.program.operations:
        if operation.weight("kernel"):
            zeros = operation.weight("kernel").values == 0
            weights = made.operations[operation.name].weights
            assert ((weights == 0) == zeros).all()
            assert np.isin(weights, PRECISIONS["int2"]).all()
    assert made.scales["input"] == before.scales["input"]
    assert made.scales != before.scales


def _linear():
    program, images = programs.of_function(
        lambda p, x: x.reshape(len(x), -1) @ p["a"] + p["b"],
        {"a": (12, 3), "b": (3,)},
        image=(2, 2, 3),
    )
    return program, images, quantise(program, images).scales


def test_a_teacher_s_answers_are_learnt_besides_the_labels():
    program, images, scales = _linear()
    labels = np.full(len(images), 1)
    shares = {}
    for name, teacher in (
        ("labels", None),
        ("teacher", lambda x: jnp.broadcast_to(jnp.array([0, 0, 9.0]), (len(x), 3))),
    ):
        batches = 200 * [(images, labels)]
        made = finetune(
            program, scales, batches, steps=200, learning_rate=0.03, teacher=teacher
        )
        inputs = made.quantised.scale("input").to_int8(images)
        answers = integer.predict(made.quantised, inputs).argmax(1)
        shares[name] = [(answers == c).mean() for c in range(3)]
    assert shares["labels"][1] > 0.9 and shares["teacher"][2] > 0.9


def test_few_batches_and_divergence_are_named():
    program, images, scales = _linear()
    labels = np.zeros(len(images), int)
    with pytest.raises(QuantisationError, match="has 3 steps but only 2 batches"):
        finetune(program, scales, 2 * [(images, labels)], steps=3)
    broken = [(np.full_like(images, np.nan), labels)]
    with pytest.raises(QuantisationError, match="diverged at step 1 with the learning"):
        finetune(program, scales, broken, steps=1)
