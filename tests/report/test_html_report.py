import base64
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

from spjax.report import ReportError, choose_pick, html_page, html_report, write_html
from tests.report.synthetic import HEADER, failed, row, stopped, study

_VOID = {"meta", "img", "br"}
_SVG = {"rect", "path", "polyline", "circle"}


class _Page(HTMLParser):
    """Checks that elements nest, and collects what the tests ask for."""

    def __init__(self, text):
        super().__init__()
        self.stack, self.tables, self.text, self.tags = [], {}, "", []
        self.feed(text)
        assert not self.stack

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if tag not in _VOID:
            self.stack.append(tag)
        if tag == "table":
            self.rows = self.tables[attrs["id"]] = []
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        assert tag in _SVG
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.stack and self.stack[-1] in ("td", "th"):
            self.rows[-1][-1] += data

    def attributes(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def rows():
    return study(30)


@pytest.fixture(scope="module")
def page(rows):
    return _Page(html_report(rows, HEADER))


def test_all_trials_are_in_the_table(page, rows):
    heads, *lines = page.tables["trials"]
    assert [int(line[0]) for line in lines] == [r["index"] for r in rows]
    column = heads.index("nonzero size B")
    for line, r in zip(lines, rows, strict=True):
        if r["status"] == "completed":
            assert line[column] == f"{r['model_size_nonzero']:,}"
        else:
            assert line[column] == "" and "failed: loss became NaN" in str(line)


def test_the_front_is_a_table_and_cards(page, rows):
    front = [r for r in rows if r["on_front"]]
    _, *lines = page.tables["front"]
    assert {int(line[0]) for line in lines} == {r["index"] for r in front}
    assert page.text.count("error %") >= len(front)
    assert len(page.attributes("details")) == len(front)
    kinds = [attrs.get("class") for attrs in page.attributes("tr")]
    pick = choose_pick(rows, HEADER)["index"]
    first = next(n for n, line in enumerate(lines) if int(line[0]) == pick)
    assert kinds.count("pick") == 1 and kinds.index("pick") == first + 1


def test_pictures_are_inside_the_page(page):
    images = page.attributes("img")
    assert len(images) == 2
    for image in images:
        kind, data = image["src"].split(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data).startswith(b"\x89PNG")


def test_the_page_loads_nothing(page):
    for _, attrs in page.tags:
        for name in ("src", "href"):
            if attrs.get(name):
                assert attrs[name].startswith("data:")
    assert not page.attributes("link")
    assert not [a for a in page.attributes("script") if a.get("src")]


def test_facts_and_models_are_told(page):
    for fact in ("digits for uno", "9f2c", "train 1198", "77.8", "0.10.2", "2048"):
        assert fact in page.text
    assert "indices" in page.text and "planned_arena" in page.text


def test_only_a_live_page_reloads_itself(page):
    assert not [a for a in page.attributes("meta") if a.get("http-equiv")]
    live = _Page(html_report([], HEADER, live=True, refresh_seconds=7))
    (meta,) = [a for a in live.attributes("meta") if a.get("http-equiv")]
    assert meta["http-equiv"] == "refresh" and meta["content"] == "7"
    assert "reloads itself" in live.text


def test_everything_from_the_run_is_escaped():
    evil = '</td><script>alert("x")</script>&'
    rows = [
        row(
            0, on_front=True, edit=evil, files={"genome": '"><script>', "weights": evil}
        ),
        failed(1, evil),
    ]
    rows[0]["genome"] = {"dense": [evil], "blocks": [{"convs": [{"kernel": evil}]}]}
    header = HEADER | {"dataset": {"name": evil}, "flags": {evil: evil}}
    history = {0: [{evil + "loss": 1.0}, {evil + "loss": 2.0}]}
    layers = {0: [{"name": evil, "input_output": 5}]}
    page = _Page(html_report(rows, header, history=history, layers=layers))
    # The parser would have met a second script element.
    assert len(page.attributes("script")) == 1
    assert f"failed: {evil}" in page.tables["trials"][2]
    assert evil in page.tables["trials"][1]


def test_cards_show_curves_memory_and_links():
    files = {
        "genome": "front/0/genome.json",
        "weights": "/absolute",
        "masks": "javascript:alert(1)",
    }
    rows = [row(0, on_front=True, files=files)]
    history = {0: [{"epoch": e, "loss": 1 / (e + 1), "error": 0.1} for e in range(5)]}
    layers = {0: [{"name": "Conv_0", "input_output": 700}]}
    bare = _Page(html_report(rows, HEADER))
    full = _Page(html_report(rows, HEADER, history=history, layers=layers))
    assert len(bare.attributes("svg")) == 1
    assert len(full.attributes("svg")) == 4
    assert len(full.attributes("polyline")) == 2
    assert "Conv_0" in full.text
    assert [a["href"] for a in full.attributes("a")] == ["front/0/genome.json"]


@pytest.mark.parametrize("rows", [[], [failed(0)]])
def test_without_a_completed_trial_there_is_still_a_page(rows):
    page = _Page(html_report(rows, HEADER))
    assert "No trial has been completed." in page.text
    assert ("trials" in page.tables) == bool(rows)


def test_a_header_with_the_models_alone_is_enough():
    header = {"memory_model": "live_bytes"}
    assert "live_bytes B" in _Page(html_report(study(5), header)).text
    with pytest.raises(ReportError, match="memory_model"):
        html_report([], {})


def test_the_file_is_utf8(tmp_path):
    header = HEADER | {"dataset": {"name": "数字 ÷"}}
    write_html(tmp_path / "report.html", study(5), header)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "数字 ÷" in text and '<meta charset="utf-8">' in text


_DOM = """
const cell = (text, v) => ({ textContent: text, dataset: v === null ? {} : { v } });
const rows = INPUT.map(([text, v]) => ({ cells: [cell(text, v)] }));
// As in a browser, data attributes hold text.
const data = new Proxy({}, { set: (d, k, v) => { d[k] = String(v); return true; } });
const head = { dataset: data, removeAttribute() { delete this.dataset.sort; },
  addEventListener(_, f) { this.click = f; } };
const store = {};
const body = { rows, append(...r) { this.rows = r; } };
globalThis.sessionStorage = { getItem: (k) => store[k] ?? null,
  setItem(k, v) { store[k] = v; } };
globalThis.document = { querySelectorAll: () => [
  { id: "t", tHead: { rows: [{ cells: [head] }] }, tBodies: [body] }] };
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node to run the script")
@pytest.mark.parametrize(
    ("cells", "rising"),
    [
        ([("10", "10.0"), ("9", "9.0"), ("", ""), ("1e3", "1000.0")], [1, 0, 3, 2]),
        ([("pear", None), ("apple", None), ("", None), ("fig", None)], [1, 3, 0, 2]),
    ],
)
def test_the_script_sorts_both_ways_with_empty_cells_last(cells, rising):
    text = html_page.page("t", [], None)
    script = re.search(r"<script>(.*)</script>", text, re.DOTALL)[1]
    show = (
        "console.log(JSON.stringify(body.rows.map((r) => rows.indexOf(r))), store.t);"
    )
    program = _DOM.replace("INPUT", json.dumps(cells)) + script
    program += f"head.click(); {show} head.click(); {show}"
    done = subprocess.run(
        ["node", "-e", program], capture_output=True, text=True, check=True
    )
    up, down = done.stdout.split("\n")[:2]
    assert up == f"{json.dumps(rising, separators=(',', ':'))} [0,1]"
    falling = [*rising[-2::-1], rising[-1]]
    assert down == f"{json.dumps(falling, separators=(',', ':'))} [0,-1]"


def test_a_further_reading_has_a_card_with_its_own_layers():
    rows = [row(3, on_front=True), row(3, reading=1, on_front=True)]
    layers = {
        3: [{"name": "own_layer", "input_output": 10}],
        (3, 1): [{"name": "further_layer", "input_output": 8}],
    }
    text = html_report(rows, HEADER, layers=layers)
    assert "trial 3:" in text and "trial 3-1:" in text
    assert (
        text.index("own_layer") < text.index("trial 3-1:") < text.index("further_layer")
    )


def test_a_stopped_trial_is_in_the_table_and_on_no_card():
    text = html_report([row(0, on_front=True), stopped(1)], HEADER)
    assert "stopped: after 10 of 30 epochs" in text and "1 stopped early" in text
    assert text.count('<details class="card') == 1


def test_a_live_page_is_drawn_quickly_and_shows_the_same_points(rows):
    volumes = np.linspace(0.1, 0.4, len(rows))
    rows = [
        r | {"hypervolume": v, "elapsed": 60.0 * r["index"]}
        for r, v in zip(rows, volumes, strict=True)
    ]
    live = _Page(html_report(rows, HEADER, live=True))
    done = [r for r in rows if r["status"] == "completed"]
    assert len(live.attributes("circle")) >= len(done)
    assert not live.attributes("img")
    charts = [a["aria-label"] for a in live.attributes("svg")]
    assert charts.count("front") == 1 and charts.count("curves") == 2
    for words in ("trial", "minutes", "hypervolume"):
        assert words in live.text
    final = _Page(html_report(rows, HEADER))
    assert live.tables == final.tables


def test_cards_show_who_occupies_the_memory():
    buffers = [{"name": "in", "bytes": 64, "offset": 0, "first": 0, "last": 0}]
    timeline = {"arena": 64, "steps": ["s"], "alive": [64], "buffers": buffers}
    header = HEADER | {"memory_model": "planned_arena"}
    rows = [row(0, on_front=True), row(0, reading=1, on_front=True)]
    page = _Page(html_report(rows, header, timelines={(0, 1): timeline}))
    assert page.text.count("planned_arena 64 bytes of 2,048") == 1
