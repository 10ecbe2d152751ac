"""From a source to a data set: draw the splits, read them, fit the normalisation.

What the source brings is used as it is. A missing test split is carved out of
``train`` first, then a missing validation split out of what is left; both draws are
seeded and stratified (``split.py``). Training and validation images are shuffled,
seeded, because sources often come sorted by class.
"""

import dataclasses
import hashlib
import json

import numpy as np

from spjax.data.dataset import Dataset, Split, fit_normalisation
from spjax.data.errors import DataError
from spjax.data.resize import Transform
from spjax.data.source import Part, Source
from spjax.data.split import MAX_TEST, MAX_VALIDATION, held_out_size, stratified_split


def assemble(source: Source, transform: Transform, seed: int) -> Dataset:
    """Reads a source's training and validation images and leaves the test split.

    Args:
      source: what to read.
      transform: image size and grey.
      seed: seed of the splits that have to be drawn.

    Raises:
      DataError: if a class has too few images, or an image cannot be used.
    """
    train, own_test = source.parts["train"], source.parts.get("test")
    own_validation = source.parts.get("validation")
    for which, part in source.parts.items():
        if not part.size:
            raise DataError(f"--dataset={source.name}: its {which} split is empty")
    labels = train.labels()
    _require_enough(source, labels, drawn=[own_validation, own_test].count(None))
    indices = np.arange(train.size)
    rng = np.random.default_rng(seed)
    notes = []
    if own_test is not None:
        test_part, test_indices = own_test, np.arange(own_test.size)
    else:
        held = max(held_out_size(train.size, MAX_TEST), len(np.unique(labels)))
        indices, test_indices = stratified_split(labels, held, seed)
        test_part = train
        notes.append(
            f"{source.name}: no test split of its own; {len(test_indices)} of "
            f"{train.size} images set aside as test (seed {seed})"
        )
    if own_validation is None:
        held = held_out_size(len(indices), MAX_VALIDATION)
        held = max(held, len(np.unique(labels)))
        kept, chosen = stratified_split(labels[indices], held, seed + 1)
        chosen, indices = indices[chosen], indices[kept]
    else:
        chosen = np.arange(own_validation.size)
    train_split = _read(source, train, rng.permutation(indices), transform)
    validation = _read(
        source, own_validation or train, rng.permutation(chosen), transform
    )
    shape = train_split.images.shape[1:]
    _require_shape(source, "validation", validation, shape)

    notes = (*source.notes(), *notes)
    source = dataclasses.replace(source, parts={}, notes=tuple)  # frees encoded images

    def read_test() -> Split:
        test = _read(source, test_part, test_indices, transform)
        _require_shape(source, "test", test, shape)
        return test

    identity = {
        "source": source.identity,
        "split_seed": seed,
        "sizes": [len(train_split), len(validation), len(test_indices)],
        "image_size": transform.image_size,
        "grey": transform.grey,
        "shape": shape,
        "contents": _contents(train_split, validation),
    }
    return Dataset(
        name=source.name,
        train=train_split,
        validation=validation,
        num_classes=len(source.class_names),
        class_names=source.class_names,
        normalisation=fit_normalisation(train_split.images),
        notes=notes,
        split_seed=seed,
        fingerprint=_fingerprint(identity),
        input_shape=tuple(int(n) for n in shape),
        test_size=len(test_indices),
        read_test=read_test,
    )


def _read(
    source: Source, part: Part, indices: np.ndarray, transform: Transform
) -> Split:
    labels = part.labels()[indices]
    if source.groups is not None:
        labels = np.asarray(source.groups, np.int32)[labels]
    return Split(part.images(indices, transform), labels.astype(np.int32))


def _require_enough(source: Source, labels: np.ndarray, drawn: int) -> None:
    """Each class needs one image in train and one in each split that is drawn."""
    counts = np.bincount(labels, minlength=len(source.class_names))
    if np.count_nonzero(counts) < 2:
        raise DataError(
            f"--dataset={source.name}: all {len(labels)} training images are of one "
            "class; classification needs at least 2"
        )
    short = np.flatnonzero((counts > 0) & (counts < drawn + 1))
    if short.size:
        c = int(short[0])
        images = "1 image" if counts[c] == 1 else f"{counts[c]} images"
        raise DataError(
            f"--dataset={source.name}: class {source.class_names[c]!r} has only "
            f"{images}; each class needs at least {drawn + 1} to be split; add images "
            "or remove the class"
        )


def _require_shape(source: Source, which: str, split: Split, shape: tuple) -> None:
    if split.images.shape[1:] != shape:
        raise DataError(
            f"--dataset={source.name}: {which} images are "
            f"{'x'.join(map(str, split.images.shape[1:]))} but training images are "
            f"{'x'.join(map(str, shape))}; pass --image_size=N (and --grey)"
        )


def _contents(*splits: Split) -> str:
    """Hashes the pixels and labels that a search sees (0.1 s for MNIST)."""
    digest = hashlib.blake2b(digest_size=16)
    for split in splits:
        digest.update(np.ascontiguousarray(split.images))
        digest.update(np.ascontiguousarray(split.labels))
    return digest.hexdigest()


def _fingerprint(identity: dict) -> str:
    text = json.dumps(identity, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
