"""A run's folder with one small trained-looking network, made without a search."""

import json

import numpy as np
import pytest

from experiments import _results
from spjax import data, deploy, genomes, networks, report, search
from tests.deploy import tiny_model
from tests.experiments import small

GENOME = genomes.Genome(
    blocks=(
        genomes.Block(
            convs=(genomes.Conv(kernel=3, channels=4),), pool=genomes.Pool("max", 2)
        ),
    ),
    dense=(6,),
)
INDEX = 7

need = tiny_model.need


def write(folder, *, change=lambda flat: None):
    """Writes the run; ``change`` may edit its weights, by path."""
    (folder / "data").mkdir(parents=True)
    name = small.write_npz(folder / "data" / "small.npz")
    dataset = data.load(name)
    shape, classes = dataset.input_shape, dataset.num_classes
    variables = networks.init_variables(GENOME, shape, classes, seed=1)
    flat = networks.flatten(variables)
    rng = np.random.default_rng(0)
    for path, array in flat.items():
        if path.endswith("kernel"):
            flat[path] = np.where(rng.random(array.shape) < 0.5, array, 0)
    change(flat)
    variables = networks.unflatten(flat)
    network = search.deployed_folder(folder, INDEX)
    network.mkdir(parents=True)
    (network / "genome.json").write_text(genomes.to_json(GENOME))
    networks.save_tree(network / "weights.npz", variables)
    flags = {
        "dataset": name,
        "data_dir": None,
        "image_size": None,
        "grey": False,
        "split_seed": 0,
    }
    head = _results.header(
        dataset,
        deploy.get_board("uno"),
        memory_model="planned_arena",
        size_model="nonzero",
        seed=0,
        flags=flags,
        started="2026-01-01T00:00:00+00:00",
    )
    row = {
        "index": INDEX,
        "status": "completed",
        "genome": json.loads(genomes.to_json(GENOME)),
        "validation_error": 0.25,
        "sparsity": 0.5,
        "feasible": True,
        "on_front": True,
        **search.measure(GENOME, variables, shape, classes),
    }
    report.write_best(folder / "best.json", row, head)
    report.write_front(folder / "front.json", head, [row])
    return folder


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return write(tmp_path_factory.mktemp("run"))
