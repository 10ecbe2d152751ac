"""Errors of the analyser: one sentence that names the thing and the way out."""


class AnalysisError(ValueError):
    """A function, a program or an option that the analyser cannot work with."""


class UnsupportedPrimitive(AnalysisError):
    """A JAX primitive that has no counterpart on an integer runtime.

    Attributes:
      primitive: name of the primitive, as a jaxpr prints it.
      source: ``file:line`` of the call in the traced function, if known.
      way_out: what to write in its place.
    """

    def __init__(self, primitive: str, source: str, reason: str, way_out: str):
        self.primitive = primitive
        self.source = source
        self.way_out = way_out
        where = source or "an unknown line"
        super().__init__(f"primitive '{primitive}' at {where} {reason}; {way_out}.")


class CorruptedPlan(AnalysisError):
    """A plan under which an operation read or wrote bytes of something else."""
