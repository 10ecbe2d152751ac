import subprocess
import sys

import pytest

from launch.errors import LaunchError
from launch.record import Folder, Record, finished_runs, locked, replace_text
from launch.sweep import make_cells


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path, make_cells("a=1", "exp")[0])


def test_paths_are_below_the_cells_own_folder(folder, tmp_path):
    assert folder.path.parent == tmp_path and folder.path.name == folder.cell.name
    assert folder.run_dir.parent == folder.log.parent == folder.path


def test_record_round_trip(folder):
    assert folder.read() is None and not folder.is_finished()
    failed = Record(("python", "-m", "exp"), 3, 1.25)
    folder.write(failed)
    assert folder.read() == failed and not folder.is_finished()
    killed = Record(("python",), -9, 2.0)
    folder.write(killed)
    assert folder.read() == killed and not folder.is_finished()
    folder.write(Record(("python",), 0, 2.0))
    assert folder.is_finished()
    assert [p.name for p in folder.path.iterdir()] == ["cell.json"]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"command": 1}'])
def test_damaged_record_is_one_line(folder, content):
    replace_text(folder.path / "cell.json", content)
    with pytest.raises(LaunchError, match=r"cell\.json cannot be read.*remove it"):
        folder.is_finished()


def test_finished_runs_are_those_that_ended_well(tmp_path):
    assert finished_runs(tmp_path / "none") == []
    cells = [Folder(tmp_path, cell) for cell in make_cells("a=1,2,3;b=x", "exp")]
    for folder, code in zip(cells, (0, 1, 0), strict=True):
        folder.write(Record(("python",), code, 1.0))
    found = {settings["a"]: run for settings, run in finished_runs(tmp_path)}
    assert found == {"1": cells[0].run_dir, "3": cells[2].run_dir}
    replace_text(cells[1].path / "cell.json", "[]")
    with pytest.raises(LaunchError, match=r"cell\.json cannot be read"):
        finished_runs(tmp_path)


def test_log_tail(folder):
    assert folder.log_tail() == "(no log)"
    folder.path.mkdir()
    folder.log.write_bytes(
        b"x" * 50_000 + b"\n" + b"\n".join(b"%d" % k for k in range(99))
    )
    assert folder.log_tail(3) == "96\n97\n98"
    folder.log.write_bytes(b"\xff one\n\n")
    assert folder.log_tail().endswith(" one")


def test_replace_text_is_whole_or_absent(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    replace_text(path, "one")
    with pytest.raises(UnicodeEncodeError):
        replace_text(path, "two\ud800")
    assert path.read_text() == "one"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_lock_is_held_once_and_given_back(tmp_path):
    with locked(tmp_path / "root"):
        with pytest.raises(LaunchError, match="still at work there"):
            with locked(tmp_path / "root"):
                pass
        with locked(tmp_path / "other"):
            pass
    with locked(tmp_path / "root"):
        pass


def test_a_run_that_inherited_the_lock_holds_it(tmp_path):
    with locked(tmp_path) as descriptor:
        command = [sys.executable, "-c", "input()"]
        run = subprocess.Popen(
            command, stdin=subprocess.PIPE, pass_fds=[descriptor], text=True
        )
    try:
        with pytest.raises(LaunchError, match="or a run that it started"):
            with locked(tmp_path):
                pass
    finally:
        run.communicate("\n", timeout=30)
    with locked(tmp_path):
        pass


def test_root_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LaunchError, match=r"--root=.*file/root: cannot be written"):
        with locked(tmp_path / "file" / "root"):
            pass
