from __future__ import annotations

import itertools
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from synthetic_run import NASTY

from candor.core.errors import InputError
from candor.report import page, render_report
from candor.report.evidence import Evidence, read_evidence

VOID = {"meta", "link", "input", "br", "img", "hr"}


class Page(HTMLParser):
    """Elements in order, with the text of each script; unbalanced tags raise."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.stack: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert not self.stack, self.stack

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack and self.stack[-1] == tag, (tag, self.stack)
        self.stack.pop()

    def handle_data(self, data):
        if self.stack and self.stack[-1] == "script":
            self.scripts[-1] += data
        elif not self.stack or self.stack[-1] != "style":
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


@pytest.fixture(scope="module")
def text(run: Path) -> str:
    return (run / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def parsed(text: str) -> Page:
    return Page(text)


def test_page_is_one_file_that_asks_for_nothing(text: str, parsed: Page):
    assert len(text.encode()) < 1_000_000
    for tag, attributes in parsed.elements:
        for name in ("src", "href", "action", "data", "srcset", "poster", "xlink:href"):
            value = attributes.get(name) or ""
            assert value == "" or value.startswith("#") or value == "data:,", (tag, name, value)
    style = re.search(r"<style>(.*?)</style>", text, re.S)
    assert style is not None
    assert "url(" not in style[1] and "@import" not in style[1]
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|WebSocket|sendBeacon", parsed.scripts[1])
    policy = next(a["content"] for a in parsed.all("meta") if a.get("http-equiv"))
    assert "default-src 'none'" in policy


def test_only_the_two_own_scripts_exist_and_no_handler_or_image_came_in_with_the_texts(parsed: Page):
    assert len(parsed.scripts) == 2
    assert not parsed.all("img")
    assert not [a for _, a in parsed.elements if any(name.startswith("on") for name in a)]


def test_questions_survive_the_embedding_unchanged(run: Path, parsed: Page):
    rows = json.loads(parsed.scripts[0])
    items = read_evidence(run).items
    assert len(rows) == len(items) == 420
    assert [row["q"] for row in rows] == [item["question"] for item in items]
    assert [row["b"] for row in rows] == [[i["before"]["text"], i["before"]["verdict"]] for i in items]
    assert [rows[10 + i]["b"][0] for i in range(len(NASTY))] == NASTY


def test_data_can_not_end_its_script_element():
    rows = [{"question": "</script><!--<script>", "before": {"text": "\ud800 & \u2028"}}]
    data, count = page.question_data(rows)
    assert count == 1
    assert not re.search("[<>&\u2028\u2029]", data)
    assert json.loads(data)[0]["q"] == "</script><!--<script>"
    data.encode("utf-8")


def test_too_many_questions_are_thinned_evenly_and_the_page_says_so(monkeypatch, run: Path):
    monkeypatch.setattr(page, "TABLE_BYTES", 30_000)
    evidence = read_evidence(run)
    data, count = page.question_data(evidence.items)
    assert len(data) < 40_000
    rows = json.loads(data)
    assert len(rows) == count < 420
    every = -(-420 // count)
    assert [row["q"] for row in rows] == [item["question"] for item in evidence.items[::every]]
    assert f"{count} of 420 questions" in Page(page.render_page(evidence)).text()


def test_page_of_thirty_thousand_hostile_questions_stays_under_eight_megabytes(tmp_path: Path):
    item = {
        "question": "<" * 300,
        "before": {"text": "&" * 900, "verdict": "correct"},
        "after": {"text": "é" * 900},
    }
    text = page.render_page(Evidence(tmp_path, items=[item] * 30_000))
    assert len(text.encode()) < 8_000_000


def test_headline_and_tiles_state_the_numbers_with_interval_and_n(run: Path, parsed: Page):
    metrics = read_evidence(run).metrics
    before, after = metrics["before"]["incorrect"], metrics["after"]["incorrect"]
    words = parsed.text()
    assert f"Wrong answers went from {before['value']:.0%} to {after['value']:.0%}" in words
    assert f"{after['low']:.0%} to {after['high']:.0%}, n = 420" in words
    kept = metrics["change"]["right_kept"]
    assert f"{kept['value']:.0%} of the right ones were kept" in words
    assert "The paired interval excludes zero" in words


def test_every_plot_has_a_title_and_a_description_with_its_numbers(text: str, parsed: Page):
    plots = [a for a in parsed.all("svg") if (a.get("class") or "").startswith("plot")]
    assert len(plots) == 2 * 14  # each wide and narrow
    ids = [a["id"] for _, a in parsed.elements if a.get("id")]
    assert len(ids) == len(set(ids))
    for plot in plots:
        assert plot["role"] == "img"
        for label in (plot["aria-labelledby"] or "").split():
            assert label in ids
    descriptions = re.findall(r"<desc[^>]*>(.*?)</desc>", text, re.S)
    assert len(descriptions) == len(plots)
    assert all(re.search(r"\d", words) for words in descriptions)


def test_headings_are_nested_and_sections_are_named(parsed: Page):
    levels = [int(tag[1]) for tag, _ in parsed.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    ids = {a.get("id") for _, a in parsed.elements}
    assert all(section["aria-labelledby"] in ids for section in parsed.all("section"))
    links = [a["href"] for a in parsed.all("a")]
    assert all(link is not None and link[1:] in ids for link in links)


def test_form_fields_have_labels(text: str):
    for field in re.findall(r"<(?:input|select)[^>]*>", text):
        identity = re.search(r'id="([^"]+)"', field)
        assert identity is not None
        assert re.search(rf'<label[^>]*>[^<]+<(?:input|select)[^>]*id="{identity[1]}"', text)


def test_examples_cover_every_outcome_that_occurs(run: Path, parsed: Page):
    items = read_evidence(run).items
    pairs = {f"{i['before']['verdict']}|{i['after']['verdict']}" for i in items}
    options = {a["value"] for a in parsed.all("option") if a.get("value")}
    assert pairs <= options
    words = parsed.text()
    assert "Wrong before, now says “I don’t know”: the aim" in words
    assert "Right before, now refused: the cost" in words


def test_commands_recipe_versions_and_memory_are_shown(parsed: Page):
    words = parsed.text()
    for expected in (
        "candor knowledge evaluate RUN",
        "max_over_refusal = 0.10",
        "2.13.0",
        "3.9 GiB",
        "10 min 4 s",
    ):
        assert expected in words


def test_a_run_without_hidden_states_says_why_there_is_no_curve(run: Path):
    evidence = read_evidence(run)
    metrics = {key: value for key, value in evidence.metrics.items() if key != "probe"}
    words = Page(page.render_page(Evidence(evidence.run, metrics, evidence.items))).text()
    assert "no hidden states" in words
    assert "AUROC of a linear probe by layer" not in words
    assert "Wrong answers went from" in words


DAMAGES = ("missing", None, [], {}, "text", 7, [1], {"value": None, "low": None, "high": None, "n": 0})


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_any_missing_or_null_part_is_left_out_without_an_error(run: Path, depth: int):
    evidence = read_evidence(run)
    whole = json.loads(json.dumps(evidence.metrics))
    whole["probe"]["layers"] = whole["probe"]["layers"][:3]  # less to draw, nothing less to miss
    whole["curves"]["risk_coverage"] = {"probe": {"coverage": [0.1, 1.0], "risk": [0.2, 0.5]}}
    paths = [(key,) for key in whole]
    for _ in range(depth - 1):
        paths = [
            (*path, key)
            for path in paths
            if isinstance(reached(whole, path), dict)
            for key in reached(whole, path)
        ]
    assert len(paths) > 15
    for index, path in enumerate(paths):
        # Several damages to every part at the top; below, they take turns.
        for turn in range(index, index + (3 if depth == 1 else 1)):
            damage = DAMAGES[turn % len(DAMAGES)]
            metrics = json.loads(json.dumps(whole))
            parent = reached(metrics, path[:-1])
            if damage == "missing":
                del parent[path[-1]]
            else:
                parent[path[-1]] = damage
            page.render_page(Evidence(evidence.run, metrics, evidence.items[:5], evidence.manifest))


def reached(value, path):
    for key in path:
        value = value[key]
    return value


def test_an_unfinished_run_has_a_page_that_says_so(tmp_path: Path):
    (tmp_path / "recipe.toml").write_text('model = "smollm2"\n')
    words = Page(render_report(tmp_path).read_text(encoding="utf-8")).text()
    assert "This run has no results yet." in words
    assert "has not been evaluated yet" in words
    assert 'model = "smollm2"' in words


def test_rows_without_answers_do_not_break_the_page(tmp_path: Path):
    evidence = Evidence(
        tmp_path,
        items=[{}, {"question": None, "before": "text", "after": {"verdict": "odd"}, "confidence": "high"}],
    )
    words = Page(page.render_page(evidence)).text()
    assert "All questions" in words


def test_a_folder_that_is_no_run_is_refused_with_a_fix(tmp_path: Path):
    with pytest.raises(InputError, match="not a run folder"):
        render_report(tmp_path)
    with pytest.raises(InputError, match="no such run folder"):
        render_report(tmp_path / "nowhere")


def test_damaged_files_are_named(run: Path, tmp_path: Path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "metrics.json").write_text("{")
    with pytest.raises(InputError, match=r"metrics\.json:1"):
        render_report(copy)
    (copy / "metrics.json").write_text("[]")
    with pytest.raises(InputError, match="expected a JSON object"):
        render_report(copy)


def test_rendering_twice_gives_the_same_bytes(run: Path, text: str):
    assert page.render_page(read_evidence(run)) == text
