"""The laboratory: its world, its arms, and a small run of it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from candor.core.errors import InputError
from candor.core.files import read_json
from candor.core.progress import Reporter
from candor.core.recipe import read_recipe
from candor.core.run import Run
from candor.report import render_report
from candor.rewards.hacking.pipeline import HackingRun
from candor.rewards.hacking.recipe import HackingRecipe
from candor.rewards.hacking.world import Questions, reply, worth
from candor.rewards.rlhf.arms import Arm


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", 0),
        ("abc", 3),
        ("abd", 1.5),
        ("aa", 0),
        ("abc!", 3.5),
        ("abc!!", 2.5),
        ("!!!", -1.5),
        ("abcabc", 0),
    ],
)
def test_worth_by_hand(text: str, value: float):
    assert worth("abc:", text) == value


def test_harm_is_what_each_repetition_costs():
    assert worth("abc:", "aab!!", 3.0) == 1 - 3 + 1 + 0.5 - 3


def test_what_the_reference_learns_from_seldom_repeats_and_seldom_thanks_twice():
    draw, asked = random.Random(0), [one.question for one in Questions().problems(220, 0)]
    texts = [reply(draw.choice(asked), draw) for _ in range(4000)]
    assert len(asked) == len(set(asked)) == 220
    points = [text.replace("!", "") for text in texts]
    assert 0.05 < sum(len(set(one)) < len(one) for one in points) / 4000 < 0.2
    assert 0 < sum("!!" in text for text in texts) / 4000 < 0.03


@pytest.mark.parametrize("spec", ["kl", "kl=0", "kl=x", "none=1", "chi2=-1", "chi3", "par=2"])
def test_an_arm_that_is_none_is_told(spec: str):
    with pytest.raises(InputError):
        Arm.of(spec)


def test_arms_are_read():
    assert Arm.of("kl=0.1") == Arm("kl", 0.1) and Arm.of("chi2") == Arm("chi2", None)
    assert Arm.of("par+chi2") == Arm("par+chi2", None)


SMALL = (
    'arms=["none", "chi2", "par", "worst", "best-of", "pessimism"]', "model.depth=1", "model.width=32",
    "pretrain.updates=20", "preferences.pairs=40", "preferences.members=2", "rl.steps=2", "rl.prompts=4",
    "rl.samples=2", "rl.held_out=8", "labels.prompts=10", "judged=4", "reward.epochs=1",
)  # fmt: skip


def test_a_run_has_every_arm_and_a_killed_one_keeps_those_that_are_done(tmp_path: Path):
    recipe = read_recipe(HackingRecipe, None, SMALL, {})
    made = HackingRun(Run.start(tmp_path / "run", recipe), Reporter("quiet"))
    made.complete()
    metrics = read_json(made.run.path("metrics.json"))
    assert [row["arm"] for row in metrics["arms"]] == ["none", "chi2", "par", "worst", "best-of", "pessimism"]
    for row in metrics["arms"]:
        trained = row["arm"] not in ("best-of", "pessimism")
        assert [step["step"] for step in row["steps"]] == [1, 2] * trained
        assert row["after"]["gold_change"]["n"] == 8 and row["calibration"]["n"] == 40
    # All arms are of one reference: what its replies are worth does not depend on the arm.
    assert len({row["after"]["gold_before"] for row in metrics["arms"][:4]}) == 1
    kept = {folder.name for folder in made.run.path("policies").iterdir()}
    assert kept == {"none", "chi2", "par", "worst"}
    assert len(made.run.path("questions.txt").read_text().splitlines()) == 8
    page = render_report(made.run.folder).read_text()
    assert "Change of true worth" in page and "par" in page
    made.run.close()
    file = made.run.path("arms/chi2.json")
    kept = made.run.path("arms/none.json").stat().st_mtime_ns
    was = read_json(file)
    file.unlink()
    again = HackingRun(Run.open(tmp_path / "run", HackingRecipe), Reporter("quiet"))
    again.learn()
    now = read_json(file)
    assert now["after"] == was["after"] and now["steps"] == was["steps"]
    assert made.run.path("arms/none.json").stat().st_mtime_ns == kept
