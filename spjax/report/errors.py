"""The error of this room."""


class ReportError(ValueError):
    """A result that cannot be written or read; the message says which and why."""
