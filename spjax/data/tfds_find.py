"""Where a TFDS set is: prepared files on disk, or with ``--download`` the network.

Prepared files are found by their folders, ``DIR/NAME[/CONFIG]/VERSION``: no builder
code runs and no network is touched, so that an absent set is answered at once. Only
``download=True`` runs the set's own builder, after one short request to each of its
hosts, because TFDS' downloader would retry a dead network for minutes.
"""

import contextlib
import difflib
import importlib.util
import os
import pathlib
import re
import sys
from collections.abc import Iterable, Iterator

from absl import logging

from spjax.data.errors import DataError

_TFDS_CORE = "tensorflow_datasets.core"


def search_dir(data_dir: str | os.PathLike | None) -> pathlib.Path:
    """Returns where prepared sets are.

    That is ``data_dir``, else the environment's ``TFDS_DATA_DIR``, else TFDS' own
    default ``~/tensorflow_datasets``.
    """
    named = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return pathlib.Path(named).expanduser()


def find_prepared(
    name: str, data_dir: str | os.PathLike | None, download: bool
) -> pathlib.Path:
    """Returns the folder that holds a prepared set's ``dataset_info.json``.

    Args:
      name: ``set``, ``set/config``, ``set:version`` or ``set/config:version``; a
        version may hold ``*``. The newest version counts if several match.
      data_dir: see ``search_dir``.
      download: whether a set that is not there may be downloaded and prepared.

    Raises:
      DataError: if the set is unknown or absent, or cannot be downloaded.
    """
    match = re.fullmatch(r"(\w+)(?:/([^:/]+))?(?::([\d.*]+))?", name)
    if match is None:
        raise DataError(
            f"--dataset={name}: not a name; use digits, cifar10_binary, a TFDS set "
            "such as mnist, set/config or set:1.0.0, folder:PATH or npz:PATH"
        )
    root = search_dir(data_dir)
    folder = _find(root, *match.groups())
    if folder is None:
        if not download:
            raise DataError(_absent(name, match[1], root))
        folder = _download(name, match[1], root)
    return folder


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps TFDS' INFO lines out of a program's output while it is called."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(min(verbosity, logging.WARNING))
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's text, cut to 200 characters."""
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__


def _find(
    root: pathlib.Path, set_name: str, config: str | None, version: str | None
) -> pathlib.Path | None:
    """Returns the prepared folder under ``root``, the newest version if several."""
    base = root / set_name
    folders = [base / config] if config else [base]
    if not config and base.is_dir():  # one prepared config needs no naming
        inner = sorted(p for p in base.iterdir() if p.is_dir())
        if not any(_is_prepared(p) for p in inner):
            configs = [p for p in inner if any(map(_is_prepared, _subfolders(p)))]
            if len(configs) > 1:
                raise DataError(
                    f"--dataset={set_name}: {base} holds several configurations; "
                    f"choose one: {', '.join(f'{set_name}/{p.name}' for p in configs)}"
                )
            folders = configs
    pattern = (version or "*.*.*").replace(".", r"\.").replace("*", r"\d+")
    found = [
        p
        for folder in folders
        for p in _subfolders(folder)
        if re.fullmatch(pattern, p.name) and _is_prepared(p)
    ]
    return max(found, key=lambda p: [int(n) for n in p.name.split(".")], default=None)


def _subfolders(folder: pathlib.Path) -> list[pathlib.Path]:
    return [p for p in folder.iterdir() if p.is_dir()] if folder.is_dir() else []


def _is_prepared(folder: pathlib.Path) -> bool:
    return all((folder / f).is_file() for f in ("dataset_info.json", "features.json"))


def _absent(name: str, set_name: str, root: pathlib.Path) -> str:
    """Says why a set was not found and what to do."""
    import tensorflow_datasets as tfds

    known = set(tfds.list_builders(with_community_datasets=False)) - {"sklearn_digits"}
    here = {p.name for p in _subfolders(root) if p.name[:1] not in "._"}
    if set_name in known:
        return (
            f"--dataset={name}: not found in {root}; pass --download to fetch and "
            "prepare it there, or set --data_dir or TFDS_DATA_DIR to where it is"
        )
    if set_name in here:
        return (
            f"--dataset={name}: {root / set_name} holds no such prepared version or "
            "configuration; prepare it again, or correct the name"
        )
    ours = {"digits", "cifar10_binary"}
    close = difflib.get_close_matches(set_name, sorted(known | here | ours), n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "is it misspelt?"
    return (
        f"--dataset={name}: no such data set in {root} nor in TFDS: {hint} Own data: "
        "folder:PATH or npz:PATH"
    )


def _download(name: str, set_name: str, root: pathlib.Path) -> pathlib.Path:
    import tensorflow_datasets as tfds

    if set_name not in tfds.list_builders(with_community_datasets=False):
        raise DataError(_absent(name, set_name, root))
    _require_tensorflow(name, tfds.builder_cls(set_name))
    try:
        builder = tfds.builder(name, data_dir=str(root), file_format="array_record")
        _require_hosts(name, builder.url_infos or {})
        config = tfds.download.DownloadConfig(try_download_gcs=False)
        builder.download_and_prepare(download_config=config)
    except DataError:
        raise
    except ImportError as error:
        raise _needs(name, error.name or first_line(error)) from error
    except Exception as error:  # network, disk, checksums: all end the same way
        raise DataError(
            f"--dataset={name} --download: could not download and prepare it in "
            f"{root}: {first_line(error)}; try again, or set --data_dir to a "
            "prepared copy"
        ) from error
    return pathlib.Path(builder.data_path)


def _require_tensorflow(name: str, builder_class: type) -> None:
    """Refuses a set whose own code uses TensorFlow before anything is downloaded.

    Reading a prepared set needs none, but most of TFDS' builders import it lazily, as
    ``tf``, to unpack what they download.
    """
    if importlib.util.find_spec("tensorflow") is not None:
        return
    modules = {base.__module__ for base in builder_class.__mro__}
    own = (sys.modules[m] for m in modules if not m.startswith(_TFDS_CORE))
    if any(hasattr(module, "tf") for module in own):
        raise _needs(name, "tensorflow")


def _needs(name: str, package: str) -> DataError:
    package = "tensorflow-cpu" if package == "tensorflow" else package
    return DataError(
        f"--dataset={name} --download: TFDS' own code to prepare this set needs a "
        f"package that is not installed; pip install {package} and try again, or "
        "prepare the set elsewhere as array_record and pass --data_dir (reading it "
        "needs nothing more)"
    )


def _require_hosts(name: str, url_infos: Iterable[str]) -> None:
    """Asks each host once, for seconds: TFDS itself would retry for minutes."""
    import requests

    hosts = {re.match(r"https?://[^/]+", url): url for url in url_infos}
    seen = {m[0]: url for m, url in hosts.items() if m}
    for host, url in seen.items():
        try:
            requests.head(url, timeout=10, allow_redirects=False)
        except requests.RequestException as error:
            raise DataError(
                f"--dataset={name} --download: {host} cannot be reached "
                f"({type(error).__name__}); check the network, or set --data_dir or "
                "TFDS_DATA_DIR to a prepared copy"
            ) from error
