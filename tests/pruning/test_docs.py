"""Every Python snippet of docs/pruning.md runs, in order, as one program."""

import os
import pathlib
import re
import subprocess
import sys

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "pruning.md"

# What the page promises of its own variables.
CHECKS = """
assert round(float(pruning.sparsity(trained)), 2) == 0.9
assert float(loss(trained)) < float(loss(params))
assert step_with._cache_size() == 1
assert jax.tree.structure(same) == jax.tree.structure(params)
by_hand = pruning.apply_masks(params, masks_of_page)
assert round(float(pruning.sparsity(by_hand)), 2) == 0.8
assert jnp.allclose(clean, net_of_page(plain))
"""


def test_the_page_runs(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(blocks) > 10
    script = "\n".join(blocks)
    script = script.replace(
        "masks = pruning.compute_masks(params, 0.8)",
        "masks = masks_of_page = pruning.compute_masks(params, 0.8)",
    )
    script += """
def net_of_page(p):
    h = nn.relu(x @ p["SparseVDDense_0"]["kernel"] + p["SparseVDDense_0"]["bias"])
    return h @ p["SparseVDDense_1"]["kernel"] + p["SparseVDDense_1"]["bias"]
"""
    path = tmp_path / "page.py"
    path.write_text(script + CHECKS)
    env = {**os.environ, "PYTHONPATH": str(PAGE.parents[1])}
    done = subprocess.run(
        [sys.executable, path], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "hidden/kernel" in done.stdout and "total" in done.stdout
    assert "multiple of 4" in done.stdout


def test_the_page_names_only_what_exists():
    from spjax import pruning

    for name in re.findall(r"pruning\.(\w+)", PAGE.read_text()):
        if name not in ("md", "py"):
            assert hasattr(pruning, name), name
