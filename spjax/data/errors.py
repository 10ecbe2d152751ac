"""The error that every bad data set, file or flag value of this room raises."""


class DataError(ValueError):
    """One line for the user: which flag or file, its value, and what to do."""
