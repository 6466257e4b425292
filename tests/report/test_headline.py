"""A run's headline without its page is the one that its page begins with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape

from candor.report.evidence import Evidence, number_of
from candor.report.headline import headline_of
from candor.report.page import report_text


def estimate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 50}


METRICS: dict[str, dict[str, Any]] = {
    "knowledge": {"before": {"incorrect": estimate(0.6)}, "after": {"incorrect": estimate(0.2)}},
    "base": {"compression": [{"name": "this model", "bits_per_byte": estimate(1.5)}]},
    "chat": {"loss": {"before": estimate(5.0), "after": estimate(2.0)}},
    "rl": {"before": {"accuracy": estimate(0.2)}, "after": {"accuracy": estimate(0.8)}},
    "reward": {"held_out": {"accuracy": estimate(0.8)}, "distrust": {"accuracy": estimate(0.5)}},
    "audit": {"state": "Gamed", "headline": "The proxy rose and gold fell."},
    "rlhf": {"audit": {"state": "Gamed", "headline": "The proxy rose and gold fell."}},
}


@pytest.mark.parametrize("kind", METRICS)
def test_it_is_what_stands_at_the_top_of_the_page(kind: str) -> None:
    evidence = Evidence(Path("run"), metrics=METRICS[kind], recipe=f'kind = "{kind}"')
    headline = headline_of(evidence)
    assert "no results" not in headline
    assert f"<h1>{escape(headline)}</h1>" in report_text(evidence)


def test_without_metrics_there_is_none_and_a_kind_of_its_own_may_write_one() -> None:
    assert headline_of(Evidence(Path("run"), recipe='kind = "base"')) == ""
    metrics = {"headline": "A whole life."}
    assert headline_of(Evidence(Path("run"), metrics=metrics, recipe='kind = "life"')) == "A whole life."


def test_a_whole_number_that_no_float_holds_is_none() -> None:
    assert number_of(json.loads("1" + "0" * 400)) is None
    assert number_of(json.loads("1" + "0" * 30)) == 1e30
