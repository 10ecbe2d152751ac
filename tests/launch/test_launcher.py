import os
import signal
import sys
import time

from launch.launcher import Job, LocalLauncher


def _wait(launcher, handle, seconds=60):
    deadline = time.monotonic() + seconds
    while (code := launcher.poll(handle)) is None:
        assert time.monotonic() < deadline, "the job did not end"
        time.sleep(0.02)
    return code


def _until(path, text, seconds=60):
    deadline = time.monotonic() + seconds
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < deadline, f"{text!r} never appeared"
        time.sleep(0.02)


def _job(tmp_path, code, *arguments):
    script = tmp_path / "job.py"
    script.write_text(code)
    command = (sys.executable, str(script), *map(str, arguments))
    return Job("job", command, tmp_path / "logs" / "log.txt")


def test_exit_codes_and_output(tmp_path):
    launcher = LocalLauncher()
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)"
    job = _job(tmp_path, code)
    assert _wait(launcher, launcher.submit(job)) == 7
    lines = job.log.read_text().splitlines()
    assert lines[0] == f"$ {sys.executable} {tmp_path}/job.py"
    assert sorted(lines[1:]) == ["err", "out"]


def test_a_second_attempt_is_appended(tmp_path):
    launcher = LocalLauncher()
    job = _job(tmp_path, "print('again')")
    for _ in range(2):
        assert _wait(launcher, launcher.submit(job)) == 0
    assert job.log.read_text().splitlines()[1::2] == ["again", "again"]


def test_poll_is_none_while_it_runs_and_input_is_empty(tmp_path):
    launcher = LocalLauncher()
    code = (
        "import sys, time, pathlib\n"
        "print(repr(sys.stdin.read()))\n"
        "while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.02)\n"
    )
    job = _job(tmp_path, code, tmp_path / "go")
    handle = launcher.submit(job)
    _until(job.log, "''\n")
    assert launcher.poll(handle) is None
    (tmp_path / "go").touch()
    assert _wait(launcher, handle) == 0


_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
print('child', child.pid, flush=True)
try:
    time.sleep(600)
except KeyboardInterrupt:
    print('asked to stop', flush=True)
    sys.exit(5)
"""


def _child_pid(log):
    _until(log, "child ")
    words = log.read_text().split("child ")[-1].split()
    return int(words[0])


def _is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _gone(pid, seconds=30):
    deadline = time.monotonic() + seconds
    while _is_alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_cancel_is_ctrl_c_for_the_job_and_its_workers(tmp_path):
    launcher = LocalLauncher()
    job = _job(tmp_path, _CHILD)
    handle = launcher.submit(job)
    pid = _child_pid(job.log)
    launcher.cancel(handle)
    assert _wait(launcher, handle) == 5
    assert "asked to stop" in job.log.read_text()
    assert _gone(pid)


def test_force_kills_the_job_and_its_workers(tmp_path):
    launcher = LocalLauncher()
    deaf = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    job = _job(tmp_path, deaf + _CHILD)
    handle = launcher.submit(job)
    pid = _child_pid(job.log)
    launcher.cancel(handle)
    time.sleep(0.2)
    assert launcher.poll(handle) is None
    launcher.cancel(handle, force=True)
    assert _wait(launcher, handle) == -signal.SIGKILL
    assert _gone(pid)


def test_cancelling_what_has_ended_is_harmless(tmp_path):
    launcher = LocalLauncher()
    handle = launcher.submit(_job(tmp_path, ""))
    assert _wait(launcher, handle) == 0
    launcher.cancel(handle)
    launcher.cancel(handle, force=True)
    assert launcher.poll(handle) == 0


def test_jobs_inherit_the_given_descriptors_alone(tmp_path):
    given, kept_back = os.pipe(), os.pipe()
    for descriptor in (*given, *kept_back):
        os.set_inheritable(descriptor, False)
    code = (
        "import os, sys\n"
        "for fd in map(int, sys.argv[1:]):\n"
        "    try: os.fstat(fd); print('open')\n"
        "    except OSError: print('closed')\n"
    )
    launcher = LocalLauncher(inherit=[given[0]])
    job = _job(tmp_path, code, given[0], kept_back[0])
    try:
        assert _wait(launcher, launcher.submit(job)) == 0
    finally:
        for descriptor in (*given, *kept_back):
            os.close(descriptor)
    assert job.log.read_text().splitlines()[1:] == ["open", "closed"]
