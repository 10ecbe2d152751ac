"""Emission: a quantised network and its memory plan as C99.

made = emit.model(quantised, plan, name="mnist")
made.files["spjax_model.c"], made.arena_bytes, made.encoded_bytes
emit.self_test(made, images, outputs), emit.makefile(made), emit.readme(made)
"""

from spjax.deploy.emit.examples import examples
from spjax.deploy.emit.layers import EmitError
from spjax.deploy.emit.model import Model, model
from spjax.deploy.emit.readme import readme
from spjax.deploy.emit.selftest import makefile, self_test
from spjax.deploy.emit.tables import Table

__all__ = [
    "EmitError",
    "Model",
    "Table",
    "examples",
    "makefile",
    "model",
    "readme",
    "self_test",
]
