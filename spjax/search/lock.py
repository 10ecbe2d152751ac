"""One writer per run directory."""

import os
import pathlib
from types import TracebackType

from spjax.search.errors import StudyError

try:
    import fcntl
except ImportError:  # Not a Unix: there is no lock to be had.
    fcntl = None


class RunLock:
    """Holds a run directory for this process; the system frees it at its end.

    Args:
      run_dir: the directory; it must exist.

    Raises:
      StudyError: if another process holds it, or it cannot be written.
    """

    def __init__(self, run_dir: str | os.PathLike) -> None:
        path = pathlib.Path(run_dir) / ".lock"
        try:
            self._file = open(path, "a+", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise StudyError(
                f"cannot write in {run_dir}: {error.strerror or error}; choose a "
                f"folder that you may write in"
            ) from error
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            owner = self._file.read().strip()
            self._file.close()
            raise StudyError(
                f"{run_dir} is in use by another process"
                + (f" ({owner})" if owner else "")
                + ": wait for it to end, or choose another folder"
            ) from error
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        """Lets the directory go; safe to call twice."""
        self._file.close()

    def __enter__(self) -> "RunLock":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
