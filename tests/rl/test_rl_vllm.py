"""Rollouts by real vLLM, whose weights follow the policy's: in the environment of `make test-vllm`."""

from __future__ import annotations

import numpy as np
import pytest

from candor.engine.prompts import set_template
from candor.model.load import load_model, load_tokenizer
from candor.rl.loop import train_policy
from candor.rl.problem import Problem
from candor.rl.reward import as_reward
from candor.rl.rollout import Rollouts
from candor.rl.settings import RlSettings
from candor.train.policy import PolicyObjective

pytestmark = pytest.mark.vllm


class Sums:
    name = "sums"

    def problems(self, count: int, seed: int) -> list[Problem]:
        pairs = [(a, b) for a in range(2, 40) for b in range(2, 40)]
        start = seed * 37 % len(pairs)
        return [
            Problem(id=f"{a}+{b}", question=f"What is {a} + {b}?", answer=str(a + b))
            for a, b in (pairs[(start + i) % len(pairs)] for i in range(count))
        ]

    def right(self, problem: Problem, answer: str) -> bool:
        return problem.answer in answer


class Asked:
    name = "asked"

    def prompt(self, problem: Problem, shown=()):
        return [{"role": "user", "content": problem.question}]

    def written(self, problem: Problem) -> str:
        return problem.answer

    def read(self, completion: str) -> str | None:
        return completion


def test_vllm_draws_from_the_weights_that_were_just_learned():
    from candor.engine.vllm import VllmEngine

    engine = VllmEngine.load("smollm2", max_rows=32)
    tokenizer = load_tokenizer("smollm2")
    set_template(tokenizer, None)
    model = load_model("smollm2", dtype="bfloat16", device="cpu")
    settings = RlSettings(
        steps=4, prompts=4, samples=4, max_tokens=24, learning_rate=1e-4, held_out=4, held_out_samples=2,
        evaluate_every=0,
    )  # fmt: skip
    drawn: list[Rollouts] = []
    characters = as_reward(lambda completion: len(completion) / 100, "characters")
    result = train_policy(
        *(model, tokenizer, Sums(), Asked(), settings, characters),
        on_step=lambda _, rollouts: drawn.append(rollouts),
        engine=engine,
        force=True,
    )
    gaps = [one.mismatch for one in result.history]
    assert None not in gaps and max(gap or 0 for gap in gaps) < 0.15
    # Where nothing had been pushed, the last step would be the untrained model's.
    untrained = PolicyObjective(load_model("smollm2", dtype="bfloat16", device="cpu"), range(20, 40))
    flat = [one for group in drawn[-1].trajectories for one in group]
    said = np.concatenate([one for group in drawn[-1].logprobs for one in group])
    assert np.abs(untrained.read(flat).logprobs - said).mean() > 2 * max(gap or 0 for gap in gaps)
