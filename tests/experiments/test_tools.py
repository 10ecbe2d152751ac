"""Tools are installed only where asked for, and said first."""

import pytest

from experiments import _cli, _tools
from spjax import deploy

UNO = deploy.get_board("uno")


@pytest.fixture
def without_tools(tmp_path, monkeypatch):
    """Nothing on the path but an apt-get that writes down what it is asked."""
    log = tmp_path / "log.txt"
    apt = tmp_path / "apt-get"
    apt.write_text(f'#!/bin/sh\necho "$@" >> {log}\n')
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return log


def test_nothing_is_installed_unasked(without_tools, capsys):
    with pytest.raises(deploy.ToolchainError, match="apt-get install .*gcc-avr"):
        _tools.provide(UNO, install=False)
    assert not without_tools.exists() and not capsys.readouterr().out


def test_root_installs_what_is_missing_and_says_so(without_tools, monkeypatch, capsys):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    # This apt-get installs nothing, so that something is missing still.
    with pytest.raises(deploy.ToolchainError):
        _tools.provide(UNO, install=True)
    asked = without_tools.read_text().splitlines()
    assert asked[0].startswith("update")
    assert asked[1].startswith("install")
    assert asked[1].endswith("gcc-avr avr-libc gcc libc6-dev libsimavr-dev")
    assert capsys.readouterr().out.startswith("Installing with apt-get: gcc-avr")


def test_others_are_told_what_to_install(without_tools, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(deploy.ToolchainError, match="apt-get install .*gcc-avr"):
        _tools.provide(UNO, install=True)
    assert not without_tools.exists()


def test_an_installation_that_fails(without_tools, monkeypatch, tmp_path):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    (tmp_path / "apt-get").write_text("#!/bin/sh\necho 'no network' >&2\nexit 100\n")
    with pytest.raises(_cli.UsageError, match=r"update -q failed \(no network\)"):
        _tools.provide(UNO, install=True)
