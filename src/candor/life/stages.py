"""The stages of a life in order: what each needs, what it does in its folder, what shows that it is done."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from candor.base.pipeline import BaseRun
from candor.base.pipeline import check as check_base
from candor.chat.add_tokens import NOTES, add_chat_tokens
from candor.chat.pipeline import ChatRun
from candor.chat.recipe import ChatRecipe
from candor.core.files import write_json, write_text
from candor.core.progress import Reporter
from candor.core.recipe import Settings
from candor.core.run import Run
from candor.knowledge.pipeline import KnowledgeRun, check_inputs
from candor.life.recipe import OWN, LifeRecipe
from candor.life.serving import ServeRun
from candor.life.together import check_processes, together
from candor.model.load import resolve
from candor.reasoning.scratch.emerge import EmergeRun, Subject
from candor.report import render_report
from candor.report.rewards_exact_page import render_rewards_exact_page
from candor.rewards.exact.bandit import FAMILIES, bandit_lab
from candor.rewards.exact.told import told
from candor.rewards.hacking.pipeline import HackingRun
from candor.rewards.rlhf.arms import Arm

AnyRecipe = TypeVar("AnyRecipe", bound=Settings)

CHATML = "chatml"  # the base model with chat tokens, beside the stages' folders


@dataclass(frozen=True)
class Stage:
    """One stage of a life.

    Attributes:
        name: of the stage and of its folder in the life's.
        does: what it does, in a few words.
        tables: of the life's recipe that it reads.
        needs: names of the stages whose results it takes up, by the recipe.
        check: raises if what the recipe names is not there, before anything is computed.
        work: does it, or goes on with it, in the life's folder.
        made: files in its folder that are there when it is done.
    """

    name: str
    does: str
    tables: tuple[str, ...]
    needs: Callable[[LifeRecipe], tuple[str, ...]]
    check: Callable[[LifeRecipe], None]
    work: Callable[[Path, LifeRecipe, Reporter], None]
    made: tuple[str, ...] = ("metrics.json",)


@contextmanager
def _opened(folder: Path, settings: AnyRecipe, *, page: bool = True) -> Iterator[Run[AnyRecipe]]:
    """The stage's own run; its page, if it is to have one now, is written when its work is done."""
    run = Run.start(folder, settings)
    try:
        with run.discarding():
            yield run
            if page:
                render_report(folder)
    finally:
        run.close()


def _base(folder: Path, recipe: LifeRecipe, reporter: Reporter) -> None:
    # Of an earlier base model, if its folder was deleted to begin again.
    shutil.rmtree(folder / CHATML, ignore_errors=True)
    own = folder / "base"
    if recipe.processes > 1:
        with _opened(own, recipe.base, page=False) as run:
            BaseRun(run, reporter).up_to("tokenizer")
            done = run.done("pretrain")
        if not done:
            together(recipe.processes, "pretrain", [str(own / "recipe.toml")], own, reporter)
    with _opened(own, recipe.base) as run:
        BaseRun(run, reporter).up_to("evaluate")


def _serve(folder: Path, recipe: LifeRecipe, reporter: Reporter) -> None:
    settings = recipe.serve
    if settings.model == OWN:
        settings = settings.model_copy(update={"model": str(folder / "base")})
    with _opened(folder / "serve", settings) as run:
        ServeRun(run, reporter).complete()


def _chat(folder: Path, recipe: LifeRecipe, reporter: Reporter) -> None:
    own, settings = folder / "chat", _with_chat_tokens(folder, recipe.chat, reporter)
    if recipe.processes > 1:
        with _opened(own, settings, page=False) as run:
            ChatRun(run, reporter).up_to("data")
            done = run.done("tune")
        if not done:
            words = ["--recipe", str(own / "recipe.toml")]
            together(recipe.processes, "chat tune", words, own, reporter)
    with _opened(own, settings) as run:
        ChatRun(run, reporter).up_to("evaluate")


def _with_chat_tokens(folder: Path, settings: ChatRecipe, reporter: Reporter) -> ChatRecipe:
    """The settings with the life's base model in them, which gets its chat tokens first."""
    if settings.model.name != OWN:
        return settings
    chatting = folder / CHATML
    if not (chatting / NOTES).is_file():  # written last
        shutil.rmtree(chatting, ignore_errors=True)
        reporter.say("adding chat tokens to the base model")
        add_chat_tokens(str(folder / "base"), chatting)
    model = settings.model.model_copy(update={"name": str(chatting)})
    return settings.model_copy(update={"model": model})


def _knowledge(folder: Path, recipe: LifeRecipe, reporter: Reporter) -> None:
    own = folder / "knowledge"
    if recipe.processes > 1:
        with _opened(own, recipe.knowledge, page=False) as run:
            job = KnowledgeRun(run, reporter)
            for stage in ("questions", "probe", "build"):
                job.do(stage)
            job.models.release()
            done = run.done("tune")
        if not done:
            together(recipe.processes, "knowledge tune", [], own, reporter)
    with _opened(own, recipe.knowledge) as run:
        KnowledgeRun(run, reporter).all()


def _think(folder: Path, recipe: LifeRecipe, reporter: Reporter) -> None:
    with _opened(folder / "think", recipe.emerge) as run:
        EmergeRun(run, reporter).complete()


def _rewards(folder: Path, recipe: LifeRecipe, reporter: Reporter) -> None:
    with _opened(folder / "rewards", recipe.hacking) as run:
        HackingRun(run, reporter).complete()
        _bandits(run.folder, recipe, reporter)


def _bandits(folder: Path, recipe: LifeRecipe, reporter: Reporter) -> None:
    """The same where everything can be computed exactly: bandit.html, and bandit.json last."""
    settings = recipe.bandit
    with reporter.bar("bandits, exactly", len(FAMILIES)) as bar:
        found = bandit_lab(bar, cases=settings.cases, seed=settings.seed)
    result, words = {"lab": "bandit", **found}, told("bandit", found)
    command = f"candor rewards bandit --cases {settings.cases} --seed {settings.seed}"
    page = render_rewards_exact_page(result, words.headline, words.sentences, words.tables, command)
    write_text(folder / "bandit.html", page)
    write_json(folder / "bandit.json", result)


def _check_base(recipe: LifeRecipe) -> None:
    check_processes(recipe.processes)
    check_base(recipe.base)


def _check_served(recipe: LifeRecipe) -> None:
    if recipe.serve.model != OWN:
        resolve(recipe.serve.model)


def _check_chat(recipe: LifeRecipe) -> None:
    check_processes(recipe.processes)
    if recipe.chat.model.name != OWN:
        resolve(recipe.chat.model.name)


def _check_knowledge(recipe: LifeRecipe) -> None:
    check_processes(recipe.processes)
    check_inputs(recipe.knowledge)


def _check_task(recipe: LifeRecipe) -> None:
    Subject(recipe.emerge)


def _check_arms(recipe: LifeRecipe) -> None:
    for spec in recipe.hacking.arms:
        Arm.of(spec)


def _nothing(_: LifeRecipe) -> tuple[str, ...]:
    return ()


def _if_own(model: Callable[[LifeRecipe], str]) -> Callable[[LifeRecipe], tuple[str, ...]]:
    return lambda recipe: ("base",) if model(recipe) == OWN else ()


STAGES = (
    Stage("base", "a base model from text", ("base",), _nothing, _check_base, _base),
    Stage(
        "serve",
        "its raw completions, by the openai client",
        ("serve",),
        _if_own(lambda recipe: recipe.serve.model),
        _check_served,
        _serve,
    ),
    Stage(
        "chat",
        "chat tokens and conversations",
        ("chat",),
        _if_own(lambda recipe: recipe.chat.model.name),
        _check_chat,
        _chat,
    ),
    Stage(
        "knowledge",
        "what it knows, and saying “I don’t know”",
        ("knowledge",),
        _nothing,
        _check_knowledge,
        _knowledge,
    ),
    Stage(
        "think",
        "steps that nobody asked for",
        ("emerge",),
        _nothing,
        _check_task,
        _think,
    ),
    Stage(
        "rewards",
        "reward hacking, and what holds it off",
        ("hacking", "bandit"),
        _nothing,
        _check_arms,
        _rewards,
        ("metrics.json", "bandit.json"),
    ),
)
NAMES = tuple(stage.name for stage in STAGES)
