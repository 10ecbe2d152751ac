import numpy as np

from experiments import _augment


def test_batches_cover_an_epoch_in_a_new_order_each_time():
    images = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)
    source = _augment.batches(0, images, np.arange(10), 3)
    epochs = [[next(source) for _ in range(3)] for _ in range(2)]
    orders = []
    for epoch in epochs:
        labels = np.concatenate([labels for _, labels in epoch])
        pixels = np.concatenate([x for x, _ in epoch]).reshape(-1)
        assert len(set(labels.tolist())) == 9
        np.testing.assert_array_equal(pixels, labels)
        orders.append(labels.tolist())
    assert orders[0] != orders[1]
    small = _augment.batches(0, images, np.arange(10), 64)
    assert len(next(small)[1]) == 10


def test_batches_are_mirrored_where_asked_for():
    images = np.arange(64, dtype=np.uint8).reshape(32, 1, 2, 1)
    source = _augment.batches(0, images, np.arange(32), 32, mirror=True)
    pixels, labels = next(source)
    first, second = pixels[:, 0, 0, 0] - 2 * labels, pixels[:, 0, 1, 0] - 2 * labels
    assert set(zip(first, second, strict=True)) == {(0, 1), (1, 0)}
