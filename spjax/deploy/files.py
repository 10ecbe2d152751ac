"""Quantised programs as .npz files: integers and JSON, no pickle.

``program.json`` (UTF-8 bytes as uint8) holds the graph, scales and everything but
arrays; ``<operation>/<field>`` the arrays of its layers. Weights of the float network
are not stored: the integers are the network.
"""

import dataclasses
import json
import os
from typing import Any

import numpy as np

from spjax import analysis, networks
from spjax.deploy.quantised import (
    Addition,
    Copy,
    Linear,
    Pool,
    QuantisationError,
    QuantisedOperation,
    QuantisedProgram,
    TensorScale,
)

_VERSION = 1
_CLASSES = {kind.__name__: kind for kind in (Linear, Addition, Pool, Copy)}
_PROGRAM = "program.json"


def save_quantised(path: str | os.PathLike, quantised: QuantisedProgram) -> None:
    """Writes a quantised program; the file appears whole or not at all.

    Args:
      path: where to; replaced if it exists.
      quantised: the program.
    """
    arrays: dict[str, np.ndarray] = {}
    operations = {}
    for name, operation in quantised.operations.items():
        fields = {}
        for field in dataclasses.fields(operation):
            value = getattr(operation, field.name)
            if isinstance(value, np.ndarray):
                arrays[f"{name}/{field.name}"] = value
            else:
                fields[field.name] = value
        operations[name] = {"class": type(operation).__name__, **fields}
    text = {
        "version": _VERSION,
        "program": _program_dict(quantised.program),
        "scales": {n: dataclasses.asdict(s) for n, s in quantised.scales.items()},
        "operations": operations,
    }
    encoded = json.dumps(text, default=_plain).encode()
    arrays[_PROGRAM] = np.frombuffer(encoded, np.uint8)
    networks.save_tree(path, arrays)


def load_quantised(path: str | os.PathLike) -> QuantisedProgram:
    """Reads what `save_quantised` wrote.

    Args:
      path: an .npz file.

    Returns:
      The program; its float weights have no values.

    Raises:
      FileError: if the file is missing or damaged.
      QuantisationError: if it is not a quantised program of this version.
    """
    arrays = networks.flatten(networks.load_tree(path))
    try:
        text = json.loads(arrays.pop(_PROGRAM).tobytes())
        version = text["version"]
        if version != _VERSION:
            raise QuantisationError(
                f"{path} has the format version {version}; this program reads version "
                f"{_VERSION}."
            )
        scales = {name: TensorScale(**s) for name, s in text["scales"].items()}
        operations = {
            name: _operation(name, fields, arrays)
            for name, fields in text["operations"].items()
        }
        return QuantisedProgram(_program(text["program"]), scales, operations)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise QuantisationError(
            f"{path} is not a quantised program ({error!r}); write it with "
            "save_quantised."
        ) from error


def _operation(name: str, fields: dict, arrays: dict) -> QuantisedOperation:
    kind = _CLASSES[fields.pop("class")]
    fields = {key: _tuples(value) for key, value in fields.items()}
    for field in dataclasses.fields(kind):
        array = arrays.get(f"{name}/{field.name}")
        if array is not None:
            array.setflags(write=False)
            fields[field.name] = array
    return kind(**fields)


def _program_dict(program: analysis.Program) -> dict[str, Any]:
    def without_values(operation: analysis.Operation) -> analysis.Operation:
        weights = tuple(dataclasses.replace(w, values=None) for w in operation.weights)
        return dataclasses.replace(operation, weights=weights)

    plain = dataclasses.replace(
        program, operations=tuple(map(without_values, program.operations))
    )
    return dataclasses.asdict(plain)


def _program(text: dict) -> analysis.Program:
    def made(kind: type, fields: dict, **nested: object) -> Any:
        return kind(**({k: _tuples(v) for k, v in fields.items()} | nested))

    def operation(fields: dict) -> analysis.Operation:
        return made(
            analysis.Operation,
            fields,
            weights=tuple(made(analysis.Weight, w) for w in fields["weights"]),
            prologue=tuple(made(analysis.Step, s) for s in fields["prologue"]),
            epilogue=tuple(made(analysis.Step, s) for s in fields["epilogue"]),
        )

    return made(
        analysis.Program,
        text,
        operations=tuple(map(operation, text["operations"])),
        tensors={n: made(analysis.Tensor, t) for n, t in text["tensors"].items()},
    )


def _tuples(value: object) -> object:
    """Lists, as JSON has them, as the tuples that they were."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is not stored")
