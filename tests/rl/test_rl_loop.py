"""RL on a task that a tiny random model can learn: it does, and it does so the same however it is run."""

from __future__ import annotations

import json
import os
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from candor.core.errors import CandorError
from candor.rl.loop import RlStep, train_policy
from candor.rl.measure import pass_at_k
from candor.rl.settings import RlSettings
from parity_task import FirstWord, Parity
from processes import in_two
from torchrun import program
from word_models import word_engine

FAST = {
    "steps": 6,
    "prompts": 8,
    "samples": 8,
    "max_tokens": 3,
    "learning_rate": 5e-3,
    "held_out": 16,
    "evaluate_every": 3,
    "seed": 1,
}

KL = {"regularizer": {"name": "kl", "weight": 0.05}}
CHI2 = {"regularizer": {"name": "chi2", "weight": 0.3, "reference_samples": 2}}


def run(folder: Path | None = None, on_step=None, force: bool = False, **settings):
    engine = word_engine()
    return train_policy(
        engine.model,
        engine.tokenizer,
        Parity(),
        FirstWord(),
        RlSettings(**{**FAST, **settings}),
        folder=folder,
        on_step=on_step,
        force=force,
    )


def weights_of(model) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def assert_same(left, right) -> None:
    for name, value in weights_of(left).items():
        torch.testing.assert_close(value, weights_of(right)[name], rtol=0, atol=0, msg=name)


def test_rewarding_right_answers_makes_them_likelier_and_the_engine_draws_from_what_is_trained():
    result = run(steps=40, prompts=16, evaluate_every=0)
    before, after = result.before.summary(), result.after.summary()
    assert 0.3 < before["accuracy"]["value"] < 0.7
    assert after["accuracy"]["value"] > 0.9
    change = result.after.since(result.before)["accuracy"]
    assert change["low"] > 0.2 and change["n"] == 16
    assert [one.step for one in result.history] == list(range(1, 41))
    # Float32: what the engine said of a token when it drew it is what the training pass says.
    gaps = [one.mismatch for one in result.history if one.mismatch is not None]
    assert len(gaps) > 10 and max(gaps) < 1e-4
    assert result.history[-1].entropy < result.history[0].entropy


class KilledError(Exception):
    pass


@pytest.mark.parametrize("settings", [{}, {"updates": 2, "passes": 2, "warmup": 3, **KL}, CHI2])
def test_killed_and_continued_equals_unkilled(tmp_path: Path, settings):
    whole = run(**settings)

    def stop(metrics: RlStep, _) -> None:
        if metrics.step == 5:
            raise KilledError

    with pytest.raises(KilledError):
        run(tmp_path, stop, checkpoint_seconds=0, **settings)
    again = run(tmp_path, checkpoint_seconds=0, **settings)
    assert again.resumed_from == 4
    assert_same(again.model, whole.model)
    for one, other in zip(again.history, whole.history, strict=True):
        timed = ("rollout_seconds", "update_seconds", "tokens_per_second")
        assert {**vars(one), **dict.fromkeys(timed)} == {**vars(other), **dict.fromkeys(timed)}
    assert [h.as_json() for h in again.held_out] == [h.as_json() for h in whole.held_out]
    assert [h.step for h in whole.held_out] == [0, 3, 6]


def test_another_run_is_not_continued(tmp_path: Path):
    def stop(metrics: RlStep, _) -> None:
        if metrics.step == 2:
            raise KilledError

    with pytest.raises(KilledError):
        run(tmp_path, stop, checkpoint_seconds=0)
    with pytest.raises(CandorError, match="another task, settings or model"):
        run(tmp_path, learning_rate=1e-4)


def test_a_model_that_never_succeeds_is_told_so():
    class Never(Parity):
        def right(self, problem, answer):
            return False

    engine = word_engine()
    arguments = (engine.model, engine.tokenizer, Never(), FirstWord(), RlSettings(**FAST))
    with pytest.raises(
        CandorError, match=r"can't start from here: of 32 problems .* 0 were solved"
    ) as caught:
        train_policy(*arguments)
    assert "SFT on solved examples" in str(caught.value.fix)
    before = weights_of(engine.model)
    result = train_policy(*arguments, force=True)
    assert all(one.without_variance == 1 and one.grad_norm == 0 for one in result.history)
    assert all(torch.equal(before[name], value) for name, value in weights_of(engine.model).items())


def test_several_updates_clip_and_the_first_does_not():
    once = run(learning_rate=3e-2)
    many = run(learning_rate=3e-2, passes=4)
    assert all(one.clip_fraction == 0 for one in once.history)
    assert max(one.clip_fraction for one in many.history) > 0.02


def test_a_penalty_on_kl_keeps_the_model_near_its_start():
    free, held = (
        [one.kl for one in run(steps=12, regularizer={"name": "kl", "weight": weight}).history]
        for weight in (1e-9, 1.0)
    )
    assert free[0] == held[0] == pytest.approx(0, abs=1e-5)
    assert sum(free[-4:]) > 1.4 * sum(held[-4:])


def test_what_is_held_out_is_never_learned_from():
    from candor.rl.problems import ProblemSet

    some = ProblemSet.of(Parity(), held_out=100, shots=3, seed=0)
    apart = {one.id for one in (*some.held_out, *some.shown)}
    assert len(apart) == 103
    drawn = [one.id for step in range(30) for one in some.step(step, 50)]
    assert not apart & set(drawn)
    assert [one.id for one in some.step(4, 50)] == drawn[200:250]


def test_pass_at_k_is_the_chance_over_all_choices():
    from itertools import combinations

    right = np.array([[1, 0, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 1, 0, 0]], float)
    for k in (1, 2, 3, 5):
        expected = [np.mean([max(some) for some in combinations(row, k)]) for row in right]
        np.testing.assert_allclose(pass_at_k(right, k), expected, atol=1e-12)
    with pytest.raises(ValueError, match="pass@6"):
        pass_at_k(right, 6)


CASES = [{}, {"advantage": "reinforce++", "updates": 2, "prompts": 7, **KL}, CHI2]


def learned(settings: dict[str, Any]) -> dict[str, Any]:
    """What a policy's learning gives, in this process alone or as one of two."""
    engine, steps = word_engine(), []
    result = train_policy(
        engine.model,
        engine.tokenizer,
        Parity(),
        FirstWord(),
        RlSettings(**settings),
        on_step=lambda metrics, _: steps.append(metrics),
    )
    return {
        "steps": [[s.reward, s.tokens, s.entropy, s.grad_norm, s.clip_fraction, s.kl or 0.0] for s in steps],
        "norm": sum(float(p.double().norm()) for p in engine.model.parameters()),
        "right": [found.as_json()["right"] for found in result.held_out],
    }


def learn_all(cases: str, into: str) -> None:
    """In one of two processes: learn so, one after the other; the first one writes what came of it."""
    torch.set_num_threads(1)
    found = [learned(case) for case in json.loads(cases)]
    if os.environ["RANK"] == "0":
        Path(into).write_text(json.dumps(found))


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What two processes say of all cases: starting them takes longer than the learning."""
    into = tmp_path_factory.mktemp("two") / "found.json"
    ended = in_two(learn_all, json.dumps([{**FAST, **case} for case in CASES]), str(into))
    assert ended.well, ended.err
    return json.loads(into.read_text())


@pytest.mark.parametrize("case", range(len(CASES)))
def test_two_processes_learn_what_one_does(by_two: list[dict[str, Any]], case: int):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        one, two = learned({**FAST, **CASES[case]}), by_two[case]
    finally:
        torch.set_num_threads(threads)
    assert len(one["steps"]) == 6
    for mine, theirs in zip(one["steps"], two["steps"], strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-6)
    assert two["norm"] == pytest.approx(one["norm"], rel=1e-6)
    assert one["right"] == two["right"]


CHANGED = """
import json, sys
from pathlib import Path
import torch
from parity_task import FirstWord, Parity
from safetensors.torch import save_file
from word_models import word_engine
from candor.rl import loop
from candor.rl.settings import RlSettings

torch.set_num_threads(1)
learn = loop.Learner.learn

class KilledError(Exception):
    pass

def train(settings, folder, last):
    # All processes end before the update of the step `last`.
    def learning(self, rollouts, step):
        if step == last:
            raise KilledError
        return learn(self, rollouts, step)

    loop.Learner.learn = learning
    engine = word_engine()
    try:
        result = loop.train_policy(
            engine.model, engine.tokenizer, Parity(), FirstWord(), settings, folder=folder
        )
    except KilledError:
        return None
    finally:
        loop.Learner.learn = learn
    return result

if __name__ == "__main__":
    job, root, last = json.loads(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    for name, settings in job.items():
        result = train(RlSettings(**settings), root / name, last)
        if result is not None and torch.distributed.get_rank() == 0:
            weights = {key: value.clone() for key, value in result.model.state_dict().items()}
            save_file(weights, root / f"{name}.safetensors")
            rows = [[one.reward, one.accuracy, one.tokens] for one in result.history]
            (root / f"{name}.json").write_text(json.dumps(rows))
"""


@pytest.mark.slow
def test_a_policy_that_two_processes_began_is_gone_on_with_by_one_and_by_two_again(tmp_path: Path):
    script = tmp_path / "changed_program.py"
    script.write_text(CHANGED)
    job = {
        name: {**FAST, "checkpoint_seconds": 0, **extra}
        for name, extra in {"plain": {}, "chi2": CHI2, "updates": {"updates": 2, **KL}}.items()
    }
    train = runpy.run_path(str(script))["train"]
    program(script, json.dumps(job), tmp_path, 2, processes=2)
    for name, settings in job.items():
        assert [path.name for path in (tmp_path / name).iterdir()] == ["step-00000002"]
        assert train(RlSettings(**settings), tmp_path / name, 4) is None
    program(script, json.dumps(job), tmp_path, -1, processes=2)
    for name, settings in job.items():
        alone = train(RlSettings(**settings), None, -1)
        rows = json.loads((tmp_path / f"{name}.json").read_text())
        assert rows == [[one.reward, one.accuracy, one.tokens] for one in alone.history], name
        weights, found = alone.model.state_dict(), load_file(tmp_path / f"{name}.safetensors")
        gaps = {key: float((weights[key] - value).abs().max()) for key, value in found.items()}
        assert max(gaps.values()) < 1e-4, (name, gaps)
