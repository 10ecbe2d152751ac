"""Someone else's function, by name, with its parameters, as a `Program`."""

import importlib
import inspect
import os
import sys
import zipfile
from collections.abc import Callable

import jax
import numpy as np

from experiments import _cli
from spjax import analysis

Shape = tuple[int, int, int]


def traced(
    name: str, shape: Shape, *, params: str | None, weights: str | None
) -> analysis.Program:
    """Traces ``fn(x)`` or ``fn(params, x)`` for one image.

    Args:
      name: value of --function, ``module:name``.
      shape: (height, width, channels) of the image.
      params: value of --params, ``module:name``.
      weights: value of --weights, an .npz file.

    Returns:
      The program.

    Raises:
      UsageError: if the function or its parameters cannot be had, or it fails.
      AnalysisError: if it is not what the analyser can read.
    """
    function = _imported("--function", name)
    if not callable(function):
        raise _cli.UsageError(
            f"--function={name} is a {type(function).__name__}; name a function."
        )
    x = jax.ShapeDtypeStruct((1, *shape), np.float32)
    call = _blamed(name, function, shape)
    if _takes_params(name, function):
        return analysis.trace(call, _params(name, params, weights), x)
    return analysis.trace(lambda _, image: call(image), (), x)


def arrays(path: str) -> dict[str, np.ndarray]:
    """Reads the arrays of --weights.

    Args:
      path: an .npz file.

    Returns:
      Arrays by name.

    Raises:
      UsageError: if it is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise _cli.UsageError(
            f"--weights={path} cannot be read as an .npz archive of plain arrays"
            f" ({error}); give a file that numpy.savez wrote."
        ) from error


def _blamed(name: str, function: Callable, shape: Shape) -> Callable:
    """The function; what goes wrong inside of it is said to be its own mistake."""

    def call(*arguments: object) -> object:
        try:
            return function(*arguments)
        except (jax.errors.JAXTypeError, jax.errors.JAXIndexError):
            raise  # the analyser says what to do
        except Exception as error:
            raise _cli.UsageError(
                f"--function={name} raised {type(error).__name__} for"
                f" --input_shape={','.join(map(str, shape))}: {_cli.one_line(error)}"
            ) from error

    return call


def _imported(flag: str, text: str) -> object:
    module_name, _, name = text.partition(":")
    if not module_name or not name:
        raise _cli.UsageError(f"{flag}={text} is no module:name, such as mynet:infer.")
    sys.path.insert(0, os.getcwd())
    try:
        value = importlib.import_module(module_name)
        for part in name.split("."):
            value = getattr(value, part)
    except Exception as error:  # whatever the module does when it is imported
        raise _cli.UsageError(
            f"{flag}={text} cannot be imported ({_cli.one_line(error)}); it is looked"
            " for in the current folder and in the installed packages."
        ) from error
    return value


def _takes_params(name: str, function: Callable) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError as error:
        raise _cli.UsageError(
            f"--function={name} does not say what arguments it takes; wrap"
            " it as fn(x) or fn(params, x)."
        ) from error
    required = [
        p
        for p in parameters
        if p.default is p.empty
        and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if len(required) not in (1, 2):
        raise _cli.UsageError(
            f"--function={name} takes {len(required)} arguments; wrap it as"
            " fn(x) or fn(params, x)."
        )
    return len(required) == 2


def _params(name: str, params: str | None, weights: str | None) -> object:
    if (params is None) == (weights is None):
        raise _cli.UsageError(
            f"--function={name} takes (params, x): give its params by one of"
            " --weights=FILE.npz and --params=module:name."
        )
    if weights is not None:
        tree: dict = {}
        for path, array in arrays(weights).items():
            *folders, leaf = path.split("/")
            node = tree
            for folder in folders:
                node = node.setdefault(folder, {})
            node[leaf] = array
        return tree
    value = _imported("--params", params)
    if not callable(value):
        return value
    try:
        return value()
    except Exception as error:
        raise _cli.UsageError(
            f"--params={params} raised {type(error).__name__} when called"
            f" without arguments: {_cli.one_line(error)}"
        ) from error
