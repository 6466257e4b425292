"""A run in which chain of thought emerges: pretraining on the mixture, RL on right answers, before and after.

base/           pretrain    a model that mostly answers at once
checkpoint/     reinforce   the same after RL; history.json: what each step drew
metrics.json    evaluate    both on the same held-out questions, with intervals
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from candor.core.errors import CandorError
from candor.core.files import read_json, write_json
from candor.core.progress import Reporter
from candor.core.run import Run
from candor.model.load import load_model, load_tokenizer, save_checkpoint
from candor.reasoning.scratch.measure import outcome
from candor.reasoning.scratch.mixture import Without, mixture
from candor.reasoning.scratch.recipe import EmergeRecipe
from candor.reasoning.tasks.sequences import Sequence, sequence_task
from candor.reasoning.ways.free import ANSWER, STEPS, Free
from candor.rl.loop import RlStep, train_policy
from candor.rl.problem import Problem, Task
from candor.rl.reward import Scorer
from candor.rl.rollout import Rollouts
from candor.train.characters import Characters, character_tokenizer
from candor.train.loop import StepMetrics
from candor.train.small import school, small_model
from candor.train.state import clear_state

_HELD_OUT_SEED = 1_000_000_021


class Subject:
    """Who is taught what: everything that follows from a recipe before any computing.

    Attributes:
        taught: pretraining's task, less the questions held out.
        practised: RL's task, less the questions held out.
        way: how it is asked.
        asked: the held-out questions, of RL's task.
        tokenizer: one token for each character that can come up.

    Raises:
        CandorError: there is no such task, or a demonstration is longer than completions may be.
    """

    def __init__(self, recipe: EmergeRecipe) -> None:
        self.recipe, self.way = recipe, Free()
        taught, practised = sequence_task(recipe.task), sequence_task(recipe.practice or recipe.task)
        if taught.kind != practised.kind:
            raise CandorError(
                f"pretraining on {taught.name} and RL on {practised.name}: not the same kind of question",
                fix=f"let practice be {taught.kind} of another length, or leave it out",
            )
        # A task with few questions is divided in half.
        count = min(recipe.evaluate.problems, practised.size // 2)
        self.asked: list[Problem] = practised.problems(count, _HELD_OUT_SEED + recipe.seed)
        held_out = {problem.id for problem in self.asked}
        self.taught: Task = Without(taught, held_out)
        self.practised: Task = Without(practised, held_out)
        needed = max(_demonstrated(self.way, task) for task in (taught, practised))
        if needed > recipe.rl.max_tokens:
            raise CandorError(
                f"a completion with steps has up to {needed} tokens here, and rl.max_tokens is "
                f"{recipe.rl.max_tokens}",
                fix=f"--set rl.max_tokens={2 * needed}, or choose a shorter task",
            )
        self.context = max(taught.longest, practised.longest) + 1 + recipe.rl.max_tokens
        alphabet = taught.symbols + "".join(problem.steps for problem in taught.problems(64, 0))
        self.tokenizer = character_tokenizer(f"{alphabet}={STEPS}{ANSWER}", self.context)


def _demonstrated(way: Free, task: Sequence) -> int:
    longest = task.problem(task.symbols[0] * task.longest)
    return len(way.written(longest)) + 1  # the end token


def pretrained(
    subject: Subject,
    *,
    start: PreTrainedModel | None = None,
    updates: int | None = None,
    folder: Path | None = None,
    on_step: Callable[[StepMetrics], None] | None = None,
) -> PreTrainedModel:
    """A model that learned the mixture.

    Args:
        subject: see there.
        start: go on with this model, on other lessons of the same mixture; None: from scratch.
        updates: instead of the recipe's.
        folder: where the state of an unfinished training is kept.
        on_step: called after each update.
    """
    recipe = subject.recipe
    seed = recipe.seed + (start is not None)
    how = recipe.pretrain.model_copy(update={"updates": updates or recipe.pretrain.updates})
    lessons = mixture(
        subject.taught, subject.way, recipe.mixture.lessons, recipe.mixture.demonstrations, seed
    )
    write = Characters(subject.tokenizer)
    examples = write.examples(lesson.pair for lesson in lessons)
    model = start or small_model(recipe.model, subject.tokenizer, subject.context, recipe.seed)
    school(model, examples, how, pad_id=write.end, seed=seed, folder=folder, on_step=on_step)
    return model


def reinforced(
    subject: Subject,
    model: PreTrainedModel,
    *,
    reward: Scorer | None = None,
    folder: Path | None = None,
    on_step: Callable[[RlStep, Rollouts], None] | None = None,
) -> list[RlStep]:
    """Train a model in place by RL, on right answers unless another reward is given; returns each step."""
    settings = subject.recipe.learning()
    return train_policy(
        model,
        subject.tokenizer,
        subject.practised,
        subject.way,
        settings,
        reward,
        folder,
        on_step,
        force=True,  # a model that never succeeds is one of the controls
    ).history


def asked(subject: Subject, model: PreTrainedModel) -> dict[str, Any]:
    """What the model does with the held-out questions; see `outcome`."""
    recipe = subject.recipe
    return outcome(
        model,
        subject.tokenizer,
        subject.practised,
        subject.way,
        subject.asked,
        samples=recipe.evaluate.samples,
        max_tokens=recipe.rl.max_tokens,
    )


class EmergeRun:
    """The run in its folder.

    Args:
        run: the folder.
        reporter: where it says what it does.
    """

    def __init__(self, run: Run[EmergeRecipe], reporter: Reporter) -> None:
        self.run, self.recipe, self.reporter = run, run.recipe, reporter
        self._subject = Subject(run.recipe)

    @property
    def example(self) -> Problem:
        """One of the held-out questions."""
        return self._subject.asked[0]

    def complete(self) -> None:
        """Every stage that is not done yet, in order."""
        stages = {"pretrain": self.pretrain, "reinforce": self.reinforce, "evaluate": self.evaluate}
        self.run.go_through(stages, "evaluate", self.reporter.say)

    def pretrain(self) -> None:
        """Learn the mixture."""
        folder = self.run.path("pretraining")
        with self.reporter.bar("pretraining", self.recipe.pretrain.updates) as bar:

            def on_step(step: StepMetrics) -> None:
                self.run.event("update", step=step.step, loss=round(step.loss, 6))
                bar.progress(step.step, step.steps, f"loss {step.loss:.3f}")

            model = pretrained(self._subject, folder=folder, on_step=on_step)
        save_checkpoint(model, self._subject.tokenizer, self.run.path("base"))
        clear_state(folder)

    def reinforce(self) -> None:
        """Reward right answers."""
        folder, (model, _) = self.run.path("practising"), self._load("base")
        with self.reporter.bar("learning by reward", self.recipe.rl.steps) as bar:

            def on_step(step: RlStep, _: Rollouts) -> None:
                note = f"right {step.accuracy:.0%}, with steps {step.reasoned:.0%}, {step.tokens:.1f} tokens"
                bar.progress(step.step, step.steps, note)

            history = reinforced(self._subject, model, folder=folder, on_step=on_step)
        save_checkpoint(model, self._subject.tokenizer, self.run.path("checkpoint"))
        write_json(self.run.path("history.json"), [asdict(step) for step in history])
        clear_state(folder)

    def evaluate(self) -> None:
        """Both models on the same questions."""
        found = {}
        for moment, name in (("before", "base"), ("after", "checkpoint")):
            model, _ = self._load(name)
            self.reporter.say(f"asking {len(self._subject.asked)} held-out questions, {moment}")
            found[moment] = asked(self._subject, model)
        steps = read_json(self.run.path("history.json"))
        write_json(
            self.run.path("metrics.json"),
            {
                "task": self._subject.practised.name,
                "demonstrations": self.recipe.mixture.demonstrations,
                "questions": len(self._subject.asked),
                **found,
                "steps": [{key: step[key] for key in _KEPT} for step in steps],
                "commands": {"run": "candor think emerge --recipe recipe.toml --out NEW"},
            },
        )

    def _load(self, name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        folder = str(self.run.path(name))
        return load_model(folder, dtype="auto", device="cpu"), load_tokenizer(folder)


_KEPT = ("step", "accuracy", "tokens", "longest", "reasoned", "entropy")
