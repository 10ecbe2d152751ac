"""The one exception that the pruning room raises for bad input."""


class PruningError(ValueError):
    """Bad input to a pruning function; the message names the leaf and the remedy."""
