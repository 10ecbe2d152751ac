import numpy as np
import pytest
from PIL import Image

from spjax import data


def _pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def _write(folder, count, shape=(6, 5), seed=0, suffix="png"):
    folder.mkdir(parents=True, exist_ok=True)
    images = [_pixels(*shape, seed=1000 * seed + k) for k in range(count)]
    for k, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{k:02d}.{suffix}")
    return images


def _two_classes(root, count=10, shape=(6, 5)):
    return {
        name: _write(root / name, count, shape, seed=k)
        for k, name in enumerate(("ant", "bee"))
    }


def _message(root, **kwargs):
    with pytest.raises(data.DataError) as caught:
        data.load(f"folder:{root}", **kwargs)
    message = str(caught.value)
    assert message.startswith(f"--dataset=folder:{root}: ")
    assert "\n" not in message
    return message


def test_class_folders(tmp_path):
    images = _two_classes(tmp_path)
    dataset = data.load(f"folder:{tmp_path}")
    assert dataset.class_names == ("ant", "bee") and dataset.num_classes == 2
    assert dataset.input_shape == (6, 5, 1)
    assert [len(dataset.train), len(dataset.validation), dataset.test_size] == [
        13,
        3,
        4,
    ]
    label_of = {
        image.tobytes(): label
        for label, name in enumerate(("ant", "bee"))
        for image in images[name]
    }
    seen = []
    for split in (dataset.train, dataset.validation, dataset.test()):
        for image, label in zip(split.images, split.labels, strict=True):
            assert label_of[image.tobytes()] == label
            seen.append(image.tobytes())
    assert sorted(seen) == sorted(label_of)


def test_train_and_test_folders(tmp_path):
    _two_classes(tmp_path / "train", 10)
    test = _two_classes(tmp_path / "test", 3)
    dataset = data.load(f"folder:{tmp_path}")
    assert len(dataset.train) + len(dataset.validation) == 20
    np.testing.assert_array_equal(
        dataset.test().images[..., 0], [*test["ant"], *test["bee"]]
    )
    np.testing.assert_array_equal(dataset.test().labels, [0, 0, 0, 1, 1, 1])
    assert not dataset.notes


@pytest.mark.parametrize("name", ["validation", "valid", "val"])
def test_validation_folder(tmp_path, name):
    _two_classes(tmp_path / "train", 10)
    _two_classes(tmp_path / name, 2)
    dataset = data.load(f"folder:{tmp_path}")
    assert [len(dataset.train), len(dataset.validation), dataset.test_size] == [
        16,
        4,
        4,
    ]


def test_a_class_may_be_called_train(tmp_path):
    _write(tmp_path / "train", 8, seed=1)
    _write(tmp_path / "bus", 8, seed=2)
    assert data.load(f"folder:{tmp_path}").class_names == ("bus", "train")


def test_test_pixels_are_not_decoded_before_they_are_asked_for(tmp_path):
    _two_classes(tmp_path / "train")
    _two_classes(tmp_path / "test", 2, shape=(6, 5))
    victim = tmp_path / "test" / "ant" / "00.png"
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-25])  # the header is good, the pixels are cut off
    dataset = data.load(f"folder:{tmp_path}")
    assert dataset.test_size == 4
    with pytest.raises(data.DataError, match=r"ant/00\.png cannot be read"):
        dataset.test()


def test_grey_files_give_one_channel_and_one_colour_file_gives_three(tmp_path):
    images = _two_classes(tmp_path)
    red = np.zeros((6, 5, 3), np.uint8)
    red[..., 0] = 255
    Image.fromarray(red).save(tmp_path / "ant" / "red.png")
    dataset = data.load(f"folder:{tmp_path}")
    assert dataset.input_shape == (6, 5, 3)
    splits = [dataset.train, dataset.validation, dataset.test()]
    every = np.concatenate([split.images for split in splits])
    assert any((image == red).all() for image in every)
    first = images["bee"][0][..., None].repeat(3, -1)
    assert any((image == first).all() for image in every)
    assert data.load(f"folder:{tmp_path}", grey=True).input_shape == (6, 5, 1)


def test_alpha_is_dropped_and_palettes_are_resolved(tmp_path):
    _write(tmp_path / "a", 5, (4, 4, 4))
    for k in range(5):
        image = Image.fromarray(_pixels(4, 4, 3, seed=50 + k)).quantize(16)
        (tmp_path / "b").mkdir(exist_ok=True)
        image.save(tmp_path / "b" / f"{k}.png")
    assert data.load(f"folder:{tmp_path}").input_shape == (4, 4, 3)


def test_mixed_sizes_name_the_odd_file_and_image_size_mends_them(tmp_path):
    _two_classes(tmp_path)
    Image.fromarray(_pixels(7, 9)).save(tmp_path / "bee" / "odd.png")
    message = _message(tmp_path)
    assert f"{tmp_path}/bee/odd.png is 9x7" in message
    assert "20 of 21 are 5x6" in message and "--image_size=N" in message
    assert data.load(f"folder:{tmp_path}", image_size=4).input_shape == (4, 4, 1)


def test_mixed_sizes_in_test_are_refused_before_training(tmp_path):
    _two_classes(tmp_path / "train")
    _two_classes(tmp_path / "test", 2, shape=(3, 3))
    assert "test/ant/00.png is 3x3" in _message(tmp_path)


def test_corrupt_files_are_named(tmp_path):
    _two_classes(tmp_path)
    (tmp_path / "ant" / "broken.png").write_bytes(b"not an image")
    assert f"{tmp_path}/ant/broken.png cannot be read as an image" in _message(tmp_path)


def test_truncated_training_files_are_named(tmp_path):
    _two_classes(tmp_path)
    for name in ("ant", "bee"):
        for path in (tmp_path / name).iterdir():
            path.write_bytes(path.read_bytes()[:-25])
    assert ".png cannot be read as an image" in _message(tmp_path)


def test_sixteen_bit_images_are_refused(tmp_path):
    _two_classes(tmp_path)
    deep = Image.fromarray(np.full((6, 5), 40_000, np.uint16))
    deep.save(tmp_path / "ant" / "deep.png")
    assert "deep.png has pixels of kind 'I;16'" in _message(tmp_path)


def test_class_with_one_image(tmp_path):
    _two_classes(tmp_path)
    _write(tmp_path / "cat", 1, seed=9)
    assert "class 'cat' has only 1 image; each class needs at least 3" in _message(
        tmp_path
    )


def test_class_without_images(tmp_path):
    _two_classes(tmp_path)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "readme.txt").write_text("soon")
    assert f"class folder {tmp_path}/cat holds no images" in _message(tmp_path)


def test_other_files_are_counted_and_hidden_ones_passed_over(tmp_path):
    _two_classes(tmp_path)
    (tmp_path / "ant" / "notes.txt").write_text("x")
    (tmp_path / "bee" / "more").mkdir()
    (tmp_path / "bee" / ".hidden.png").write_text("x")
    (tmp_path / ".git").mkdir()
    (tmp_path / "README").write_text("x")
    dataset = data.load(f"folder:{tmp_path}")
    assert dataset.notes[0].endswith("left alone: 2")
    assert dataset.class_names == ("ant", "bee")


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        ([], "has 0 sub-folders"),
        (["ant"], "has 1 sub-folders"),
        (["test/ant", "test/bee"], "has test/ with class folders but no train/"),
        (["train/ant", "train/bee", "extra/ant"], "extra/ stands beside train/"),
        (["train/ant", "train/bee", "test/cow"], "test/cow has no class of that name"),
        (["train/a", "train/b", "val/a", "valid/a"], "both valid/ and val/ would be"),
    ],
)
def test_wrong_layouts(tmp_path, folders, expected):
    for k, folder in enumerate(folders):
        _write(tmp_path / folder, 4, seed=k)
    assert expected in _message(tmp_path)


def test_missing_folder_and_file_in_its_place(tmp_path):
    assert "no such folder" in _message(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    assert "no such folder" in _message(tmp_path / "file")


def test_exif_orientation_turns_jpegs(tmp_path):
    tall = np.zeros((16, 8), np.uint8)
    tall[:4] = 255  # a white bar on top
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees clockwise to show": 8 high, 16 wide
    _write(tmp_path / "ant", 4, (8, 16))
    (tmp_path / "bee").mkdir()
    for k in range(4):
        Image.fromarray(tall).save(tmp_path / "bee" / f"{k}.jpg", exif=exif, quality=95)
    dataset = data.load(f"folder:{tmp_path}")
    assert dataset.input_shape == (8, 16, 1)
    bee = dataset.train.images[dataset.train.labels == 1][0, ..., 0]
    assert bee[:, 12:].min() > 200 and bee[:, :11].max() < 50  # the bar is right now


def test_fingerprint_follows_names_contents_and_image_size(tmp_path):
    _two_classes(tmp_path / "x")
    first = data.load(f"folder:{tmp_path}/x").fingerprint
    assert data.load(f"folder:{tmp_path}/x").fingerprint == first
    (tmp_path / "x").rename(tmp_path / "y")
    assert data.load(f"folder:{tmp_path}/y").fingerprint == first
    assert data.load(f"folder:{tmp_path}/y", image_size=8).fingerprint != first
    for path in (tmp_path / "y" / "ant").iterdir():
        Image.fromarray(_pixels(6, 5, seed=77)).save(path)
    changed = data.load(f"folder:{tmp_path}/y").fingerprint
    assert changed != first
    (tmp_path / "y" / "ant").rename(tmp_path / "y" / "alligator")
    assert data.load(f"folder:{tmp_path}/y").fingerprint not in (first, changed)
