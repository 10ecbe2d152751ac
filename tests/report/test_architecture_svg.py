import dataclasses
import re
from xml.etree import ElementTree

import pytest

from spjax.genomes.genome import Block, Conv, Genome, Pool
from spjax.report import architecture_svg


def _parse(genome, classes=10):
    root = ElementTree.fromstring(architecture_svg(dataclasses.asdict(genome), classes))
    boxes = [tuple(float(e.get(k)) for k in ("x", "y")) for e in root.iter("rect")]
    words = {}
    for text in root.iter("text"):
        x = float(text.get("x"))
        words.setdefault((x, float(text.get("y")) > 90), []).append(text.text)
    return root, boxes, words


def test_one_box_per_layer_from_left_to_right():
    block = Block(convs=(Conv(), Conv("separable", 5, 12, 2)), pool=Pool("max", 3))
    genome = Genome(downsample=2, blocks=(block,), dense=(32, 16))
    _, boxes, words = _parse(genome)
    assert [" ".join(lines) for _, lines in sorted(words.items())] == [
        "image mean 2x2",
        "conv 3x3 8 channels bn relu",
        "sep. 5x5 /2 12 channels bn relu",
        "max 3x3",
        "dense 32 relu",
        "dense 16 relu",
        "classes 10",
    ]
    assert len(boxes) == 7 and len({y for _, y in boxes}) == 1
    steps = {round(b - a, 6) for (a, _), (b, _) in zip(boxes, boxes[1:], strict=False)}
    assert len(steps) == 1


def test_side_branches_stand_below_their_source():
    blocks = (Block(branch=7), Block(pool=Pool("average"), branch=9))
    _, boxes, words = _parse(Genome(blocks=blocks, input_branch=5))
    low = {x: lines[1] for (x, is_low), lines in words.items() if is_low}
    high = {x: lines[0] for (x, is_low), lines in words.items() if not is_low}
    assert {high[x]: units for x, units in low.items()} == {
        "image": "5",
        "conv 3x3": "7",
        "average": "9",
    }
    assert len(boxes) == 5 + 3


def test_a_residual_is_an_arc_over_two_convolutions():
    block = Block(convs=(Conv(), Conv(), Conv()), residual=True)
    root, boxes, _ = _parse(Genome(blocks=(block,)))
    (arc,) = [e for e in root.iter("path") if e.get("stroke-dasharray")]
    start, _, top, end, _ = map(float, re.findall(r"[\d.]+", arc.get("d")))
    (image, _), (first, _), (second, _), (third, y), _ = boxes
    assert image < start < first and second < end < third and top < y
    plain, *_ = _parse(Genome(blocks=(Block(convs=(Conv(), Conv())),)))
    assert not [e for e in plain.iter("path") if e.get("stroke-dasharray")]


@pytest.mark.parametrize("units", [0, 4])
def test_everything_lies_inside_the_picture(units):
    genome = Genome(blocks=(Block(branch=units),) * 3, input_branch=units)
    root, boxes, _ = _parse(genome)
    width, height = float(root.get("width")), float(root.get("height"))
    assert root.get("viewBox") == f"0 0 {width:g} {height:g}"
    assert all(0 <= x <= width - 84 and 0 <= y <= height - 50 for x, y in boxes)
    for path in root.iter("path"):
        for point in re.findall(r"V([\d.]+)", path.get("d")):
            assert 0 < float(point) < height


def test_words_are_escaped_and_nothing_is_loaded():
    text = architecture_svg({"dense": ["<script>&"]})
    ElementTree.fromstring(text)
    assert "&lt;script&gt;&amp;" in text and "href" not in text and "url(" not in text


@pytest.mark.parametrize("genome", [None, {}])
def test_no_genome_no_picture(genome):
    assert architecture_svg(genome) == ""


def test_shapes_stand_under_their_boxes():
    block = Block(convs=(Conv(), Conv("separable")), pool=Pool("max", 2))
    genome = dataclasses.asdict(Genome(blocks=(block, Block()), dense=(5,)))
    layers = [
        {"name": "block0_conv0/conv", "output_shape": [1, 28, 28, 8]},
        {"name": "block0_conv1/depthwise", "output_shape": [1, 14, 14, 8]},
        {"name": "block0_conv1/pointwise", "output_shape": [1, 14, 14, 3]},
        {"name": "block0_pool", "output_shape": [1, 7, 7, 3]},
        # Of the second block nothing is known.
        {"name": "dense0", "output_shape": [1, 4]},
        {"name": "classifier", "output_shape": [1, 10]},
    ]
    root = ElementTree.fromstring(architecture_svg(genome, 10, layers))
    boxes = [float(e.get("x")) for e in root.iter("rect")]
    shapes = {
        round(float(e.get("x")) - 2, 6): e.text
        for e in root.iter("text")
        if e.get("text-anchor") == "start"
    }
    expected = ["28x28x8", "14x14x3", "7x7x3", None, "4", "10"]
    assert [shapes.get(x) for x in boxes] == [None, *expected]
