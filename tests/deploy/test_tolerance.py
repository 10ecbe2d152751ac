import dataclasses

import numpy as np
import pytest

from spjax.deploy import tolerance
from spjax.deploy.finetune import FinetuningDiverged
from spjax.deploy.floating import predict_float
from spjax.deploy.integer import predict
from spjax.deploy.quantise import quantise
from spjax.deploy.quantised import QuantisationError
from spjax.deploy.tolerance import Loss, measure_loss, quantise_within
from tests.deploy import programs


def test_a_loss_is_the_mean_of_paired_differences():
    rng = np.random.default_rng(0)
    floats, integers = rng.random(400) < 0.2, rng.random(400) < 0.25
    difference = integers.astype(float) - floats
    loss = Loss(
        images=400,
        float_errors=int(floats.sum()),
        lost=int((integers & ~floats).sum()),
        gained=int((floats & ~integers).sum()),
    )
    assert loss.share == pytest.approx(difference.mean())
    assert loss.standard_error == pytest.approx(difference.std() / 20)
    assert loss.error == pytest.approx(integers.mean())


def test_shown_within_counts_two_standard_errors():
    same = Loss(images=5000, float_errors=100, lost=0, gained=0)
    assert same.shown_within(0)
    # 15 of 5,000 are 0.3 %, with a standard error of sqrt(15) / 5,000 = 0.08 %.
    lost = Loss(images=5000, float_errors=100, lost=15, gained=0)
    assert not lost.shown_within(0.003) and lost.shown_within(0.0046)
    # 0.04 % +- 0.14 %: too few images to say that it is less than 0.3 %.
    unclear = Loss(images=5000, float_errors=500, lost=26, gained=24)
    assert not unclear.shown_within(0.003)
    assert dataclasses.replace(unclear, gained=30).shown_within(0.003)


def _network(p, x):
    return x.reshape(1, -1) @ p["a"] + p["b"]


@pytest.fixture(scope="module")
def task():
    """A linear classifier, noisy labels, images."""
    shapes = {"a": (12, 4), "b": (4,)}
    program, _ = programs.of_function(_network, shapes, image=(2, 2, 3))
    rng = np.random.default_rng(0)
    images = rng.normal(size=(3000, 2, 2, 3)).astype(np.float32)
    labels = predict_float(program, images).argmax(1)
    noisy = rng.random(len(labels)) < 0.1
    return program, images, np.where(noisy, rng.integers(0, 4, len(labels)), labels)


def _batches(images, labels):
    def batches():
        while True:
            for start in range(0, 2000, 100):
                yield images[start : start + 100], labels[start : start + 100]

    return batches


def _within(task, **arguments):
    program, images, labels = task
    held_out = images[2000:], labels[2000:]
    return quantise_within(program, images[:256], held_out, **arguments)


def test_what_is_measured_is_what_the_networks_answer(task):
    program, images, labels = task
    quantised = quantise(program, images[:256], precisions="ternary")
    loss = measure_loss(program, quantised, images, labels)
    floats = predict_float(program, images).argmax(1) != labels
    inputs = quantised.scale("input").to_int8(images)
    integers = predict(quantised, inputs).argmax(1) != labels
    assert loss.images == 3000 and loss.float_errors == floats.sum()
    assert loss.lost - loss.gained == integers.sum() - floats.sum()
    assert loss.lost + loss.gained == (integers != floats).sum() > 100


def test_a_network_that_is_within_is_left_alone(task):
    program, images, labels = task
    best, attempts = _within(task, tolerance=0.5, remedy="calibration")
    assert [attempt.name for attempt in attempts] == ["mse"]
    plain = quantise(program, images[:256])
    for name, operation in best.quantised.operations.items():
        for field in ("weights", "bias"):
            wanted = getattr(plain.operations[name], field)
            np.testing.assert_array_equal(getattr(operation, field), wanted)
    held_out = images[2000:], labels[2000:]
    assert best.loss == measure_loss(program, best.quantised, *held_out)


def test_remedies_go_as_far_as_they_may(task):
    seen = []
    # Ternary weights lose more than any calibration brings back.
    far = {"tolerance": 0.003, "precisions": "ternary"}
    best, attempts = _within(task, remedy="none", **far)
    assert len(attempts) == 1 and best is attempts[0]
    best, attempts = _within(task, remedy="calibration", on_attempt=seen.append, **far)
    names = ["mse", "mse, biases corrected", "minmax", "minmax, biases corrected"]
    assert [attempt.name for attempt in attempts] == names == [a.name for a in seen]
    assert best.loss.error == min(attempt.loss.error for attempt in attempts)
    assert not best.loss.shown_within(0.003)


def test_fine_tuning_is_the_last_remedy(task):
    program, images, labels = task
    batches = _batches(images, labels)
    _, cheap = _within(task, remedy="calibration", precisions="int2")
    best, attempts = _within(
        task, remedy="finetune", precisions="int2", batches=batches, epoch_steps=20
    )
    assert attempts[len(cheap)].name == "fine-tuned at 0.001"
    assert best.name.startswith("fine-tuned")
    least = min(attempt.loss.error for attempt in cheap)
    assert best.loss.error < least - 0.01
    trained = best.quantised.program.operations[0].weight("kernel").values
    assert (trained != program.operations[0].weight("kernel").values).any()


def test_a_training_that_diverges_is_passed_over(task, monkeypatch):
    def diverged(*_, **__):
        raise FinetuningDiverged("no number")

    monkeypatch.setattr(tolerance, "finetune", diverged)
    best, attempts = _within(task, precisions="ternary", batches=_batches(*task[1:]))
    assert len(attempts) == 4 and best in attempts


def test_the_one_that_is_shown_to_be_within_is_preferred():
    def attempt(name, lost, gained):
        loss = Loss(images=5000, float_errors=400, lost=lost, gained=gained)
        return tolerance.Attempt(name, None, loss)

    lower = attempt("a lower error, but it may be luck", 30, 40)
    shown = attempt("shown", 3, 2)
    wide, narrow = attempt("wide", 60, 50), attempt("narrow", 40, 30)
    best = tolerance._best([lower, shown], 0.0012)
    assert best is shown
    assert tolerance._best([wide, narrow], 0.001) is narrow


def test_unknown_remedies_and_missing_batches_are_named(task):
    with pytest.raises(QuantisationError, match="remedy is 'prayer'; use one of none"):
        _within(task, remedy="prayer")
    with pytest.raises(QuantisationError, match="finetune needs batches"):
        _within(task)
