"""Small TFDS sets that tests prepare for themselves: no network, no TensorFlow."""

import io

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image


def pixels(count, shape=(6, 5, 1), seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, *shape), dtype=np.uint8)


def encode(image, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, kind)
    return buffer.getvalue()


def prepare(
    root,
    splits,
    *,
    name="tiny_images",
    version="1.2.3",
    image=None,
    label=None,
    image_key="image",
    label_key="label",
    supervised=True,
    encoded=None,
    config=None,
):
    """Writes a TFDS set.

    Args:
      root: the data_dir.
      splits: {split: (images uint8 [N, H, W, C], labels [N])}.
      image, label: feature connectors; a Tensor and a ClassLabel of 3 if None.
      encoded: "PNG" or "JPEG" to store an Image feature of that coding.
      config: name of a configuration, or None.
    """
    shape = next(iter(splits.values()))[0].shape[1:]
    if image is None:
        image = tfds.features.Tensor(shape=shape, dtype=np.uint8)
        if encoded:
            image = tfds.features.Image(shape=(None, None, shape[-1]))
    features = {
        image_key: image,
        label_key: label or tfds.features.ClassLabel(names=["x", "y", "z"]),
    }

    with tfds.core.registered.skip_registration():

        class Builder(tfds.core.GeneratorBasedBuilder):
            VERSION = tfds.core.Version(version)
            BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=config)] if config else []

            def _info(self):
                return tfds.core.DatasetInfo(
                    builder=self,
                    features=tfds.features.FeaturesDict(features),
                    supervised_keys=(image_key, label_key) if supervised else None,
                )

            def _split_generators(self, dl_manager):
                return {split: self._rows(*arrays) for split, arrays in splits.items()}

            def _rows(self, images, labels):
                for key, (picture, value) in enumerate(
                    zip(images, labels, strict=True)
                ):
                    stored = encode(picture, encoded) if encoded else picture
                    yield key, {image_key: stored, label_key: value}

            _generate_examples = _rows

        builder_class = type("TinyImages", (Builder,), {"name": name})
    builder = builder_class(data_dir=str(root), file_format="array_record")
    tfds.disable_progress_bar()
    builder.download_and_prepare()
    return builder
