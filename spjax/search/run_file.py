"""``run.json``: what a run was started with, and whether it may be resumed."""

import datetime
import importlib.metadata
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from spjax.search.errors import StudyError
from spjax.search.settings import Settings

RUN_FILE = "run.json"
FORMAT_VERSION = 1
_PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "ax-platform",
    "botorch",
    "torch",
    "numpy",
)


def write_run_file(
    run_dir: str | os.PathLike, settings: Settings, config: Mapping[str, Any]
) -> None:
    """Writes the file in one step; its presence says that the run was set up whole.

    Args:
      run_dir: the run's folder.
      settings: the search.
      config: what else must be the same for a resumed run: flags and facts, of JSON's
        types.

    Raises:
      StudyError: if it cannot be written.
    """
    path = pathlib.Path(run_dir) / RUN_FILE
    content = {
        "format_version": FORMAT_VERSION,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
        "settings": settings.to_json(),
        "config": dict(config),
    }
    partial = path.with_name(f".{RUN_FILE}.tmp")
    try:
        with open(partial, "w", encoding="utf-8") as file:
            file.write(json.dumps(content, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise StudyError(
            f"cannot write {path}: {error.strerror or error}; make room there or "
            f"choose another folder"
        ) from error


def read_run_file(run_dir: str | os.PathLike) -> dict[str, Any]:
    """Returns the file's content: ``settings`` and ``config`` among others.

    Raises:
      StudyError: if it is missing, damaged or of another format version.
    """
    path = pathlib.Path(run_dir) / RUN_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["format_version"]
    except FileNotFoundError:
        raise StudyError(
            f"{run_dir} holds no run ({RUN_FILE} is missing): there is nothing to "
            f"resume"
        ) from None
    except OSError as error:
        raise StudyError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StudyError(
            f"{path} is damaged and its run cannot be resumed ({error}): choose "
            f"another folder"
        ) from error
    if version != FORMAT_VERSION:
        raise StudyError(
            f"{run_dir} was written by another version of this program (format "
            f"{version!r}, not {FORMAT_VERSION}): resume it with that version, or "
            f"choose another folder"
        )
    try:
        content["settings"] = Settings.from_json(content["settings"])
        content["config"] = dict(content["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise StudyError(
            f"{path} is damaged and its run cannot be resumed ({error}): choose "
            f"another folder"
        ) from error
    return content


def check_same(
    run_dir: str | os.PathLike,
    stored: Mapping[str, Any],
    settings: Settings | None,
    config: Mapping[str, Any] | None,
) -> None:
    """Checks that a run is resumed as it was started.

    Args:
      run_dir: the run's folder.
      stored: what `read_run_file` returned.
      settings: the search as it is asked for now; None to skip.
      config: what was given to `write_run_file`, as it is now; None to skip.

    Raises:
      StudyError: naming the first entry that differs, and both values.
    """
    pairs = []
    if config is not None:
        # Through JSON and back, as the stored one: tuples are lists there.
        pairs.append((stored["config"], json.loads(json.dumps(dict(config)))))
    if settings is not None:
        pairs.append((stored["settings"].to_json(), settings.to_json()))
    for then, now in pairs:
        for name in sorted({*then, *now}):
            if then.get(name) != now.get(name):
                raise StudyError(
                    f"{run_dir} was started with {name}={_show(then.get(name))}, not "
                    f"{name}={_show(now.get(name))}: resume it with the former, or "
                    f"choose another folder"
                )


def _show(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _versions() -> dict[str, str]:
    found = {}
    for name in ("spjax", *_PACKAGES):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
