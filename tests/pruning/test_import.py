"""The room stands alone: none of our other rooms, and no Flax until asked."""

import pathlib
import re
import subprocess
import sys

import spjax.pruning as pruning


def test_public_names_exist():
    for name in pruning.__all__:
        assert getattr(pruning, name) is not None


def test_flax_is_imported_on_demand_only():
    code = """
import sys
sys.modules["flax"] = None  # an import of Flax would raise
from spjax import pruning
ours = {m for m in sys.modules if m.startswith("spjax.")}
assert all(m.startswith("spjax.pruning") for m in ours), ours
try:
    pruning.layers
except ImportError:
    print("refused")
"""
    root = pathlib.Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True
    )
    assert done.stdout.strip() == "refused", done.stderr


def test_imports_nothing_of_the_other_rooms():
    for path in pathlib.Path(pruning.__file__).parent.glob("*.py"):
        for line in path.read_text().splitlines():
            if match := re.match(r"\s*(?:from|import) (spjax[\w.]*)", line):
                assert match[1].startswith("spjax.pruning"), (path.name, line)
