"""Emission: a quantised network and its memory plan as C99.

made = emit.model(quantised, plan, name="mnist")
made.files["spjax_model.c"], made.arena_bytes, made.encoded_bytes
"""

from spjax.deploy.emit.layers import EmitError
from spjax.deploy.emit.model import Model, model
from spjax.deploy.emit.tables import Table

__all__ = ["EmitError", "Model", "Table", "model"]
