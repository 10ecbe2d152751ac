from xml.etree import ElementTree

import numpy as np
import pytest

from spjax.report import timeline_svg


def _buffer(name, size, offset, first, last, given=False):
    return {
        "name": name,
        "bytes": size,
        "offset": offset,
        "first": first,
        "last": last,
        "given": given,
    }


_TIMELINE = {
    "arena": 300,
    "steps": ["conv", "pool", "dense"],
    "alive": [300, 250, 60],
    "buffers": [
        _buffer("image", 100, 200, 0, 0, given=True),
        _buffer("conv", 200, 0, 0, 1),
        _buffer("pool", 50, 250, 1, 2),
        _buffer("dense", 10, 0, 2, 2),
        _buffer("nothing", 0, 0, 0, 2),
    ],
}


def _blocks(text):
    root = ElementTree.fromstring(text)
    blocks = {}
    for rect in root.iter("rect"):
        name = rect.findtext("title").split(":")[0]
        blocks[name] = [float(rect.get(k)) for k in ("x", "y", "width", "height")]
    return root, blocks


def test_blocks_are_bytes_by_steps_to_scale():
    _, blocks = _blocks(timeline_svg(_TIMELINE))
    assert sorted(blocks) == ["conv", "dense", "image", "pool"]
    bytes_of = {b["name"]: b["bytes"] for b in _TIMELINE["buffers"]}
    scales = [blocks[name][3] / bytes_of[name] for name in blocks]
    np.testing.assert_allclose(scales, scales[0], rtol=0.02)
    # Neighbours in the memory touch; nothing that lives at once lies on another.
    assert blocks["image"][1] + blocks["image"][3] == pytest.approx(blocks["conv"][1])
    assert blocks["conv"][2] + 2 == pytest.approx(2 * (blocks["image"][2] + 2))
    assert blocks["pool"][0] - blocks["image"][0] == pytest.approx(
        blocks["image"][2] + 2
    )
    # Both reach the ground.
    ground = [blocks[n][1] + blocks[n][3] for n in ("conv", "dense")]
    assert ground[0] == pytest.approx(ground[1])


def test_words_name_the_model_the_steps_and_the_peak():
    root, _ = _blocks(timeline_svg(_TIMELINE, 2048))
    words = {e.text: e for e in root.iter("text")}
    assert "planned_arena 300 bytes of 2,048" in words
    assert {"conv", "pool", "dense", "250", "60"} <= set(words)
    bold = [e.text for e in root.iter("text") if e.get("font-weight") == "bold"]
    assert bold == ["300"]
    assert "planned_arena 300 bytes" in timeline_svg(_TIMELINE)


def test_the_image_has_a_colour_of_its_own():
    root, _ = _blocks(timeline_svg(_TIMELINE))
    fills = {
        r.findtext("title").split(":")[0]: r.get("fill") for r in root.iter("rect")
    }
    assert fills["image"] not in (fills["conv"], fills["pool"], fills["dense"])


def test_nothing_is_nothing_and_names_are_escaped():
    assert timeline_svg(None) == ""
    assert timeline_svg({"arena": 0, "steps": [], "alive": [], "buffers": []}) == ""
    evil = _TIMELINE | {
        "steps": ["<b>", "&", '"'],
        "buffers": [_buffer("<", 9, 0, 0, 0)],
    }
    root, _ = _blocks(timeline_svg(evil))
    assert "<b>" in [e.text for e in root.iter("text")]
