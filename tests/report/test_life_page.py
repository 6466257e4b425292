"""Verdicts of a life's claims follow from recorded numbers, whichever way they went."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from candor.core.statistics import Estimate
from candor.report import render_report
from candor.report.evidence import Evidence
from candor.report.life_claims import FAILS, HOLDS, MISSING, UNDECIDED, above, below, claims_of, together

HOSTILE = "<script>alert(1)</script>"


def estimate(value: float, reach: float = 0.05, n: int = 100) -> dict[str, float]:
    return {"value": value, "low": value - reach, "high": value + reach, "n": n}


def verdicts(stage: str, metrics: dict[str, Any], bandit: dict[str, Any] | None = None) -> dict[str, str]:
    evidence = Evidence(Path("run"), metrics=metrics)
    return {claim.name: claim.verdict for claim in claims_of({stage: evidence}, bandit or {})}


def test_intervals_decide_and_numbers_without_items_are_exact() -> None:
    one, other = Estimate(0.7, 0.6, 0.8, 50), Estimate(0.5, 0.4, 0.59, 50)
    assert (above(one, other), above(other, one), below(other, one)) == (HOLDS, FAILS, HOLDS)
    assert above(one, Estimate(0.65, 0.5, 0.75, 50)) == UNDECIDED
    assert (above(one, 0.5), above(one, 0.7), above(one, 0.9)) == (HOLDS, UNDECIDED, FAILS)
    assert above(Estimate(2.0, None, None, 0), Estimate(1.0, None, None, 0)) == HOLDS
    assert above(Estimate(2.0, None, None, 1), 1.0) == UNDECIDED  # one item has no interval
    assert above(None, 1.0) == below(one, None) == MISSING
    assert together(HOLDS, HOLDS) == HOLDS and together(UNDECIDED, FAILS, HOLDS) == FAILS
    assert together(FAILS, MISSING) == MISSING and together(HOLDS, UNDECIDED) == UNDECIDED


def compression(ours: float) -> dict[str, Any]:
    return {
        "compression": [
            {"name": "this model", "bits_per_byte": estimate(ours, 0.1)},
            {"name": "xz -9e", "bits_per_byte": 2.67},
        ],
        "recall": {
            "facts": [{"times": times, "right": estimate(right)} for times, right in ((0, 0.05), (300, 0.97))]
        },
    }


@pytest.mark.parametrize(("ours", "verdict"), [(2.15, HOLDS), (2.6, UNDECIDED), (3.1, FAILS)])
def test_a_base_model_is_compared_with_xz(ours: float, verdict: str) -> None:
    assert verdicts("base", compression(ours)) == {"base-compresses": verdict, "base-repeats": HOLDS}


def test_facts_that_are_never_stated_are_the_comparison() -> None:
    metrics = compression(2.0)
    metrics["recall"]["facts"][1]["right"] = estimate(0.08)
    assert verdicts("base", metrics)["base-repeats"] == UNDECIDED
    del metrics["recall"]["facts"][0]
    assert verdicts("base", metrics)["base-repeats"] == MISSING


@pytest.mark.parametrize(
    ("same", "gap", "verdict"),
    [(1.0, 2e-6, HOLDS), (0.9, 2e-6, FAILS), (1.0, 2e-2, FAILS), (None, None, MISSING)],
)
def test_one_other_text_or_log_probability_is_no_agreement(
    same: float | None, gap: float | None, verdict: str
) -> None:
    metrics = {} if same is None else {"same": estimate(same), "largest_difference": gap, "tokens": 9}
    assert verdicts("serve", metrics) == {"serve-agrees": verdict}


@pytest.mark.parametrize(("change", "verdict"), [(-1.0, HOLDS), (0.02, UNDECIDED), (0.4, FAILS)])
def test_a_reply_has_to_cost_less_after_tuning(change: float, verdict: str) -> None:
    loss = {"before": estimate(3.0), "after": estimate(3.0 + change), "change": estimate(change)}
    assert verdicts("chat", {"loss": loss}) == {"chat-learned": verdict}


def knowledge(cut: float, kept: float, invented: float, auroc: float) -> dict[str, Any]:
    return {
        "before": {"incorrect": estimate(0.74)},
        "after": {"incorrect": estimate(0.15)},
        "change": {"wrong_cut": estimate(cut), "right_kept": estimate(kept)},
        "invented": {"refused_before": estimate(0.6), "refused_after": estimate(invented)},
        "scores": {"probe": {"auroc": estimate(auroc)}},
    }


def test_refusing_everything_does_not_pass_for_knowledge() -> None:
    assert set(verdicts("knowledge", knowledge(0.8, 0.78, 0.92, 0.89)).values()) == {HOLDS}
    refuses = verdicts("knowledge", knowledge(1.0, 0.0, 1.0, 0.5))
    assert refuses["knowledge-cut"] == HOLDS and refuses["knowledge-kept"] == FAILS
    assert refuses["knowledge-inside"] == UNDECIDED
    # More than half are refused, but they were before, too.
    assert verdicts("knowledge", knowledge(0.8, 0.78, 0.62, 0.89))["knowledge-invented"] == UNDECIDED


def thought(right: float, steps: float, at_once: float) -> dict[str, Any]:
    before = {"accuracy": estimate(0.18), "reasoned": estimate(0.09), "at_once": estimate(0.1)}
    after = {"accuracy": estimate(right), "reasoned": estimate(steps), "at_once": estimate(at_once)}
    return {"before": before, "after": after}


def test_steps_have_to_be_what_makes_it_better() -> None:
    assert set(verdicts("think", thought(0.99, 0.99, 0.1)).values()) == {HOLDS}
    found = verdicts("think", thought(0.99, 0.02, 0.99))
    assert found == {"think-right": HOLDS, "think-steps": UNDECIDED, "think-forbidden": UNDECIDED}


def arm(name: str, proxy: float, truth: float) -> dict[str, Any]:
    return {"arm": name, "after": {"proxy_change": estimate(proxy), "gold_change": estimate(truth)}}


def test_hacking_is_a_proxy_that_rises_and_a_truth_that_falls() -> None:
    arms = [arm("none", 3.0, -1.0), arm("kl=0.1", 1.0, -0.2), arm("chi2", 1.0, 0.3)]
    exact = {"families": [{"settings": 200, "chi2_above_reference": 200, "hacked_without": estimate(0.4)}]}
    found = verdicts("rewards", {"arms": arms}, exact)
    assert found == {"rewards-hacked": HOLDS, "rewards-held": HOLDS, "rewards-exact": HOLDS}
    arms[0], arms[2] = arm("none", 3.0, 0.5), arm("chi2", 1.0, -0.3)
    exact["families"][0]["chi2_above_reference"] = 199
    found = verdicts("rewards", {"arms": arms}, exact)
    assert found == {"rewards-hacked": FAILS, "rewards-held": FAILS, "rewards-exact": FAILS}
    assert set(verdicts("rewards", {"arms": []}).values()) == {MISSING}


def write_life(folder: Path, stages: dict[str, dict[str, Any]]) -> Path:
    folder.mkdir()
    (folder / "recipe.toml").write_text('kind = "life"\n')
    done = {name: {"seconds": 61.0} for name in stages}
    failed = {"chat": {"message": HOSTILE, "fix": "mend it"}}
    (folder / "manifest.json").write_text(json.dumps({"stages": done, "failed": failed}))
    for name, metrics in stages.items():
        (folder / name).mkdir()
        (folder / name / "recipe.toml").write_text("")
        (folder / name / "metrics.json").write_text(json.dumps(metrics))
    return folder


def test_a_life_that_is_half_done_has_a_page_and_data(tmp_path: Path) -> None:
    base = {**compression(2.15), "samples": [{"prompt": HOSTILE, "drawn": HOSTILE}]}
    folder = write_life(tmp_path / "life", {"base": base, "think": thought(0.99, 0.99, 0.1)})
    page = render_report(folder).read_text(encoding="utf-8")
    assert "5 of 5 claims hold; 9 not measured yet." in page
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "What to do: mend it." in page and "2 stages in 2 min 2 s." in page
    data = json.loads((folder / "report.json").read_text())
    assert {stage["name"]: stage["status"] for stage in data["stages"]} == {
        "base": "done", "serve": "not done yet", "chat": "failed", "knowledge": "not done yet",
        "think": "done", "rewards": "not done yet",
    }  # fmt: skip
    first = data["claims"][0]
    assert (first["name"], first["verdict"]) == ("base-compresses", HOLDS)
    assert first["values"][0] == {"label": "bits per byte", "format": "score", **estimate(2.15, 0.1)}
    assert first["measured"].startswith("bits per byte: 2.150 (2.050 to 2.250, n = 100); xz -9e: 2.670")
    for claim in data["claims"]:
        assert f'href="#{claim["name"]}"' in page and f'id="{claim["name"]}"' in page


def test_a_life_without_any_stage_has_a_page(tmp_path: Path) -> None:
    page = render_report(write_life(tmp_path / "life", {})).read_text(encoding="utf-8")
    assert "This life has no results yet." in page
