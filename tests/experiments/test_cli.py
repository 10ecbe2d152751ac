"""Each way that a program can end, in a process of its own."""

import subprocess
import sys
import textwrap

import pytest

from experiments import _cli

PROGRAM = textwrap.dedent(
    """
    from absl import flags
    from experiments import _cli

    HOW = flags.DEFINE_string("how", "well", "How to end.")
    COUNT = flags.DEFINE_integer("count", 1, "A count.", lower_bound=1)

    class OurError(ValueError):
        pass

    def main(argv):
        if HOW.value == "user":
            raise OurError("--how=user is wrong:\\nuse --how=well")
        if HOW.value == "file":
            open("/no/such/file")
        if HOW.value == "bug":
            raise ValueError("shapes differ")
        if HOW.value == "interrupt":
            raise KeyboardInterrupt
        print("done")
        return 3 if HOW.value == "three" else None

    if __name__ == "__main__":
        _cli.run(main)
    """
)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "program.py"
    path.write_text(PROGRAM)

    def run(*arguments):
        return subprocess.run(
            [sys.executable, str(path), *arguments],
            capture_output=True,
            text=True,
            env={"PYTHONPATH": ":".join(p for p in [*sys.path, "."] if p)},
            check=False,
        )

    return run


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (["--how=user"], 2, "error: --how=user is wrong: use --how=well\n"),
        (["--how=file"], 2, "error: [Errno 2] No such file or directory"),
        (["--how=bug"], 1, "internal error (ValueError; --debug shows where): shapes"),
        (["--how=interrupt"], 130, "interrupted\n"),
        (["--count=0"], 2, "error: flag --count=0: 0 is not a positive integer\n"),
        (["--cuont=2"], 2, "error: Unknown command line flag 'cuont'. Did you mean"),
        (["stray"], 2, "error: unexpected argument 'stray'"),
    ],
)
def test_errors_are_one_line_without_traceback(program, arguments, status, expected):
    ended = program(*arguments)
    assert ended.returncode == status
    assert ended.stderr.startswith(expected)
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""


def test_debug_shows_the_traceback(program):
    ended = program("--how=user", "--debug")
    assert ended.returncode == 2
    assert "Traceback" in ended.stderr
    assert "OurError" in ended.stderr


def test_status_of_success(program):
    assert program().returncode == 0
    assert program().stdout == "done\n"
    assert program("--how=three").returncode == 3


def test_an_error_without_text_is_named():
    assert _cli.one_line(RuntimeError()) == "RuntimeError"
    assert _cli.one_line(RuntimeError("a\n  b")) == "a b"


def test_only_our_errors_are_the_users():
    assert not _cli.is_users(ValueError("numpy's"))
    assert _cli.is_users(_cli.UsageError("--flag"))
    assert _cli.is_users(PermissionError("file"))


def test_numbers_are_whole_and_above_zero():
    assert _cli.whole_numbers("finished", ["10", "300"]) == [10, 300]
    for bad in (["x"], ["0"], ["-1"], ["1.5"], [""], []):
        with pytest.raises(_cli.UsageError, match="--finished="):
            _cli.whole_numbers("finished", bad)
