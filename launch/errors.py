"""The error that a bad sweep, experiment or root folder raises."""


class LaunchError(ValueError):
    """One line for the user: which flag, its value, and what to do."""
