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
