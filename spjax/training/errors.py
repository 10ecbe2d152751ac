"""The error of this room."""


class TrainingError(ValueError):
    """A training setting that cannot be used; the message says what to do."""
