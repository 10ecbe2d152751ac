"""``folder:PATH``: one's own images, one sub-folder per class.

Either ``PATH/CLASS/*.png`` (the test split is then drawn), or ``PATH/train/CLASS/*``
with ``PATH/test/CLASS/*`` and ``PATH/validation/CLASS/*`` where there are any. Every
format that PIL reads will do; other files are counted in a note and left alone, and
so are names that begin with a dot. Classes are numbered in the order of their names.

When the folder is opened only the headers are read: kind, size and colours of every
image. Images become one channel if all training images are grey, else three (alpha is
dropped). A JPEG is turned as its EXIF orientation says.
"""

import collections
import dataclasses
import os
import pathlib

import numpy as np
from PIL import Image, ImageOps

from spjax.data.errors import DataError
from spjax.data.resize import Transform
from spjax.data.source import Part, Source, stack

_GREY_MODES = ("1", "L", "LA")
_COLOUR_MODES = ("RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr", "LAB", "HSV")
_PART_NAMES = {
    "train": "train",
    "test": "test",
    **dict.fromkeys(("validation", "valid", "val"), "validation"),
}
_ORIENTATION = 0x0112  # EXIF tag; values 5 to 8 swap width and height
_IMAGE_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


@dataclasses.dataclass(frozen=True)
class _File:
    """One image file and what its header says."""

    path: pathlib.Path
    label: int
    size: tuple[int, int]
    grey: bool


def open_folder(path: str, transform: Transform) -> Source:
    """Opens ``folder:PATH``.

    Args:
      path: what stands after ``folder:``.
      transform: image size and grey; images of mixed size need an image size.

    Raises:
      DataError: if the folders are not as the module says, a header cannot be read,
        or images differ in size and no image size is given.
    """
    name = f"folder:{path}"
    root = pathlib.Path(path).expanduser()
    if not root.is_dir():
        raise DataError(
            f"--dataset={name}: no such folder; give a folder with one sub-folder of "
            "images per class"
        )
    folders = _part_folders(name, root)
    class_names = tuple(p.name for p in _subfolders(folders["train"]))
    if len(class_names) < 2:
        raise DataError(
            f"--dataset={name}: {folders['train']} has {len(class_names)} sub-folders; "
            "it needs one per class, at least 2"
        )
    parts, ignored = {}, 0
    for part, folder in folders.items():
        parts[part], other = _scan(name, folder, class_names, part == "train")
        ignored += other
    everything = [file for files in parts.values() for file in files]
    if transform.image_size is None:
        _require_one_size(name, everything)
    mode = "L" if all(file.grey for file in parts["train"]) else "RGB"
    notes = (f"{name}: files that are not images, left alone: {ignored}",)
    return Source(
        name=name,
        class_names=class_names,
        parts={part: _part(name, files, mode) for part, files in parts.items()},
        identity=(
            "folder",
            *class_names,
            *(
                f"{file.path.relative_to(root).as_posix()}:{file.path.stat().st_size}"
                for file in everything
            ),
        ),
        notes=lambda: notes if ignored else (),
    )


def _part(name: str, files: list[_File], mode: str) -> Part:
    labels = np.array([file.label for file in files], np.int32)

    def images(indices: np.ndarray, transform: Transform) -> np.ndarray:
        chosen = (files[i] for i in indices)
        named = ((str(f.path), _decode(name, f.path, mode)) for f in chosen)
        return stack(named, len(indices), transform, f"--dataset={name}")

    return Part(len(files), lambda: labels, images)


def _part_folders(name: str, root: pathlib.Path) -> dict[str, pathlib.Path]:
    """Returns the folder of each part; ``{"train": root}`` for plain class folders."""
    top = {p.name: p for p in _subfolders(root)}
    # A class may be called "train" or "test": parts hold folders, classes hold images.
    split = {n: top[n] for n in _PART_NAMES if n in top and _subfolders(top[n])}
    if not split:
        return {"train": root}
    if "train" not in split:
        raise DataError(
            f"--dataset={name}: has {next(iter(split))}/ with class folders but no "
            "train/; add train/ with one sub-folder per class"
        )
    others = sorted(top.keys() - split.keys())
    if others:
        raise DataError(
            f"--dataset={name}: {others[0]}/ stands beside train/; only test/ and "
            "validation/ may. Move it away"
        )
    folders = {}
    for folder_name, folder in split.items():
        part = _PART_NAMES[folder_name]
        if part in folders:
            raise DataError(
                f"--dataset={name}: both {folders[part].name}/ and {folder_name}/ "
                "would be the validation split; keep one"
            )
        folders[part] = folder
    return folders


def _scan(
    name: str, folder: pathlib.Path, class_names: tuple[str, ...], complete: bool
) -> tuple[list[_File], int]:
    """Returns the images under ``folder`` and how many other files there are."""
    found = {p.name: p for p in _subfolders(folder)}
    unknown = sorted(found.keys() - set(class_names))
    if unknown:
        raise DataError(
            f"--dataset={name}: {folder / unknown[0]} has no class of that name in "
            "train/; add it there or remove it"
        )
    suffixes = Image.registered_extensions()
    files, ignored = [], 0
    for label, class_name in enumerate(class_names):
        entries = _entries(found[class_name]) if class_name in found else []
        images = [p for p in entries if p.suffix.lower() in suffixes and p.is_file()]
        ignored += len(entries) - len(images)
        if complete and not images:
            raise DataError(
                f"--dataset={name}: class folder {folder / class_name} holds no "
                "images; add some or remove it"
            )
        files += [_header(name, p, label) for p in images]
    return files, ignored


def _header(name: str, path: pathlib.Path, label: int) -> _File:
    try:
        with Image.open(path) as image:
            mode, size = image.mode, image.size
            if image.format == "JPEG" and image.getexif().get(_ORIENTATION, 1) > 4:
                size = size[::-1]
    except _IMAGE_ERRORS as error:
        raise _unreadable(name, path, error) from error
    if mode not in _GREY_MODES + _COLOUR_MODES:
        raise DataError(
            f"--dataset={name}: {path} has pixels of kind {mode!r}; only 8-bit grey "
            "and colour images are read. Convert it"
        )
    return _File(path, label, size, mode in _GREY_MODES)


def _decode(name: str, path: pathlib.Path, mode: str) -> np.ndarray:
    """Returns uint8 [H, W, 1 or 3]."""
    try:
        with Image.open(path) as image:
            if image.format == "JPEG":
                image = ImageOps.exif_transpose(image)
            array = np.asarray(image.convert(mode))
    except _IMAGE_ERRORS as error:
        raise _unreadable(name, path, error) from error
    return array[..., None] if mode == "L" else array


def _unreadable(name: str, path: pathlib.Path, error: Exception) -> DataError:
    detail = (str(error).splitlines() or [type(error).__name__])[0]
    return DataError(
        f"--dataset={name}: {path} cannot be read as an image ({detail}); repair or "
        "remove it"
    )


def _require_one_size(name: str, files: list[_File]) -> None:
    sizes = collections.Counter(file.size for file in files)
    if len(sizes) == 1:
        return
    (width, height), most = sizes.most_common(1)[0]
    odd = next(file for file in files if file.size != (width, height))
    raise DataError(
        f"--dataset={name}: images differ in size: {most} of {len(files)} are "
        f"{width}x{height} pixels (width x height) but {odd.path} is "
        f"{odd.size[0]}x{odd.size[1]}; pass --image_size=N to resize them all"
    )


def _entries(folder: pathlib.Path) -> list[pathlib.Path]:
    return [
        pathlib.Path(e.path)
        for e in sorted(os.scandir(folder), key=lambda e: e.name)
        if not e.name.startswith(".")
    ]


def _subfolders(folder: pathlib.Path) -> list[pathlib.Path]:
    return [p for p in _entries(folder) if p.is_dir()]
