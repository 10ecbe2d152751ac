import os

import pytest

from spjax.search.errors import StudyError
from spjax.search.lock import RunLock

pytest.importorskip("fcntl")


def test_a_folder_has_one_holder(tmp_path):
    with RunLock(tmp_path):
        # flock belongs to the open file, so a second one in this process conflicts.
        with pytest.raises(StudyError, match=f"in use .*process {os.getpid()}"):
            RunLock(tmp_path)
    with RunLock(tmp_path) as lock:
        lock.release()
        lock.release()
        RunLock(tmp_path).release()


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(StudyError, match="cannot write in"):
        RunLock(tmp_path / "nowhere")
