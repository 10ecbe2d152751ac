"""Ax's own method at two efforts, on a search of few genes."""

import sys

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from experiments import _cli, bench_ax_method
from spjax import search
from tests.search.study_tasks import FEW_GENES, advance

pytestmark = pytest.mark.filterwarnings("ignore::Warning")


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("search") / "run"
    with search.create(path, FEW_GENES) as study:
        advance(study, 6)
    return str(path)


def test_both_points_are_judged_by_one_function(run_dir, monkeypatch):
    from spjax.search import ax_method

    asked = []
    real = ax_method.best_point

    def best_point(seed, experiment, data, **effort):
        asked.append((sorted(set(data.df["trial_index"])), effort))
        return real(seed, experiment, data, **effort)

    monkeypatch.setattr(ax_method, "best_point", best_point)
    here, full = bench_ax_method.compare(run_dir, 5)
    assert [known for known, _ in asked] == [[0, 1, 2, 3, 4]] * 2
    assert asked[0][1] == {}
    assert asked[1][1] == {"samples": 128, "restarts": 20, "brief": False}
    assert np.isfinite([here.worth, full.worth]).all()
    assert here.seconds > 0 and full.seconds > 0
    # Where both looked for the maximum, more effort cannot do much worse.
    assert here.worth <= full.worth + 0.5


def test_the_same_effort_finds_the_same_point(run_dir, monkeypatch):
    ours = {"samples": 16, "restarts": 4, "brief": True}
    monkeypatch.setattr(bench_ax_method, "_AX", ours)
    here, full = bench_ax_method.compare(run_dir, 5)
    assert here.worth == full.worth


def test_mistakes_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["experiments.bench_ax_method"])
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["bench"])
    with pytest.raises(_cli.UsageError, match="--run_dirs is missing"):
        bench_ax_method.main([])
    with (
        flagsaver.flagsaver(run_dirs=[str(tmp_path)]),
        pytest.raises(_cli.UsageError, match=f"--run_dirs={tmp_path}: .*holds no"),
    ):
        bench_ax_method.main([])
