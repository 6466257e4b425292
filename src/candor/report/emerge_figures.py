"""The plots of a run in which chain of thought emerges."""

from __future__ import annotations

from candor.report.charts import Row
from candor.report.curves import Curve, curve
from candor.report.evidence import Evidence
from candor.report.plotted import Figure, rows_figure
from candor.report.svg import legend

_ONSET = Curve(
    "onset",
    "Right answers and steps while right answers are rewarded",
    "share of a step’s completions",
    (("accuracy", "right"), ("reasoned", "with steps")),
    "Of each step’s completions, drawn at temperature 1. Nothing rewards steps, length or a format.",
)
_LENGTH = Curve(
    "emerging-length",
    "Length of completions while right answers are rewarded",
    "tokens",
    (("tokens", "mean"), ("longest", "longest")),
    "An answer at once has one character and the end; a worked one has as many steps as the question.",
)
_MEASURES = {
    "accuracy": "Right, drawn",
    "greedy_accuracy": "Right, likeliest",
    "at_once": "Right, steps forbidden",
    "reasoned": "With steps",
}


def onset(evidence: Evidence) -> Figure | None:
    """Share of right completions and of those with steps, by step of RL."""
    return curve(_ONSET, evidence.rows("steps"))


def length(evidence: Evidence) -> Figure | None:
    """Tokens of completions, by step of RL."""
    return curve(_LENGTH, evidence.rows("steps"))


def compared(evidence: Evidence) -> Figure | None:
    """What held-out questions get before and after."""
    rows = []
    for key, label in _MEASURES.items():
        for moment, style in (("before", "s1"), ("after", "s0")):
            estimate = evidence.estimate(moment, key)
            if estimate:
                rows.append(Row(f"{label}, {moment}", estimate, style))
    if not rows:
        return None
    plot = rows_figure("emerged", "Held-out questions before and after the reward", rows)
    caption = "Questions that were in neither training. Steps are forbidden by taking their first character."
    return Figure(plot, caption, legend([("before", "fill s1", "box"), ("after", "fill s0", "box")]))
