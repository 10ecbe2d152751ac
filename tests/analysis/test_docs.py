"""Every Python snippet of docs/analysis.md runs and prints what the page says."""

import os
import pathlib
import re
import subprocess
import sys

from spjax import analysis

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "analysis.md"


def _run(code, folder):
    env = {**os.environ, "PYTHONPATH": str(PAGE.parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        cwd=folder, env=env,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_runs_and_prints_what_it_says(tmp_path):
    blocks = re.findall(r"```(python|text)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    code = "".join(f"{b}print('<end>')\n" for kind, b in blocks if kind == "python")
    printed = _run(code, tmp_path).split("<end>\n")
    assert printed.pop() == ""
    # A block of text is what the snippet before it prints; other snippets are silent.
    wanted = []
    for kind, block in blocks:
        if kind == "python":
            wanted.append("")
        else:
            wanted[-1] += block
    assert printed == wanted
    assert len(wanted) == 9 and wanted.count("") == 2
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_names_only_what_exists():
    for name in re.findall(r"analysis\.(\w+)", PAGE.read_text()):
        if name != "md":
            assert hasattr(analysis, name), name


def test_nothing_else_of_spjax_is_imported(tmp_path):
    code = (
        "import sys; from spjax import analysis;"
        "print(sorted(m for m in sys.modules if m.startswith(('spjax.', 'flax'))"
        " and not m.startswith('spjax.analysis')))"
    )
    assert _run(code, tmp_path).strip() == "[]"
