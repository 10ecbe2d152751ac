import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spjax import data
from spjax.data.split import MAX_TEST, MAX_VALIDATION, held_out_size


@st.composite
def _cases(draw):
    """Labels with each class at least twice, and a size that can be met."""
    counts = draw(st.lists(st.integers(2, 40), min_size=1, max_size=8))
    labels = np.repeat(np.arange(len(counts)) * draw(st.integers(1, 3)), counts)
    order = np.random.default_rng(draw(st.integers(0, 9))).permutation(len(labels))
    held = draw(st.integers(len(counts), len(labels) - len(counts)))
    return labels[order], held, draw(st.integers(0, 2**32))


@settings(deadline=None, max_examples=150)
@given(_cases())
def test_split_is_disjoint_and_covers(case):
    labels, held_out, seed = case
    kept, held = data.stratified_split(labels, held_out, seed)
    assert len(held) == held_out
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(len(labels)))
    assert (np.diff(kept) > 0).all() and (np.diff(held) > 0).all()


@settings(deadline=None, max_examples=150)
@given(_cases())
def test_every_class_stands_on_both_sides_near_its_share(case):
    labels, held_out, seed = case
    kept, held = data.stratified_split(labels, held_out, seed)
    assert set(labels[kept]) == set(labels[held]) == set(labels)
    squeezed = 0  # images moved so that no class is left with none
    for c in np.unique(labels):
        count = (labels == c).sum()
        exact = count * held_out / len(labels)
        took = (labels[held] == c).sum()
        if exact < 1 or exact > count - 1:
            squeezed += 1
    for c in np.unique(labels):
        exact = (labels == c).sum() * held_out / len(labels)
        took = (labels[held] == c).sum()
        assert abs(took - exact) < 1 + squeezed


@settings(deadline=None, max_examples=50)
@given(_cases())
def test_split_depends_on_the_seed_alone(case):
    labels, held_out, seed = case
    first = data.stratified_split(labels, held_out, seed)
    again = data.stratified_split(labels.copy(), held_out, seed)
    np.testing.assert_array_equal(first[1], again[1])
    np.testing.assert_array_equal(first[0], again[0])


def test_another_seed_is_another_split():
    labels = np.repeat(np.arange(10), 100)
    splits = {tuple(data.stratified_split(labels, 200, s)[1]) for s in range(5)}
    assert len(splits) == 5


def test_each_image_is_equally_likely_to_be_held_out():
    labels = np.array([0] * 6 + [1] * 4)
    counts = np.zeros(10)
    for seed in range(2000):
        counts[data.stratified_split(labels, 5, seed)[1]] += 1
    # 3 of 6 and 2 of 4: each with probability 1/2, standard error 0.011.
    np.testing.assert_allclose(counts / 2000, 0.5, atol=0.05)


def test_balanced_classes_are_split_exactly():
    labels = np.tile(np.arange(10), 100)
    _, held = data.stratified_split(labels, 130, 3)
    np.testing.assert_array_equal(np.bincount(labels[held]), [13] * 10)


def test_largest_remainders_by_hand():
    # Shares of 10 out of 50: 4.6, 3.4, 2.0 -> floors 4, 3, 2 and one for class 0.
    labels = np.repeat([0, 1, 2], [23, 17, 10])
    _, held = data.stratified_split(labels, 10, 0)
    np.testing.assert_array_equal(np.bincount(labels[held]), [5, 3, 2])


def test_a_rare_class_is_never_left_out():
    labels = np.repeat([0, 1], [1000, 2])
    kept, held = data.stratified_split(labels, 10, 0)
    np.testing.assert_array_equal(np.bincount(labels[held]), [9, 1])
    np.testing.assert_array_equal(np.bincount(labels[kept]), [991, 1])


def test_class_with_one_image_is_refused_by_name():
    with pytest.raises(data.DataError, match="class 7 has only 1 image"):
        data.stratified_split(np.array([0, 0, 0, 7]), 2, 0)


@pytest.mark.parametrize("held_out", [0, 1, 3, 4])
def test_sizes_that_leave_a_class_out_are_refused(held_out):
    with pytest.raises(data.DataError, match=f"hold out {held_out} of 4"):
        data.stratified_split(np.array([0, 0, 1, 1]), held_out, 0)


@pytest.mark.parametrize(
    ("total", "most", "size"),
    [
        (60_000, MAX_VALIDATION, 5_000),  # MNIST: 55,000 are left
        (50_000, MAX_VALIDATION, 5_000),  # CIFAR-10: 45,000 are left
        (1_437, MAX_VALIDATION, 287),  # digits
        (100, MAX_TEST, 20),
        (1_000_000, MAX_TEST, 10_000),
        (2, MAX_TEST, 1),
    ],
)
def test_held_out_size(total, most, size):
    assert held_out_size(total, most) == size
