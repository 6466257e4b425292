"""Figures of how well confidence tells right from wrong: scores, risk and coverage, layers, calibration."""

from __future__ import annotations

from candor.report import wording
from candor.report.charts import Axis, Mark, Row, Series, line_chart
from candor.report.evidence import Evidence, estimate_of, number_of
from candor.report.plotted import Figure, bounds, rows_figure
from candor.report.svg import figure, legend

# One style a score wherever it appears; the rest take what is left, in order.
SCORE_STYLES = {"probe": "s0", "token_probability": "s1", "agreement": "s2", "p_true": "s3"}
SPARE_STYLES = ("s4", "s5", "s6", "s7")
CURVE_POINTS = 160  # more are not visible at 800 px and only weigh the page down
FEWEST_ANSWERED = 10  # a risk of fewer answers is noise: curves start here


def scores(evidence: Evidence) -> Figure | None:
    """AUROC of every score as dots with intervals."""
    styles = score_styles(evidence)
    rows = []
    for name, row in evidence.table("scores").items():
        estimate = estimate_of(row.get("auroc")) if isinstance(row, dict) else None
        if estimate:
            label = str(row.get("label") or wording.humanised(name))
            rows.append(Row(label, estimate, styles[name], "dot"))
    if not rows:
        return None
    rows.sort(key=lambda row: -(row.estimate.value or 0))
    low = min(0.5, *(bounds(row.estimate)[0] for row in rows))
    plot = rows_figure(
        "scores", "AUROC of every confidence score", rows,
        low=max(0.0, int(low * 10) / 10), kind="score", axis="tenths", reference=(0.5, "chance"),
    )  # fmt: skip
    return Figure(plot, "Telling right from wrong answers of the original model. 95% intervals.")


def risk_coverage(evidence: Evidence) -> Figure | None:
    """Risk against coverage for every score that ranks answers."""
    styles = score_styles(evidence)
    series = []
    for name, curve in evidence.table("curves", "risk_coverage").items():
        points = _points(curve)
        if points:
            label = evidence.text("scores", name, "label") or wording.humanised(name)
            xs, ys = zip(*points, strict=True)
            series.append(Series(label, xs, ys, styles.get(name, "s7")))
    if not series:
        return None
    marks = []
    for way in evidence.rows("abstention", "ways"):
        right, wrong = estimate_of(way.get("correct")), estimate_of(way.get("incorrect"))
        answered = (right.value or 0) + (wrong.value or 0) if right and wrong else 0
        if wrong and answered > 0 and way.get("name") == "IDK tuning":
            risk = (wrong.value or 0) / answered
            words = f"The tuned model: {wording.percent(risk)} wrong of {wording.percent(answered)} answered"
            marks.append(Mark(words, answered, risk, "mark"))
    high = min(1.0, max(max(line.ys) for line in series) * 1.04) or 1.0
    x = Axis("share of questions answered", 0, 1, wording.percent)
    y = Axis("share of answers that are wrong", 0, high, wording.percent)
    words = "; ".join(
        f"{line.label}: {wording.percent(_nearest(line, 0.25))} wrong when a quarter is answered, "
        f"{wording.percent(_nearest(line, 0.5))} when half is"
        for line in series
    )
    plot = figure(
        "risk-coverage",
        "Risk against coverage",
        words,
        lambda width: line_chart(width, x, y, series=series, marks=marks),
    )
    entries = [(line.label, f"stroke {line.style}", "line") for line in series]
    entries += [("The tuned model as it answers", "fill mark", "diamond")] if marks else []
    caption = (
        "The original model answers only the questions it is most confident about. A good confidence keeps "
        "the line low on the left; a useless one is flat."
    )
    return Figure(plot, caption, legend(entries))


def layers(evidence: Evidence) -> Figure | None:
    """Held-out AUROC of the linear probe on every layer, with the token-probability line."""
    rows = []
    for row in evidence.rows("probe", "layers"):
        layer, estimate = number_of(row.get("layer")), estimate_of(row.get("auroc"))
        if layer is not None and estimate:
            rows.append((layer, estimate))
    if not rows:
        return None
    rows.sort(key=lambda row: row[0])
    xs = [layer for layer, _ in rows]
    values = [e.value or 0.0 for _, e in rows]
    probe = Series("Probe", xs, values, "s0", [e.low for _, e in rows], [e.high for _, e in rows])
    token = evidence.estimate("scores", "token_probability", "auroc")
    levels = [(token, "s1")] if token else []
    best = number_of(evidence.at("probe", "best_layer"))
    marks = [
        Mark(f"Layer {layer:.0f}: {wording.full(e, 'score')}", layer, e.value or 0.0, "s0", "dot", 3.5)
        for layer, e in rows
    ]
    chosen = next((e for layer, e in rows if layer == best), None)
    if best is not None and chosen:
        marks.append(
            Mark(
                f"Chosen layer {best:.0f}: {wording.full(chosen, 'score')}",
                best,
                chosen.value or 0.0,
                "mark",
                radius=8,
            )
        )
    everything = [e for _, e in rows] + ([token] if token else [])
    floor = min(min(e.value or 0.0, e.low if e.low is not None else 1.0) for e in everything)
    y = Axis("AUROC", max(0.0, min(0.5, int(floor * 20) / 20)), 1.0, lambda v: f"{v:.1f}")
    x = Axis(
        "layer (0: the embedding)", min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1, wording.plain, 6
    )
    words = f"The probe's AUROC runs from {min(values):.3f} to {max(values):.3f} over {len(rows)} layers."
    if chosen:
        words += f" Layer {best:.0f}, chosen on the validation split, has {wording.full(chosen, 'score')}."
    if token:
        words += f" Token probability has {wording.full(token, 'score')}."
    plot = figure(
        "layers",
        "AUROC of a linear probe by layer",
        words,
        lambda width: line_chart(width, x, y, series=[probe], marks=marks, levels=levels),
    )
    entries = [("Linear probe", "stroke s0", "line")]
    entries += [("Layer chosen on validation", "fill mark", "diamond")] if chosen else []
    entries += [("Token probability", "stroke s1", "line")] if token else []
    caption = (
        "How well a linear probe on the last prompt token, before a word is written, tells right from wrong "
        "answers on held-out documents. 0.5 is chance, 1 is perfect; bands are 95% intervals."
    )
    return Figure(plot, caption, legend(entries))


def across_kinds(evidence: Evidence) -> Figure | None:
    """AUROC on each type of question when the probe never saw that type."""
    rows = []
    for row in evidence.rows("probe", "across_kinds"):
        estimate = estimate_of(row.get("auroc"))
        if estimate:
            label = wording.humanised(str(row.get("kind", "")))
            rows.append(Row(f"{label} (n = {estimate.n})" if estimate.n else label, estimate, "s0", "dot"))
    if not rows:
        return None
    rows.sort(key=lambda row: -(row.estimate.value or 0))
    low = min(0.5, *(bounds(row.estimate)[0] for row in rows))
    plot = rows_figure(
        "kinds", "AUROC on types of question that the probe was not trained on", rows,
        low=max(0.0, int(low * 10) / 10), kind="score", axis="tenths", reference=(0.5, "chance"),
    )  # fmt: skip
    overall = evidence.estimate("probe", "across_kinds_overall")
    total = f" All together: {wording.full(overall, 'score')}." if overall else ""
    return Figure(plot, f"Each type is left out of the probe's training and then scored.{total}")


def reliability(evidence: Evidence) -> Figure | None:
    """Accuracy against confidence of the probe."""
    return reliability_figure(evidence, ("probe",), "questions")


def reliability_figure(
    evidence: Evidence, keys: tuple[str, ...], things: str, *, low: float = 0.0
) -> Figure | None:
    """Accuracy against stated confidence, from rows `reliability` and the error `ece` at a path of keys.

    Args:
        evidence: of the run.
        keys: the path.
        things: what a dot holds many of.
        low: least confidence that can be stated.
    """
    marks, words = [], []
    listed = evidence.rows(*keys, "reliability")
    most = max((number_of(row.get("n")) or 0 for row in listed), default=0) or 1
    for row in listed:
        stated, accuracy = number_of(row.get("confidence")), number_of(row.get("accuracy"))
        if stated is None or accuracy is None:
            continue
        n = number_of(row.get("n")) or 0
        label = f"said {wording.percent(stated)}, right {wording.percent(accuracy)}, n = {n:.0f}"
        radius = 3 + 8 * (n / most) ** 0.5
        marks.append(
            Mark(
                label, stated, accuracy, "s0", "dot", radius,
                number_of(row.get("low")), number_of(row.get("high")),
            )
        )  # fmt: skip
        words.append(label)
    if not marks:
        return None
    x = Axis("stated confidence", low, 1, wording.percent)
    y = Axis("share right", low, 1, wording.percent)
    plot = figure(
        "reliability",
        "Accuracy against stated confidence",
        "; ".join(words),
        lambda width: line_chart(width, x, y, marks=marks, diagonal=True, height=min(width, 380)),
    )
    error = evidence.estimate(*keys, "ece")
    total = f" Expected calibration error {wording.full(error, 'score')}." if error else ""
    caption = f"On the dashed line, stated confidence is honest. Larger dots hold more {things}.{total}"
    return Figure(plot, caption)


def score_styles(evidence: Evidence) -> dict[str, str]:
    """The line style of each score's name, the same in every figure."""
    names = [*evidence.table("scores"), *evidence.table("curves", "risk_coverage")]
    rest = list(dict.fromkeys(name for name in names if name not in SCORE_STYLES))
    spare = {name: SPARE_STYLES[min(i, len(SPARE_STYLES) - 1)] for i, name in enumerate(rest)}
    return SCORE_STYLES | spare


def _points(curve: object) -> list[tuple[float, float]]:
    if not isinstance(curve, dict):
        return []
    coverage, risk = curve.get("coverage"), curve.get("risk")
    if not isinstance(coverage, list) or not isinstance(risk, list):
        return []
    points = [
        (x, y)
        for a, b in zip(coverage, risk, strict=False)
        if (x := number_of(a)) is not None and (y := number_of(b)) is not None
    ]
    if len(points) > 4 * FEWEST_ANSWERED:
        points = points[FEWEST_ANSWERED - 1 :]
    return points[:: max(1, len(points) // CURVE_POINTS)] + points[-1:]


def _nearest(line: Series, x: float) -> float:
    return min(zip(line.xs, line.ys, strict=True), key=lambda point: abs(point[0] - x))[1]
