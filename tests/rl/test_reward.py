"""Rewards are plain functions, found by name or in a file, and proved on what a perfect completion says."""

from __future__ import annotations

from pathlib import Path

import pytest

from candor.core.errors import CandorError, InputError
from candor.rl.problem import Problem
from candor.rl.reward import Sample, as_reward, reward, rewards_of, sample_of, task_reward, validate
from parity_task import FirstWord, Parity


def sample(text: str, tokens: int = 2, limit: int = 8):
    problem = Problem(id="a", question="w30 w41", answer="w21")
    return sample_of(Parity(), FirstWord(), problem, text, tokens=tokens, limit=limit)


def test_a_function_gets_what_its_parameters_name():
    @reward(name="brief when right")
    def brief(right: bool, tokens: int, limit: int, scale: float = 0.5) -> float:
        return right - scale * tokens / limit

    assert brief(sample("w21", tokens=4)) == 1 - 0.25
    mixed = rewards_of(["correct", "brief when right=2", "length=-1"])
    assert mixed(sample("w22", tokens=4)) == 2 * -0.25 - 0.5
    assert mixed.name == "correct + 2 · brief when right + -1 · length"


def test_an_unknown_parameter_name_or_weight_is_refused():
    with pytest.raises(InputError, match=r"asks for colour"):
        as_reward(lambda colour: 1.0)
    with pytest.raises(InputError, match="did you mean 'correct'"):
        rewards_of(["corect"])
    with pytest.raises(InputError, match="'much' is no weight"):
        rewards_of(["correct=much"])


def test_a_reward_that_is_no_number_is_named():
    for value in (None, float("nan"), "one"):
        with pytest.raises(CandorError, match=r"returned .* for a completion of problem a"):
            as_reward(lambda right, value=value: value)(sample("w21"))


def test_a_users_file_is_run_and_its_errors_name_it(tmp_path: Path):
    file = tmp_path / "mine.py"
    file.write_text("def lengthy(completion):\n    return len(completion)\n")
    assert rewards_of([f"{file}:lengthy=0.5"])(sample("w21 w22")) == 3.5
    with pytest.raises(InputError, match="has no function 'other'"):
        rewards_of([f"{file}:other"])
    file.write_text("import no_such_module\n")
    with pytest.raises(InputError, match=r"mine\.py: can't be run \(ModuleNotFoundError"):
        rewards_of([f"{file}:lengthy"])
    with pytest.raises(InputError, match="no such file"):
        rewards_of([f"{tmp_path / 'none.py'}:lengthy"])


def test_being_right_passes_and_other_rewards_are_caught():
    validate(task_reward(Parity(), FirstWord()), Parity(), FirstWord())
    validate(rewards_of(["correct"]), Parity(), FirstWord())
    with pytest.raises(CandorError, match=r"gives an empty completion|gives a wrong completion 1 where"):
        validate(rewards_of(["answered"]), Parity(), FirstWord())

    class Silent(FirstWord):
        def read(self, completion: str) -> str | None:
            return None

    with pytest.raises(CandorError, match=r"a perfect completion 0 where it has to give 1.*reads no answer"):
        validate(rewards_of(["correct"]), Parity(), Silent())


def test_a_function_that_fails_is_named_with_the_completion(tmp_path: Path):
    (tmp_path / "mine.py").write_text("def ratio(completion):\n    return 1 / len(completion)\n")
    scorer = rewards_of([f"{tmp_path}/mine.py:ratio"])
    problem = Problem(id="p7", question="?")
    with pytest.raises(CandorError, match=r"the reward 'ratio' failed .* p7 .ZeroDivisionError") as caught:
        scorer.score([Sample(problem, "", None, False, 0, 9, False)])
    assert "empty completion" in str(caught.value.fix)
