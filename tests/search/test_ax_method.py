import dataclasses

import pytest

from spjax import genomes, search
from spjax.search import ax_method, storage
from spjax.search.ax_method import _valid
from spjax.search.drawing import cost_of, fits
from tests.search.study_tasks import FEW_GENES, SETTINGS, advance

pytest.importorskip("ax")
pytestmark = pytest.mark.filterwarnings("ignore::Warning")


def test_ax_chooses_networks_that_fit_after_the_first_random_ones(tmp_path):
    with search.create(tmp_path / "run", FEW_GENES) as study:
        advance(study, 5)
        rows = study.records()
    assert [row["edit"] for row in rows[:4]] == ["random"] * 4
    assert all(row["edit"].startswith("qlognehvi") for row in rows[4:])
    assert all(row["parent"] is None for row in rows)
    for row in rows:
        assert row["planned_arena"] <= 2048 and row["model_size_nonzero"] <= 8192
    assert len({row["genome_id"] for row in rows}) == 5


def test_a_bound_that_no_trial_has_reached_is_what_ax_aims_at(tmp_path):
    # Ax then takes another acquisition function, which knows none of our options.
    settings = dataclasses.replace(FEW_GENES, error_bound=1e-4)
    with search.create(tmp_path / "run", settings) as study:
        advance(study, 6)
        rows = study.records()
    assert min(row["validation_error"] for row in rows) > 1e-4
    assert all(row["edit"].startswith("qlognehvi") for row in rows[4:])


def test_what_does_not_fit_the_image_is_padded():
    shape = SETTINGS.input_shape
    conv = genomes.Conv(kernel=7, padding="VALID")
    pool = genomes.Pool("max", 4)
    genome = genomes.Genome(
        blocks=tuple(genomes.Block(convs=(conv, conv), pool=pool) for _ in range(3))
    )
    with pytest.raises(genomes.GenomeError):
        genomes.validate(genome, shape)
    valid = _valid(genome, SETTINGS)
    genomes.validate(valid, shape)
    assert [len(b.convs) for b in valid.blocks] == [2, 2, 2]
    assert valid.blocks[0].convs[0].kernel == 7


def test_what_fits_is_left_as_it_is():
    genome = genomes.canonical(genomes.Genome())
    assert _valid(genome, SETTINGS) == genome
    assert fits(cost_of(genome, SETTINGS), {"macs": 10**9})


def test_a_point_under_way_is_taken_into_account(tmp_path):
    with search.create(tmp_path / "run", FEW_GENES) as study:
        advance(study, 5)
        waiting = study.propose()
    experiment, _ = storage.load(tmp_path / "run", mend=False)
    data = experiment.lookup_data()
    _, beside = ax_method.best_point(5, experiment, data)
    # The same data without it: the models are the same, the choice is not.
    experiment.trials[waiting.index].mark_failed()
    _, alone = ax_method.best_point(7, experiment, data)
    assert alone != beside
