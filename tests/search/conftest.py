import pytest

from spjax import search
from tests.search.study_tasks import CONFIG, SETTINGS, advance


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A study of 8 trials: 6 completed, one failed, one under way; closed.

    Its folder (with a name that no URL would bear), its rows, and what is under way.
    """
    run_dir = tmp_path_factory.mktemp("run") / "a run?#%41"
    with search.create(run_dir, SETTINGS, CONFIG) as study:
        advance(study, 6)
        study.fail(study.propose().index, "no memory", {"note": [1, 2]})
        study.propose()
        return run_dir, study.records(), study.pending()


@pytest.fixture
def copied(finished, tmp_path):
    """The same study in a folder of its own, to be changed."""
    run_dir, records, pending = finished
    for name in ("study.db", "run.json"):
        (tmp_path / name).write_bytes((run_dir / name).read_bytes())
    return tmp_path, records, pending
