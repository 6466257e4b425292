from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from candor.core.statistics import Estimate
from candor.report import wording
from candor.report.charts import Axis, Mark, Row, Series, line_chart, rows_chart, stacked_chart
from candor.report.svg import NARROW, WIDE, Drawing, figure, fitted, ticks


def shapes(drawing: Drawing) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(f"<g>{''.join(drawing.parts)}</g>"))


def numbers(element: ElementTree.Element, *names: str) -> list[float]:
    return [float(element.attrib[name]) for name in names]


def test_bars_are_as_long_as_their_values_and_whiskers_as_their_intervals():
    rows = [Row("half", Estimate(0.5, 0.4, 0.6, 10)), Row("whole", Estimate(1.0, None, None, 10))]
    elements = shapes(rows_chart(rows, WIDE, format=wording.percent))
    half, whole = (e for e in elements if e.tag == "rect")
    width = float(whole.attrib["width"])
    assert float(half.attrib["width"]) == pytest.approx(width / 2, abs=0.1)
    whiskers = [e for e in elements if e.attrib.get("class") == "whisker"]
    assert len(whiskers) == 3  # one line and two ends; none for the row without an interval
    x1, x2 = numbers(whiskers[0], "x1", "x2")
    assert x2 - x1 == pytest.approx(0.2 * width, abs=0.2)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_nothing_leaves_the_drawing_and_values_outside_the_axis_stop_at_its_end(width: float):
    rows = [
        Row("a very long label of a kind that someone chose " * 3, Estimate(3.0, -2.0, 9.0, 1), shape="dot")
    ]
    parts = [("a", "correct", 0.999), ("b", "incorrect", 0.001)]
    drawings = [
        rows_chart(rows, width, format=wording.percent, heading="H", reference=(0.5, "chance")),
        stacked_chart([("label" * 40, parts)], width, format=wording.percent),
        line_chart(
            width,
            Axis("x", 0, 1, wording.percent),
            Axis("y", 0, 1, wording.percent),
            series=[Series("s", [-5, 0.5, 7], [-1, 0.5, 4], "s0")],
            marks=[Mark("m", 9, -9, "s0", low=-20, high=20)],
        ),
    ]  # fmt: skip
    for drawing in drawings:
        for element in shapes(drawing):
            if element.tag == "line":
                xs, ys = numbers(element, "x1", "x2"), numbers(element, "y1", "y2")
            elif element.tag == "rect":
                x, y, w, h = numbers(element, "x", "y", "width", "height")
                xs, ys = [x, x + w], [y, y + h]
            elif element.tag == "path":
                points = re.findall(r"(-?[\d.]+) (-?[\d.]+)", element.attrib["d"])
                xs, ys = [float(a) for a, _ in points], [float(b) for _, b in points]
            else:
                continue
            assert all(-1 <= x <= width + 1 for x in xs), element.attrib
            assert all(-1 <= y <= drawing.height + 1 for y in ys), element.attrib


def test_labels_are_escaped_in_text_titles_and_attributes():
    rows = [Row('<script>&"', Estimate(0.5, None, None, 1), style='x" onload="alert(1)')]
    plot = figure("n", "<b>", '"&', lambda width: rows_chart(rows, width, format=wording.percent))
    root = ElementTree.fromstring(f"<div>{plot}</div>")
    assert not [e for e in root.iter() if e.tag in ("script", "b") or "onload" in e.attrib]
    assert '<script>&"' in [e.text for e in root.iter("text")]


def test_stacked_parts_fill_the_bar_in_proportion():
    drawing = stacked_chart(
        [("r", [("a", "correct", 1), ("b", "incorrect", 3)])], NARROW, format=wording.count
    )
    first, second = (float(e.attrib["width"]) + 1.5 for e in shapes(drawing) if e.tag == "rect")
    assert second == pytest.approx(3 * first, abs=0.2)
    assert first + second == pytest.approx(NARROW, abs=0.2)


def test_line_runs_from_corner_to_corner():
    axis = Axis("", 0, 1, wording.percent)
    drawing = line_chart(400, axis, axis, series=[Series("s", [0, 1], [0, 1], "s0")], diagonal=True)
    diagonal, line = (e.attrib["d"] for e in shapes(drawing) if e.tag == "path")
    assert line == diagonal


def test_ticks_are_round_and_inside():
    assert ticks(0, 1, 5) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(0, 1630, 5) == [0, 500, 1000, 1500]
    assert ticks(0.4, 1.0, 5) == [0.4, 0.6, 0.8, 1.0]
    assert ticks(3, 3) == [3]


def test_text_is_cut_to_fit():
    assert fitted("short", 100) == "short"
    assert len(fitted("x" * 100, 77)) == 10
    assert fitted("x" * 100, 77).endswith("…")


def test_numbers_are_worded_without_rounding_something_to_nothing():
    assert [wording.percent(x) for x in (0, 0.004, 0.843, 0.997, 1, None)] == [
        "0%",
        "0.4%",
        "84%",
        "99.7%",
        "100%",
        "–",
    ]
    assert wording.percent(-0.25) == "−25%"
    assert wording.percent(-0.0001, 1) == "0.0%"
    assert wording.full(Estimate(0.843, 0.8, 0.88, 1412)) == "84% (80% to 88%, n = 1,412)"
    assert wording.full(Estimate(0.5, None, None, 0)) == "50%"
    assert [wording.duration(s) for s in (1.44, 75.2, 3725)] == ["1.4 s", "1 min 15 s", "1 h 2 min"]
    assert wording.size(3221225472) == "3.0 GiB"
    assert [wording.plain(x) for x in (21.37, 1234.0, 3.0)] == ["21.4", "1,234", "3"]
    assert [wording.plain(x) for x in (2.4337e14, -1e9, 9.9e8)] == ["2.43·10¹⁴", "−1·10⁹", "990,000,000"]
    assert [wording.change(x) for x in (0.85534, -338810.79, 1e12)] == ["+0.855", "−338,811", "+1·10¹²"]
