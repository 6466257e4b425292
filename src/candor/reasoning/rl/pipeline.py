"""The stages of an RL run, each reading and writing the run folder.

check.json                                check       rewards proved, what the model can do at first
samples.jsonl, held-out.json, checkpoint/ train       some completions of each step; each evaluation
metrics.json                              evaluate    before and after on held-out problems, with intervals
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from candor.core.files import read_json, read_json_lines, write_json
from candor.core.memory import return_freed_memory
from candor.core.processes import wait_for
from candor.core.progress import Reporter
from candor.core.run import Run
from candor.engine.local import LocalEngine
from candor.engine.prompts import template_text
from candor.engine.vllm import VllmEngine
from candor.model.load import save_checkpoint
from candor.reasoning.rl.recipe import RlRecipe
from candor.rl.kept import event_of, keep_up_to
from candor.rl.loop import RlResult, RlStep, train_policy
from candor.rl.measure import Held, start_of
from candor.rl.problem import Problem, Task, Way
from candor.rl.problems import ProblemSet
from candor.rl.reward import rewards_of, task_reward, validate
from candor.rl.rollout import Drawer, Roller, Rollouts
from candor.rl.settings import RlSettings
from candor.train.state import clear_state, read_notes

# Groups that teach nothing are usual, but with this share of them most of the time is spent for nothing.
_MANY_WITHOUT_VARIANCE = 0.8
_PROVED = 32  # problems on which rewards are proved


@dataclass(frozen=True)
class Asked:
    """What a run asks, made from names by whoever knows them."""

    task: Task
    way: Callable[[bool], Way]  # from whether the model is asked by messages
    stops: tuple[str, ...] = ()  # of a completion that goes on a text: where the next problem would begin

    def settings(self, recipe: RlRecipe, *, chat: bool) -> RlSettings:
        """The recipe's, with these stops where it names none and the model is not asked by messages."""
        found = recipe.settings()
        return found if chat or found.stop else found.model_copy(update={"stop": self.stops})


class RlRun:
    """An RL run in its folder.

    Args:
        run: the folder.
        asked: its task and way.
        reporter: where it says what it does.
        force: begin even if the model never succeeds.
    """

    def __init__(self, run: Run[RlRecipe], asked: Asked, reporter: Reporter, *, force: bool = False) -> None:
        self.run, self.recipe, self.reporter = run, run.recipe, reporter
        self._asked, self._force = asked, force
        self._warned = False

    def up_to(self, last: str) -> None:
        """Every stage up to this one that is not done yet, in order."""
        stages = {"check": self.check, "train": self.train, "evaluate": self.evaluate}
        self.run.go_through(stages, last, self.reporter.say)

    def check(self) -> None:
        """Prove the reward, and see that there is something to learn from.

        Raises:
            CandorError: a perfect completion does not score 1 or a wrong one does, or the model hardly ever
                succeeds.
        """
        for spec in self.recipe.rewards:
            path = Path(spec.rpartition("=")[0].rpartition(":")[0] or spec.rpartition(":")[0])
            if path.suffix == ".py" and path.is_file():
                self.run.record_input(str(path), path)
        task, tokenizer = self._asked.task, self.recipe.model.load_tokenizer()
        chat = self.recipe.model.asks_by_messages(tokenizer)
        way = self._asked.way(chat)
        rewards = rewards_of(self.recipe.rewards)
        validate(task_reward(task, way), task, way, _PROVED, self.recipe.seed)
        settings = self._asked.settings(self.recipe, chat=chat)
        problems = ProblemSet.of(task, held_out=settings.held_out, shots=settings.shots, seed=settings.seed)
        model = self.recipe.model.load()
        roller = Roller(
            LocalEngine(model, tokenizer),
            tokenizer,
            task,
            way,
            rewards,
            shown=problems.shown,
            stop=settings.stop,
        )
        start = start_of(
            roller,
            problems.step(-1, settings.check_problems),
            max_tokens=settings.max_tokens,
            temperature=settings.temperature,
            seed=settings.seed,
        )
        self.reporter.say(
            f"before: pass@1 {start.pass_1:.1%}, pass@8 {start.pass_8:.1%} on {len(start.right)} problems"
        )
        if not self._force:
            start.need_success()
        found = {"pass_1": start.pass_1, "pass_8": start.pass_8, "problems": len(start.right)}
        write_json(self.run.path("check.json"), found)
        del model, roller
        return_freed_memory()

    def train(self) -> None:
        """Draw, reward, learn; evaluate before, on the way and after."""
        folder, samples = self.run.path("training"), self.run.path("samples.jsonl")
        done = int((read_notes(folder) or {"step": 0})["step"])
        keep_up_to(samples, done)
        with (
            self.reporter.bar("learning", self.recipe.rl.steps, start=done) as bar,
            samples.open("a", encoding="utf-8") as file,
        ):

            def on_step(step: RlStep, rollouts: Rollouts) -> None:
                self.run.event("step", **event_of(step))
                for row in kept_samples(step.step, rollouts, self.recipe.rl.kept_samples):
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
                file.flush()
                bar.progress(
                    step.step, step.steps, f"right {step.accuracy:.0%}, {step.tokens:.0f} tokens a completion"
                )
                self._warn(step)

            result, tokenizer = learn(self.recipe, self._asked, folder, on_step, self._on_held_out)
        save_checkpoint(result.model, tokenizer, self.run.path("checkpoint"))
        write_json(self.run.path("held-out.json"), [one.as_json() for one in result.held_out])
        write_json(self.run.path("train.json"), _totals(result))
        clear_state(folder)

    def _warn(self, step: RlStep) -> None:
        """Say once that most problems teach nothing."""
        if self._warned or step.without_variance <= _MANY_WITHOUT_VARIANCE:
            return
        self._warned = True
        self.reporter.say(
            f"step {step.step}: of {step.without_variance:.0%} of the problems all completions were rewarded "
            "alike, which teaches nothing: problems that are solved at times teach most (an easier or harder "
            "task, or more --samples)"
        )

    def _on_held_out(self, held: Held) -> None:
        found = held.summary()
        self.run.event("held out", **found)
        accuracy, tokens = found["accuracy"], found["tokens"]["value"]
        self.reporter.say(
            f"held out, after {held.step} steps: {accuracy['value']:.1%} right "
            f"({accuracy['low']:.1%}–{accuracy['high']:.1%}), "
            f"greedy {found['greedy_accuracy']['value']:.1%}, {tokens:.1f} tokens a completion"
        )

    def evaluate(self) -> None:
        """Before and after on the same held-out problems."""
        held = [Held.of(one) for one in read_json(self.run.path("held-out.json"))]
        before, after = held[0], held[-1]
        rows = [row for _, row in read_json_lines(self.run.path("samples.jsonl"))]
        metrics = {
            "model": self.recipe.model.name,
            "task": self.recipe.task,
            "way": self.recipe.way,
            "reward": rewards_of(self.recipe.rewards).name,
            "check": read_json(self.run.path("check.json")),
            "before": before.summary(),
            "after": after.summary(),
            "change": after.since(before),
            "train": read_json(self.run.path("train.json")),
            "samples": _first_and_last(rows),
            "commands": {"run": "candor rl --recipe recipe.toml --out NEW"},
        }
        write_json(self.run.path("metrics.json"), metrics)


def work_along(folder: Path, recipe: RlRecipe, asked: Asked) -> None:
    """What the other processes of torchrun do: wait for the check, train along, write nothing."""
    wait_for(folder, "check")
    if not Run.open(folder, RlRecipe).done("train"):
        learn(recipe, asked, folder / "training")


def learn(
    recipe: RlRecipe,
    asked: Asked,
    folder: Path,
    on_step: Callable[[RlStep, Rollouts], None] | None = None,
    on_held_out: Callable[[Held], None] | None = None,
) -> tuple[RlResult, PreTrainedTokenizerBase]:
    """Train as a recipe says; under torchrun every process calls this."""
    tokenizer, chosen = recipe.model.load_tokenizer(), recipe.model
    chat = recipe.model.asks_by_messages(tokenizer)
    model = chosen.load()
    engine: Drawer | None = None
    if recipe.rollouts == "vllm":
        engine = VllmEngine.load(
            chosen.name,
            dtype=chosen.dtype,
            template=template_text(chosen.template),
            trust_remote_code=chosen.trust_remote_code,
        )
    result = train_policy(
        model,
        tokenizer,
        asked.task,
        asked.way(chat),
        asked.settings(recipe, chat=chat),
        reward=rewards_of(recipe.rewards),
        folder=folder,
        on_step=on_step,
        on_held_out=on_held_out,
        engine=engine,
        force=True,  # the check was a stage of its own
    )
    return result, tokenizer


def kept_samples(step: int, rollouts: Rollouts, count: int) -> list[dict[str, Any]]:
    """A few completions of a step: the first ones of as many problems."""
    rows = []
    for place, samples in enumerate(rollouts.samples[:count]):
        one = samples[0]
        problem: Problem = one.problem
        rows.append(
            {
                "step": step,
                "problem": problem.id,
                "question": problem.question,
                "right_answer": problem.answer,
                "completion": one.completion,
                "answer": one.answer,
                "right": one.right,
                "reward": float(rollouts.rewards[rollouts.mine.start + place, 0]),
                "tokens": one.tokens,
            }
        )
    return rows


def _first_and_last(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Samples of the first step and of the last, for the report."""
    steps = [row["step"] for row in rows] or [0]
    return {name: [row for row in rows if row["step"] == at(steps)] for name, at in _ENDS.items()}


_ENDS: dict[str, Callable[[list[int]], int]] = {"first": min, "last": max}


def _totals(result: RlResult) -> dict[str, Any]:
    history = result.history
    return {
        "steps": len(history),
        "learning_rate": history[-1].learning_rate,
        "rollout_seconds": sum(one.rollout_seconds for one in history),
        "update_seconds": sum(one.update_seconds for one in history),
        "without_variance": sum(one.without_variance for one in history) / len(history),
    }
