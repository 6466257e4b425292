"""RLHF in its folder: a tiny policy, a reward model that counts letters, gold that dislikes one of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from candor.core.errors import CandorError, InputError
from candor.core.files import read_json, read_json_lines, read_jsonl, write_jsonl
from candor.core.progress import Reporter
from candor.core.recipe import read_recipe
from candor.core.run import Run
from candor.model.load import save_checkpoint
from candor.report import render_report
from candor.rewards.audit.log import Entry
from candor.rewards.foresight import Foreseen
from candor.rewards.model import RewardModel, load_reward, save_reward, train_reward
from candor.rewards.replies import Replies
from candor.rewards.rlhf import pipeline
from candor.rewards.rlhf.labels import labels_by_hand
from candor.rewards.rlhf.needs import need_variation
from candor.rewards.rlhf.pipeline import RlhfRun
from candor.rewards.rlhf.recipe import RlhfRecipe
from candor.rewards.rlhf.trials import Trials
from candor.rl.problem import Problem
from counting_rewards import LETTERS, TINY, counting_pairs, tiny

GOLD = """
def worth(problem, completion):
    return completion.count(problem.question[0]) - 2.0 * completion.count("h")
"""


class Parts:
    """A policy, a reward model, prompts and gold on disk."""

    def __init__(self, folder: Path) -> None:
        self.policy, self.reward = folder / "policy", folder / "reward"
        self.prompts, self.gold = folder / "prompts.jsonl", folder / "gold.py"
        model, tokenizer = tiny()
        save_checkpoint(model, tokenizer, self.policy)
        model, tokenizer = tiny(1)
        save_reward(train_reward(model, tokenizer, counting_pairs(60), TINY), self.reward)
        write_jsonl(self.prompts, [{"prompt": f"{a}{b}:"} for a in LETTERS for b in LETTERS])
        self.gold.write_text(GOLD)

    def recipe(self, **values) -> RlhfRecipe:
        options = {
            "model.name": str(self.policy), "model.dtype": "float32", "reward.model": str(self.reward),
            "prompts": str(self.prompts), "gold": f"{self.gold}:worth", "rl.steps": 4, "rl.prompts": 8,
            "rl.samples": 4, "rl.max_tokens": 5, "rl.held_out": 12, "rl.held_out_samples": 6,
            "rl.learning_rate": 2e-3, "rl.regularizer.reference_samples": 2, "calibration.prompts": 12,
            "calibration.cautious": False,
            "rl.checkpoint_seconds": 0, **values,
        }  # fmt: skip
        return read_recipe(RlhfRecipe, None, (), options)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return Parts(tmp_path_factory.mktemp("parts"))


def job(folder: Path, recipe: RlhfRecipe) -> RlhfRun:
    return RlhfRun(Run.start(folder, recipe), Reporter("quiet"))


@pytest.mark.parametrize(
    "regularizer", [{"name": "chi2"}, {"name": "max-min"}, {"name": "none"}, {"name": "kl", "weight": 0.1}]
)
def test_a_run_leaves_a_policy_a_log_that_can_be_audited_and_a_page(
    tmp_path: Path, parts: Parts, regularizer
):
    made = job(tmp_path / "run", parts.recipe(**{f"rl.regularizer.{k}": v for k, v in regularizer.items()}))
    made.complete()
    run = made.run
    entries = read_jsonl(run.path("log.jsonl"), Entry)
    assert {one.source for one in entries} == {"reference", "policy"} and len(entries) == 2 * 12 * 6
    assert all(one.gold is not None for one in entries)
    reference = [one for one in entries if one.source == "reference"]
    # E[ρ] = 1 under the reference: the log-probabilities are of the same events.
    ratios = np.exp([one.logp_policy - one.logp_reference for one in reference])
    assert abs(ratios.mean() - 1) < 6 * ratios.std() / np.sqrt(len(ratios)) + 0.02
    metrics, audit = read_json(run.path("metrics.json")), read_json(run.path("audit.json"))
    assert metrics["audit"] == audit and audit["state"] in audit["headline"] + audit["state"]
    calibration = metrics["calibration"]["found"]
    if regularizer["name"] == "chi2":
        assert metrics["weight"] == calibration["residual_sd"]
    steps = [row for _, row in read_json_lines(run.path("events.jsonl")) if row["event"] == "step"]
    assert [row["step"] for row in steps] == [1, 2, 3, 4]
    watched = regularizer["name"] in ("chi2", "max-min")
    assert all((row["chi2"] is not None) == watched for row in steps)
    assert not run.path("training").exists() and run.path("checkpoint/config.json").exists()
    page = render_report(run.folder).read_text()
    assert "Candor RLHF report" in page and "Reference" in page


def test_a_reward_that_labels_dont_speak_for_is_not_learned_from_in_good_faith(tmp_path: Path, parts: Parts):
    made = job(tmp_path / "run", parts.recipe(**{"calibration.cautious": True}))
    with pytest.raises(CandorError, match="don't show that the reward goes with gold at all") as caught:
        made.complete()
    assert "calibration.cautious=false" in str(caught.value.fix)


class KilledError(Exception):
    pass


def test_a_killed_run_goes_on_to_the_same_result(tmp_path: Path, parts: Parts, monkeypatch):
    whole, killed = (job(tmp_path / name, parts.recipe()) for name in ("whole", "killed"))
    whole.complete()
    real = pipeline._note

    def stop(step):
        if step.step == 3:
            raise KilledError
        return real(step)

    monkeypatch.setattr(pipeline, "_note", stop)
    with pytest.raises(KilledError):
        killed.complete()
    monkeypatch.undo()
    killed.run.close()
    again = job(tmp_path / "killed", parts.recipe())
    again.complete()
    for name in ("log.jsonl", "samples.jsonl", "calibration.json", "audit.json"):
        assert again.run.path(name).read_text() == whole.run.path(name).read_text(), name


def test_labels_are_asked_for_once_and_taken_from_the_file(tmp_path: Path, parts: Parts):
    recipe = parts.recipe(gold=None)
    first = job(tmp_path / "run", recipe)
    with pytest.raises(CandorError, match="found from gold labels, and there are none") as caught:
        first.complete()
    file = first.run.path("to-label.jsonl")
    assert str(file) in str(caught.value.fix) and "48 rows" in str(caught.value.fix)
    first.run.close()
    rows = [row for _, row in read_json_lines(file)]
    assert len(rows) == 12 * 4 and all(row["gold"] is None for row in rows)
    for row in rows[:-1]:
        row["gold"] = sum(letter in "abcd" for letter in row["completion"])
    write_jsonl(file, rows)
    again = job(tmp_path / "run", recipe)
    again.complete()
    assert read_json(again.run.path("calibration.json"))["labels"] == 47
    golden = [one.gold for one in read_jsonl(again.run.path("log.jsonl"), Entry)]
    assert sum(value is not None for value in golden) == 47
    again.run.close()
    rows[3]["gold"] = "good"
    write_jsonl(file, rows)
    with pytest.raises(InputError, match="expected a finite number, found 'good'") as caught:
        labels_by_hand(file, again._to_label())
    assert caught.value.line == 4 and caught.value.field == "gold"
    rows[3] |= {"gold": 1, "completion": rows[3]["completion"] + "!"}
    write_jsonl(file, rows[:4])
    with pytest.raises(InputError, match="is not the completion"):
        labels_by_hand(file, again._to_label())


def test_without_labels_a_weight_of_ones_own_will_do(tmp_path: Path, parts: Parts):
    made = job(tmp_path / "run", parts.recipe(gold=None, **{"rl.regularizer.weight": 0.2}))
    made.complete()
    assert read_json(made.run.path("metrics.json"))["weight"] == 0.2
    assert read_json(made.run.path("audit.json"))["state"] == "UNDETERMINED"


@pytest.mark.parametrize("how", [{"reward.transform": "par"}, {"reward.transform": "clip"}])
def test_transforms_are_calibrated_as_they_are(tmp_path: Path, parts: Parts, how):
    made = job(tmp_path / "run", parts.recipe(**how))
    made.complete()
    proxies = [one.proxy for one in read_jsonl(made.run.path("log.jsonl"), Entry)]
    sd = read_json(made.run.path("calibration.json"))["found"]["sd_proxy_overall"]
    if how["reward.transform"] == "par":
        assert min(proxies) > 0 and max(proxies) < 1 and sd < 0.5
    plain = job(tmp_path / "plain", parts.recipe())
    plain.reference()
    plain.calibrate()
    assert sd != read_json(plain.run.path("calibration.json"))["found"]["sd_proxy_overall"]


@pytest.mark.parametrize(
    ("values", "field"), [({"prompts": None}, "prompts"), ({"reward.model": ""}, "reward.model")]
)
def test_what_is_missing_is_named_before_any_work(tmp_path: Path, parts: Parts, values, field):
    with pytest.raises(InputError) as caught:
        job(tmp_path / "run", parts.recipe(**values))
    assert caught.value.field == field


def test_the_policy_has_to_be_drawn_from_as_it_is(parts: Parts):
    for name, value in (("rl.temperature", 0.7), ("rl.shots", 2)):
        with pytest.raises(CandorError, match=name):
            parts.recipe(**{name: value})


def test_the_verb_prints_where_things_are(tmp_path: Path, parts: Parts):
    from typer.testing import CliRunner

    from candor.cli.app import app

    out = tmp_path / "run"
    arguments = ["rlhf", "--model", str(parts.policy), "--reward", str(parts.reward)]
    arguments += [
        "--prompts",
        str(parts.prompts),
        "--gold",
        f"{parts.gold}:worth",
        "--out",
        str(out),
        "--json",
    ]
    for setting in (
        "calibration.cautious=false",
        "rl.steps=2",
        "rl.prompts=4",
        "rl.max_tokens=4",
        "rl.held_out=8",
        "model.dtype=float32",
    ):
        arguments += ["--set", setting]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    last = json.loads(done.stdout.strip().splitlines()[-1])
    assert Path(last["report"]).exists() and Path(last["checkpoint"]).is_dir()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"rl.std": True}, "rl.std has to be off with chi2"),
        ({"rl.std": True, "rl.regularizer.name": "max-min"}, "rl.std has to be off with max-min"),
        ({"rl.normalise": "sequence"}, "rl.normalise has to be token"),
        ({"rl.mask_truncated": True}, "rl.mask_truncated has to be off"),
        ({"rl.samples": 1}, "nothing to be compared with"),
    ],
)
def test_settings_under_which_the_weight_means_something_else_are_refused(parts: Parts, values, said):
    with pytest.raises(InputError, match=said):
        parts.recipe(**values)


def test_what_changes_no_unit_or_has_no_guarantee_stays_allowed(parts: Parts):
    parts.recipe(**{"rl.std": True, "rl.advantage": "reinforce++"})  # one factor for all rewards
    parts.recipe(**{"rl.std": True, "rl.regularizer.name": "kl", "rl.regularizer.weight": 0.1})
    parts.recipe(**{"rl.samples": 1, "rl.advantage": "reinforce++"})


def test_too_few_prompts_are_told_before_any_work(tmp_path: Path, parts: Parts):
    few = tmp_path / "few.jsonl"
    write_jsonl(few, [{"prompt": f"{letter}:"} for letter in "abc"])
    with pytest.raises(InputError, match="there are 3 prompts in it") as caught:
        job(tmp_path / "run", parts.recipe(prompts=str(few)))
    assert caught.value.path == few
    write_jsonl(few, [{"prompt": f"{letter}:"} for letter in "abcdefg"])
    with pytest.raises(
        CandorError, match="4 problems beside the 3 that are held out; a step wants 8"
    ) as told:
        job(tmp_path / "other", parts.recipe(prompts=str(few)))
    assert "rl.prompts=4" in str(told.value.fix)


def test_a_reward_model_that_tells_nothing_apart_is_told_at_once(tmp_path: Path, parts: Parts):
    reward = load_reward(parts.reward)
    assert isinstance(reward, RewardModel)
    reward.head.zero_()
    save_reward(reward, tmp_path / "constant")
    made = job(tmp_path / "run", parts.recipe(**{"reward.model": str(tmp_path / "constant")}))
    with pytest.raises(CandorError, match="the same reward, for every prompt"):
        made.complete()
    assert not made.run.done("reference")
    with pytest.raises(CandorError, match="gives 1 of 4 replies no finite number"):
        need_variation(np.array([[0.0, 1.0], [np.nan, 2.0]]), "r")


def test_max_min_without_a_correlation_says_what_the_labels_lack(tmp_path: Path, parts: Parts):
    opposed = tmp_path / "opposed.py"
    opposed.write_text("def worth(problem, completion):\n    return -completion.count(problem.question[0])\n")
    wanted = {"rl.regularizer.name": "max-min", "gold": f"{opposed}:worth"}
    made = job(tmp_path / "run", parts.recipe(**wanted))
    with pytest.raises(CandorError, match=r"goes with gold at all \(r over all prompts -0") as caught:
        made.complete()
    assert "calibration.cautious" not in str(caught.value.fix)  # the estimate is no better


def test_a_label_that_is_nan_is_not_taken_for_none(tmp_path: Path):
    file = tmp_path / "to-label.jsonl"
    wanted = Replies([Problem(id="1", question="q")], [["a", "b"]], [[(1,), (2,)]])
    file.write_text('{"completion": "a", "gold": 1}\n{"completion": "b", "gold": NaN}\n')
    with pytest.raises(InputError, match="expected a finite number, found nan") as caught:
        labels_by_hand(file, wanted)
    assert caught.value.line == 2


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"gold": "none.py:f"}, "none.py"),
        ({"gold": "nothing"}, "no reward model in a folder 'nothing'"),
        ({"reward.model": "rewrd"}, "rewrd: no reward model by that name"),
        ({"reward.model": "gold.py:worth"}, "no reward model by that name"),
        ({"reward.combine": "worst"}, "nothing to combine by 'worst'"),
    ],
)
def test_rewards_that_are_none_are_told_before_anything_is_drawn(tmp_path: Path, parts: Parts, values, said):
    with pytest.raises(CandorError, match=said):
        job(tmp_path / "run", parts.recipe(**values))
    with pytest.raises(CandorError, match="not a reward model"):
        job(tmp_path / "other", parts.recipe(**{"reward.model": str(parts.policy)}))


def test_what_has_no_weight_or_too_few_replies_is_told_by_the_recipe(parts: Parts):
    with pytest.raises(InputError, match="weight is needed with kl"):
        parts.recipe(**{"rl.regularizer.name": "kl"})
    with pytest.raises(InputError, match="held_out_samples has to be 2 or more"):
        parts.recipe(**{"rl.held_out_samples": 1})


def test_more_labels_are_read_where_the_first_ones_showed_nothing(tmp_path: Path, parts: Parts):
    """The stage that failed is not done: the same command goes on with what was added to the file."""
    recipe = parts.recipe(gold=None, **{"calibration.cautious": True})
    first = job(tmp_path / "run", recipe)
    with pytest.raises(CandorError, match="there are none yet"):
        first.complete()
    file = first.run.path("to-label.jsonl")
    rows = [row for _, row in read_json_lines(file)]
    rewards = first._proxy(first._reference_rewards()).of(*first._to_label().flat())
    for row, reward in list(zip(rows, rewards, strict=True))[:8]:  # of two prompts
        row["gold"] = float(reward)
    write_jsonl(file, rows)
    with pytest.raises(CandorError, match="don't show that the reward goes with gold at all"):
        first.complete()
    for row, reward in zip(rows, rewards, strict=True):
        row["gold"] = float(reward) + 0.01 * len(row["completion"])
    write_jsonl(file, rows)
    first.complete()
    assert read_json(first.run.path("calibration.json"))["labels"] == 48


def test_of_several_shares_that_policy_is_kept_whose_gain_labels_foresee(
    parts: Parts, tmp_path: Path
) -> None:
    shares = (1.0, 0.2, 0.01)
    recipe = parts.recipe(**{"calibration.shares": list(shares)})
    run = Run.start(tmp_path / "run", recipe)
    RlhfRun(run, Reporter("quiet")).complete()
    choice, metrics = read_json(run.path("choice.json")), read_json(run.path("metrics.json"))
    assert [one["share"] for one in choice["trials"]] == list(shares)
    lows = [one["foreseen"]["low"] for one in choice["trials"]]
    assert choice["share"] == shares[int(np.argmax(lows))] and len(set(lows)) == 3
    assert metrics["choice"] == choice
    weight = metrics["calibration"]["found"]["residual_sd"]  # with the estimate of λ, not its limit
    assert metrics["weight"] == pytest.approx(choice["share"] * weight)
    assert not run.path("training").exists() and run.path("checkpoint/config.json").exists()
    steps = [row for _, row in read_json_lines(run.path("events.jsonl")) if row["event"] == "step"]
    assert [(row["share"], row["step"]) for row in steps] == [(s, i) for s in shares for i in (1, 2, 3, 4)]
    # The policy that was kept is the one of that weight alone.
    alone = Run.start(tmp_path / "alone", parts.recipe(**{"calibration.shares": [choice["share"]]}))
    RlhfRun(alone, Reporter("quiet")).complete()
    kept, other = (read_jsonl(one.path("log.jsonl"), Entry) for one in (run, alone))
    assert kept == other
    assert [row for _, row in read_json_lines(run.path("samples.jsonl"))] == [
        row for _, row in read_json_lines(alone.path("samples.jsonl"))
    ]
    page = render_report(run.folder).read_text()
    assert "foresee of each policy" in page and "(kept)" in page
    assert "foresee of each policy" not in render_report(alone.folder).read_text()


def test_a_run_that_is_killed_between_two_shares_goes_on_with_what_is_left(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {"calibration.shares": [1.0, 0.2]}
    whole = Run.start(tmp_path / "whole", parts.recipe(**words))
    RlhfRun(whole, Reporter("quiet")).complete()
    killed = Run.start(tmp_path / "killed", parts.recipe(**words))
    trained = RlhfRun.trained

    def second_dies(self, share: float, on_step=None):
        if share < 1:
            raise KeyboardInterrupt
        return trained(self, share, on_step)

    monkeypatch.setattr(RlhfRun, "trained", second_dies)
    with pytest.raises(KeyboardInterrupt):
        RlhfRun(killed, Reporter("quiet")).complete()
    killed.close()
    monkeypatch.undo()
    again = RlhfRun(Run.open(tmp_path / "killed", RlhfRecipe), Reporter("quiet"))
    assert again.trials.remaining() == [0.2]
    again.complete()
    for name in ("choice.json", "audit.json"):
        assert read_json(again.run.path(name)) == read_json(whole.path(name))


def test_shares_of_a_weight_of_ones_own_need_labels_too(parts: Parts, tmp_path: Path) -> None:
    words = {
        "rl.regularizer.name": "kl",
        "rl.regularizer.weight": 0.5,
        "calibration.shares": [1, 0.1],
        "rl.steps": 1,
    }
    with pytest.raises(CandorError, match="gold labels"):
        RlhfRun(
            Run.start(tmp_path / "without", parts.recipe(**words, gold=None)), Reporter("quiet")
        ).complete()
    run = Run.start(tmp_path / "run", parts.recipe(**words))
    RlhfRun(run, Reporter("quiet")).complete()
    metrics = read_json(run.path("metrics.json"))
    assert metrics["weight"] == pytest.approx(0.5 * metrics["choice"]["share"])
    assert all(one["foreseen"]["labels"] == 48 for one in metrics["choice"]["trials"])


@pytest.mark.parametrize("gone", ["nothing", "checkpoint moved", "trials removed"])
def test_a_choice_is_kept_wherever_it_was_interrupted(tmp_path: Path, gone: str) -> None:
    trials = Trials(tmp_path, (1.0, 0.5))
    for share, low in ((1.0, 0.1), (0.5, 0.3)):
        (trials.of(share) / "checkpoint").mkdir(parents=True)
        (trials.of(share) / "checkpoint" / "weights").write_text(str(share))
        (trials.of(share) / "samples.jsonl").write_text(f"{share}\n")
        assert share in trials.remaining()
        trials.done(share, Foreseen(0.4, low, 9.0, 0.0, 20))
        assert share not in trials.remaining()
    if gone != "nothing":
        trials.choose()
        if gone == "checkpoint moved":  # and the rest is there again
            (trials.of(0.5)).mkdir(parents=True)
            (tmp_path / "samples.jsonl").replace(trials.of(0.5) / "samples.jsonl")
    assert trials.remaining() == []
    assert trials.choose()["share"] == 0.5
    assert (tmp_path / "checkpoint" / "weights").read_text() == "0.5"
    assert (tmp_path / "samples.jsonl").read_text() == "0.5\n"
    assert not (tmp_path / "training").exists() and trials.remaining() == []


@pytest.mark.parametrize(
    "words",
    [
        {"calibration.shares": []},
        {"calibration.shares": [1.0, 1.0]},
        {"calibration.shares": [0.0]},
        {"calibration.shares": [2.0]},
        {"calibration.shares": [1.0, 0.5], "rl.regularizer.name": "none"},
        {"calibration.shares": [0.5], "rl.regularizer.name": "max-min"},
    ],
)
def test_shares_that_mean_nothing_are_refused(parts: Parts, words: dict[str, object]) -> None:
    with pytest.raises(InputError, match="shares"):
        parts.recipe(**words)
