"""The stages of asking in several ways, each reading and writing the run folder.

problems.jsonl            problems    what is asked, and what is shown solved before it
answers/, samples.jsonl   answers     every completion with the answer read from it
budgets/, budget.jsonl    budgets     the same completions cut, and made to answer
metrics.json              evaluate    accuracy by task, kind, way and tokens
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path

from candor.core.errors import InputError
from candor.core.files import read_jsonl, write_json, write_jsonl
from candor.core.progress import Reporter
from candor.core.run import Run
from candor.engine.local import LocalEngine
from candor.engine.prompts import template_text
from candor.engine.protocol import Sampling
from candor.reasoning.tasks import task_of
from candor.reasoning.think.asked import Answered, Asked, choose
from candor.reasoning.think.evaluate import ask, ask_within, sampling_of
from candor.reasoning.think.recipe import ThinkRecipe
from candor.reasoning.think.results import summary
from candor.reasoning.ways import ways_of
from candor.reasoning.ways.asking import Asking
from candor.rl.problem import Problem, Task, Way


class ThinkRun:
    """A model asked in several ways, in its folder."""

    def __init__(self, run: Run[ThinkRecipe], reporter: Reporter) -> None:
        self.run = run
        self.recipe = run.recipe
        self.reporter = reporter

    def up_to(self, last: str) -> None:
        """Every stage up to this one that is not done yet, in order."""
        stages = {
            "problems": self.problems,
            "answers": self.answers,
            "budgets": self.budgets,
            "evaluate": self.evaluate,
        }
        self.run.go_through(stages, last, self.reporter.say)

    @cached_property
    def engine(self) -> LocalEngine:
        """The model, loaded when it is first needed."""
        settings = self.recipe.model
        self.reporter.say(f"loading {settings.name}")
        return LocalEngine.load(
            settings.name,
            dtype=settings.dtype,
            template=template_text(settings.template),
            trust_remote_code=settings.trust_remote_code,
        )

    @cached_property
    def ways(self) -> list[Way]:
        """Those of the recipe: by messages where the model has a chat template, unless it says otherwise."""
        return ways_of(self.recipe.ask.ways, chat=self.engine.chat and not self.recipe.model.raw)

    # --- stages -------------------------------------------------------------------------------------

    def problems(self) -> None:
        """Draw what is asked."""
        settings, rows = self.recipe.ask, []
        for spec in settings.tasks:
            task = task_of(spec)
            found = choose(task, settings.problems, settings.shown, self.recipe.seed)
            rows += found
            count = sum(row.use == "asked" for row in found)
            if count < settings.problems:
                self.reporter.say(f"{spec} has no more than {count} problems to ask")
            if (path := Path(spec).expanduser()).is_file():
                self.run.record_input(spec, path)
        write_jsonl(self.run.path("problems.jsonl"), rows)

    def answers(self) -> None:
        """Ask every problem in every way; what is whole of a run that was killed stays."""
        cells, settings = list(self._cells()), self.recipe.answer
        rows: list[Answered] = []
        with self.reporter.bar("answering", sum(len(asked) for *_, asked, _ in cells)) as bar:
            for name, task, way, asked, shown in cells:
                file = self.run.path("answers", f"{name}.jsonl")
                if not file.exists():
                    sampling = sampling_of(
                        way,
                        max_tokens=settings.max_tokens,
                        temperature=settings.temperature,
                        seed=self.recipe.seed,
                    )
                    before = bar.done
                    advance = partial(bar.advance, note=f"{task.name}, {way.name}")
                    write_jsonl(file, ask(self.engine, task, way, asked, shown, sampling, advance))
                    bar.progress(before, bar.total)
                found = read_jsonl(file, Answered)
                bar.advance(len(found))
                rows += found
        write_jsonl(self.run.path("samples.jsonl"), rows)

    def budgets(self) -> None:
        """Cut every completion at every budget, and have it answer there."""
        settings, rows = self.recipe.answer, []
        budgets = [budget for budget in settings.budgets if budget <= settings.max_tokens]
        forced = Sampling(max_tokens=settings.forced_tokens, stop=("\n",))
        cells = [cell for cell in self._cells() if isinstance(cell[2], Asking)] if budgets else []
        with self.reporter.bar("cutting at budgets", len(cells)) as bar:
            for name, task, way, asked, shown in cells:
                assert isinstance(way, Asking)
                file = self.run.path("budgets", f"{name}.jsonl")
                if not file.exists():
                    whole = read_jsonl(self.run.path("answers", f"{name}.jsonl"), Answered)
                    found = ask_within(self.engine, task, way, asked, shown, whole, budgets, forced)
                    write_jsonl(file, found)
                rows += read_jsonl(file, Answered)
                bar.advance(1, f"{task.name}, {way.name}")
        write_jsonl(self.run.path("budget.jsonl"), rows)

    def evaluate(self) -> None:
        """Count."""
        rows, within = (
            read_jsonl(self.run.path(name), Answered) for name in ("samples.jsonl", "budget.jsonl")
        )
        metrics = {
            "model": self.recipe.model.name,
            "seed": self.recipe.seed,
            "shown": self.recipe.ask.shown,
            "tasks": list(self.recipe.ask.tasks),
            "ways": list(self.recipe.ask.ways),
            **summary(rows, within),
            "commands": {"run": "candor think evaluate --recipe recipe.toml --out NEW"},
        }
        write_json(self.run.path("metrics.json"), metrics)

    def _cells(self) -> Iterator[tuple[str, Task, Way, list[Problem], list[Problem]]]:
        """Yield each task and way with a file name, the problems to ask and those to show."""
        rows = read_jsonl(self.run.path("problems.jsonl"), Asked)
        for number, spec in enumerate(self.recipe.ask.tasks):
            task = task_of(spec)
            asked, shown = (
                [row.problem for row in rows if row.task == task.name and row.use == use]
                for use in ("asked", "shown")
            )
            for way in self.ways:
                yield f"{number}-{way.name}", task, way, asked, shown


def check(recipe: ThinkRecipe) -> None:
    """Raise for a task or a way that there is none of, before a folder is made."""
    ways_of(recipe.ask.ways, chat=True)
    for spec in recipe.ask.tasks:
        task = task_of(spec)
        if not task.problems(1, recipe.seed):
            raise InputError(f"{spec} has no problems", field="tasks", fix="name another task")
