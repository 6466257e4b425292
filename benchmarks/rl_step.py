"""How long does one step of RL take, beside TRL's GRPOTrainer with the same settings?

    python benchmarks/rl_step.py                                # TRL in this environment (pip install trl)
    python benchmarks/rl_step.py --trl-python VENV/bin/python   # or in its own
    python benchmarks/rl_step.py --float32                      # also TRL on float32 weights under autocast

A step of SmolLM2-135M on 8 prompts: 8 completions each of at most 64 tokens at temperature 1, rewards,
mean-centred advantages, one token-level update of all weights with AdamW, no reference model. The reward is
a completion's length in characters, so that every group has variance and nothing is skipped. TRL computes in
bf16 and holds bf16 weights, its fastest way (and one in which small updates round away; ours has float32
masters). A unit is a drawn token. Steps are timed from the draw to the end of the update; what a trainer
does before and after a run is taken off.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peers import Side, arguments, compare, launch, save

_PROMPTS, _SAMPLES, _TOKENS, _RATE = 8, 8, 64, 1e-5


def questions() -> list[str]:
    """What the prompts ask."""
    numbers = [(12, 34), (45, 67), (88, 19), (23, 78), (51, 52), (7, 95), (64, 36), (41, 17)]
    return [f"What is {a} + {b}? Think step by step, then give the answer." for a, b in numbers[:_PROMPTS]]


def candor_side(job: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """`candor.rl`, the parts of `train_policy` that make a step."""
    from candor.engine.local import LocalEngine
    from candor.model.load import load_model, load_tokenizer
    from candor.rl.learner import Learner
    from candor.rl.problem import Problem
    from candor.rl.reward import as_reward
    from candor.rl.rollout import Roller
    from candor.rl.settings import RlSettings
    from candor.train.distributed import Group

    tokenizer = load_tokenizer(job["model"])
    problems = [Problem(id=str(i), question=text, answer="0") for i, text in enumerate(job["questions"])]

    class Asked:
        name = "asked"

        def prompt(self, problem: Problem, shown: Any = ()) -> Any:
            return [{"role": "user", "content": problem.question}]

        def written(self, problem: Problem) -> str:
            return problem.answer

        def read(self, completion: str) -> str | None:
            return None

        def problems(self, count: int, seed: int) -> list[Problem]:
            return problems[:count]

        def right(self, problem: Problem, answer: str) -> bool:
            return False

    settings = RlSettings(prompts=_PROMPTS, samples=_SAMPLES, max_tokens=_TOKENS, learning_rate=_RATE)
    model = load_model(job["model"], dtype="bfloat16")
    longer = as_reward(lambda completion: len(completion) / 100, "characters")
    roller = Roller(LocalEngine(model, tokenizer), tokenizer, Asked(), Asked(), longer)
    learner = Learner(model, problems[0].question, tokenizer, settings, None, Group())
    counter = iter(range(1_000_000))

    def step() -> dict[str, Any]:
        number = next(counter)
        begun = time.perf_counter()
        drawn = roller.draw(problems, _SAMPLES, max_tokens=_TOKENS, temperature=1.0, seed=number)
        middle = time.perf_counter()
        learned = learner.learn(drawn, number)
        print(
            f"rollout {middle - begun:.2f} s, update {time.perf_counter() - middle:.2f} s, "
            f"mismatch {learned.mismatch}",
            file=sys.stderr,
            flush=True,
        )
        return {"units": int(drawn.drawn.sum()), "reward": float(drawn.rewards.mean())}

    step()
    return step


def trl_side(job: dict[str, Any], weights: str) -> Callable[[], dict[str, Any]]:
    """TRL's GRPOTrainer, with transformers' generation."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer  # type: ignore[import-not-found]

    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    data = Dataset.from_list([{"prompt": [{"role": "user", "content": q}]} for q in job["questions"]])
    drawn: list[int] = []

    def characters(completions: list[Any], completion_ids: list[list[int]], **_: Any) -> list[float]:
        drawn.append(sum(len(ids) for ids in completion_ids))
        return [len(one[0]["content"]) / 100 for one in completions]

    class Clock(TrainerCallback):
        spent = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.begun = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.spent += time.perf_counter() - self.begun

    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=getattr(torch, weights))
    clock = Clock()
    settings = GRPOConfig(
        output_dir=job["folder"],
        max_steps=1,
        per_device_train_batch_size=_PROMPTS * _SAMPLES,
        num_generations=_SAMPLES,
        max_completion_length=_TOKENS,
        temperature=1.0,
        learning_rate=_RATE,
        lr_scheduler_type="constant",
        beta=0.0,
        num_iterations=1,
        scale_rewards="none",
        loss_type="dapo",
        bf16=True,
        use_cpu=True,
        gradient_checkpointing=False,
        report_to="none",
        save_strategy="no",
        logging_steps=1000,
        disable_tqdm=True,
    )

    def step() -> dict[str, Any]:
        begun = time.perf_counter()
        drawn.clear()
        clock.spent = 0.0
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=characters,
            args=settings,
            train_dataset=data,
            processing_class=tokenizer,
            callbacks=[clock],
        )
        trainer.train()
        return {"units": sum(drawn), "untimed": time.perf_counter() - begun - clock.spent}

    step()
    return step


SIDES: dict[str, Side] = {
    "candor": candor_side,
    "trl": lambda job: trl_side(job, "bfloat16"),
    "trl-float32": lambda job: trl_side(job, "float32"),
}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--trl-python", default=sys.executable, help="interpreter of an environment with TRL")
    parser.add_argument("--float32", action="store_true", help="TRL on float32 weights, too")
    options = parser.parse_args()
    from candor.model.load import resolve

    folder = options.work / "rl_step"
    job = {
        "model": str(resolve("smollm2")),
        "questions": questions(),
        "folder": str((folder / "trl").resolve()),
    }
    this = str(Path(__file__).resolve())
    sides = {"candor": (sys.executable, [this, "--side", "candor"])}
    for name in ("trl", "trl-float32") if options.float32 else ("trl",):
        sides[name] = (options.trl_python, [this, "--side", name])
    title = f"One RL step: {_PROMPTS} prompts x {_SAMPLES} completions of at most {_TOKENS} tokens"
    save(compare(title, job, sides, runs=options.runs, folder=folder), options)


if __name__ == "__main__":
    launch(main, SIDES, ["torch", "transformers", "candor-lm", "trl"])
