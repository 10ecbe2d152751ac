"""The errors of this room; each message is one sentence that says what to do."""


class SearchError(ValueError):
    """A search that cannot go on as it was asked for."""


class InfeasibleError(SearchError):
    """Limits that no genome was found to meet."""


class StudyError(SearchError):
    """A run directory that cannot be written, read or resumed."""


class WorkerError(SearchError):
    """Worker processes that cannot be started."""
