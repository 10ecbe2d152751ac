import pytest
from absl import flags
from absl.testing import flagsaver

from experiments import bench_population
from spjax import data, genomes
from tests.experiments import small


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["bench_population"])
    return data.load(small.write_npz(tmp_path_factory.mktemp("data") / "small.npz"))


def test_a_population_is_measured_as_so_many_genomes(dataset, monkeypatch):
    genome, genes = bench_population.draw(dataset, 3, 0)
    genomes.validate(genome, dataset.input_shape)
    assert len(genes) == 3
    assert {g.pruning for g in genes} <= set(genomes.MAGNITUDE_KINDS)
    assert bench_population.draw(dataset, 3, 0) == (genome, genes)
    small_one = genomes.Genome(downsample=2)
    with flagsaver.as_parsed(population_epochs="2"):
        for way in ("one by one", 2):
            whole, epochs = bench_population.measure(way, small_one, genes, dataset)
            # Without compilation two epochs take less than the whole.
            assert 0 < 2 * whole < epochs


def test_ratios_are_of_the_same_repeat():
    found = {
        "one by one": [(10.0, 100.0), (20.0, 100.0), (40.0, 100.0)],
        4: [(20.0, 50.0), (40.0, 50.0), (80.0, 50.0)],
    }
    first, rule, alone, four = bench_population.table(found)
    assert first.count("|") == rule.count("|") == four.count("|") == 6
    assert alone.split(" | ")[1:3] == ["20 [15, 30]", "1.00 [1.00, 1.00]"]
    assert four == (
        "| 4 at once | 40 [30, 60] | 2.00 [2.00, 2.00] | 50 [50, 50] | "
        "0.50 [0.50, 0.50] |"
    )
