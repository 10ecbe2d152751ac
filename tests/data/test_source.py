import numpy as np
import pytest

from spjax import data
from spjax.data.resize import Transform
from spjax.data.source import shape_text, stack


def _named(*shapes):
    rng = np.random.default_rng(0)
    return [
        (f"image{k}", rng.integers(0, 256, shape, dtype=np.uint8))
        for k, shape in enumerate(shapes)
    ]


def test_stack_keeps_order_and_pixels():
    named = _named((4, 3, 1), (4, 3, 1), (4, 3, 1))
    stacked = stack(iter(named), 3, Transform(), "--dataset=x")
    assert stacked.dtype == np.uint8
    np.testing.assert_array_equal(stacked, np.stack([image for _, image in named]))


def test_stack_transforms_each_image():
    named = _named((4, 4, 3), (9, 5, 3))
    transform = Transform(image_size=2, grey=True)
    stacked = stack(named, 2, transform, "--dataset=x")
    assert stacked.shape == (2, 2, 2, 1)
    np.testing.assert_array_equal(stacked[1], transform(named[1][1]))


def test_stack_names_the_images_that_differ():
    with pytest.raises(data.DataError) as caught:
        stack(_named((4, 3, 1), (4, 3, 1), (5, 3, 1)), 3, Transform(), "--dataset=x")
    message = str(caught.value)
    assert message.startswith("--dataset=x: ")
    assert "image0 is 4x3x1 but image2 is 5x3x1" in message
    assert "--image_size=N" in message


def test_stack_of_nothing_is_empty():
    assert stack([], 0, Transform(), "").shape == (0, 0, 0, 0)


def test_shape_text():
    assert shape_text((28, 28, 1)) == "28x28x1"
