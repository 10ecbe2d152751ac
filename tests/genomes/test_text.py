import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spjax import genomes
from spjax.genomes import Block, Conv, Genome, GenomeError, Pool, Training
from tests.genomes.strategies import GENOMES, PROPERTY

# Written by hand: texts that people keep must go on being read, and keep their name.
TEXT = """
{"version": 1, "downsample": 2, "blocks": [{"convs": [
  {"kind": "downsampled", "kernel": 5, "channels": 22, "stride": 1,
   "padding": "VALID", "batch_norm": false, "relu": true, "reduction": 0.25},
  {"kind": "separable", "kernel": 1, "channels": 3, "stride": 2,
   "padding": "SAME", "batch_norm": true, "relu": false, "reduction": 0.5}],
  "residual": false, "pool": {"kind": "max", "window": 3}, "branch": 7}],
 "input_branch": 9, "dense": [10, 20],
 "training": {"learning_rate": 0.00123, "pruning": "channel", "sparsity": 0.9}}
"""
GENOME = Genome(
    downsample=2,
    blocks=(
        Block(
            convs=(
                Conv("downsampled", 5, 22, 1, "VALID", False, True, 0.25),
                Conv("separable", 1, 3, 2, "SAME", True, False, 0.5),
            ),
            residual=False,
            pool=Pool("max", 3),
            branch=7,
        ),
    ),
    input_branch=9,
    dense=(10, 20),
    training=Training(0.00123, "channel", 0.9),
)


def _leaves(value):
    if dataclasses.is_dataclass(value):
        value = dataclasses.astuple(value)
    if isinstance(value, tuple):
        return [leaf for entry in value for leaf in _leaves(entry)]
    return [(type(value), value)]


def test_a_text_by_hand():
    assert genomes.from_json(TEXT) == GENOME
    assert json.loads(genomes.to_json(GENOME)) == json.loads(TEXT)


@PROPERTY
@given(GENOMES, st.sampled_from([None, 0, 2]))
def test_round_trip_is_exact_in_value_and_type(genome, indent):
    back = genomes.from_json(genomes.to_json(genome, indent))
    assert back == genome
    assert _leaves(back) == _leaves(genome)


def test_numpy_floats_are_written_as_numbers():
    genome = Genome(training=Training(learning_rate=np.float64(0.1) + 0.2))
    assert '"learning_rate": 0.30000000000000004' in genomes.to_json(genome)


def test_indentation():
    assert "\n" not in genomes.to_json(GENOME)
    assert genomes.to_json(GENOME, indent=2).startswith('{\n  "version": 1,')


def _tree(**changes):
    tree = json.loads(TEXT)
    tree.update(changes)
    return tree


def _without(*path):
    tree = json.loads(TEXT)
    inner = tree
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return tree


def _with(value, *path):
    tree = json.loads(TEXT)
    inner = tree
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return tree


CORRUPT = [
    (_without("version"), "has no field 'version'"),
    (_tree(version=2), "has version 2: this library reads version 1"),
    (_tree(version=True), "has version True"),
    (_tree(version=1.0), "has version 1.0"),
    (_without("dense"), "has no field 'dense'"),
    (_without("blocks", 0, "pool"), "has no field 'blocks[0].pool'"),
    (_without("blocks", 0, "pool", "window"), "no field 'blocks[0].pool.window'"),
    (_without("blocks", 0, "convs", 1, "relu"), "no field 'blocks[0].convs[1].relu'"),
    (_without("training", "sparsity"), "has no field 'training.sparsity'"),
    (_tree(extra=1), "has an unknown field 'extra'"),
    (_with(1, "training", "decay"), "has an unknown field 'training.decay'"),
    (_tree(blocks={}), "blocks must be a JSON array, not an object"),
    (_tree(blocks=[1]), "blocks[0] must be a JSON object, not a number"),
    (_with("x", "blocks", 0, "convs"), "blocks[0].convs must be a JSON array"),
    (
        _with(None, "blocks", 0, "pool"),
        "blocks[0].pool must be a JSON object, not null",
    ),
    (_tree(training=[]), "training must be a JSON object, not an array"),
    (_tree(dense=3), "dense must be a JSON array, not a number"),
    (_tree(dense=[1.5]), "dense[0] = 1.5 must be an integer"),
    (_tree(dense=[True]), "dense[0] = True must be an integer"),
    (_tree(blocks=[]), "blocks = () must be a tuple of 1 to 3 entries"),
    (_with(float("nan"), "training", "sparsity"), "training.sparsity = nan must be"),
    (_with(10**4000, "blocks", 0, "branch"), "blocks[0].branch = 1000"),
    ([], "must be a JSON object, not an array"),
    ("text", "must be a JSON object, not a string"),
    (True, "must be a JSON object, not a boolean"),
]


@pytest.mark.parametrize(("tree", "message"), CORRUPT)
def test_a_wrong_text_says_what_is_wrong(tree, message):
    with pytest.raises(GenomeError) as error:
        genomes.from_json(json.dumps(tree))
    assert message in str(error.value)


@pytest.mark.parametrize(
    "text",
    ["", "{", TEXT[:200], "[" * 100_000, "1" * 5000, b"\xff\xff", None, 3, TEXT + "}"],
)
def test_what_is_no_json(text):
    with pytest.raises(GenomeError, match="genome text is not JSON"):
        genomes.from_json(text)


def test_a_repeated_field():
    text = TEXT.replace('"downsample": 2', '"downsample": 2, "downsample": 3')
    with pytest.raises(GenomeError, match="has the field 'downsample' twice"):
        genomes.from_json(text)


@PROPERTY
@given(st.data())
def test_a_damaged_text_is_read_or_refused(data):
    text = genomes.to_json(GENOME)
    start = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 12))
    patch = data.draw(st.text(alphabet='{}[]",:-.0123456789etrufalsN', max_size=6))
    try:
        genome = genomes.from_json(text[:start] + patch + text[start + length :])
    except GenomeError as error:
        assert str(error)
    else:
        assert genomes.from_json(genomes.to_json(genome)) == genome


def test_the_name_is_stable():
    assert genomes.genome_id(GENOME) == "c2ca62977164"
    code = (
        "from spjax import genomes;"
        f"print(genomes.genome_id(genomes.from_json({TEXT!r})))"
    )
    # Another process, where strings hash differently.
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == genomes.genome_id(GENOME)


def test_the_name_is_the_canonical_genome_s():
    other = dataclasses.replace(
        GENOME, training=dataclasses.replace(GENOME.training, sparsity=0.90001)
    )
    assert genomes.genome_id(other) == genomes.genome_id(GENOME)
    other = dataclasses.replace(GENOME, input_branch=10)
    assert genomes.genome_id(other) != genomes.genome_id(GENOME)


@PROPERTY
@given(GENOMES, GENOMES)
def test_names_differ_as_canonical_genomes_do(a, b):
    same = genomes.canonical(a) == genomes.canonical(b)
    assert (genomes.genome_id(a) == genomes.genome_id(b)) == same
    assert len(genomes.genome_id(a)) == 12
    int(genomes.genome_id(a), 16)
