"""Rollouts by real vLLM, whose weights follow the policy's: in the environment of `make test-vllm`."""

from __future__ import annotations

import pytest

from candor.engine.prompts import set_template
from candor.model.load import load_model, load_tokenizer
from candor.reasoning.problem import Problem
from candor.reasoning.rl import RlSettings, rewards_of, train_policy

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
    # A rate at which a single update is seen: with the old weights the second step's gap would be large.
    settings = RlSettings(
        steps=3, prompts=4, samples=4, max_tokens=16, learning_rate=2e-4, held_out=4, held_out_samples=2,
        evaluate_every=0,
    )  # fmt: skip
    result = train_policy(
        model, tokenizer, Sums(), Asked(), settings, reward=rewards_of(["length"]), engine=engine, force=True
    )
    gaps = [one.mismatch for one in result.history if one.mismatch is not None]
    print(gaps, [one.reward for one in result.history])
    assert gaps and max(gaps) < 0.15
