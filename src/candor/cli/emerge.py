"""`candor think emerge`: chain of thought that nobody asked for, on a small model from scratch."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from candor.cli.estimates import percent
from candor.cli.finish import CHECKPOINT, finish
from candor.cli.options import Json, Out, RecipeFile, Set


def emerge(
    out: Out,
    task: Annotated[
        str | None,
        typer.Option("--task", help="digit-sum:N, parity:N or cups:N; N is a length or a range (6-12)."),
    ] = None,
    demonstrations: Annotated[
        float | None,
        typer.Option("--demonstrations", help="Share of pretraining that is worked out, 0 to 1."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of questions, weights, order, draws.")] = None,
    recipe: RecipeFile = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Pretrain a small model on mostly short answers, reward right answers, and see it begin to reason.

    Example: candor think emerge --out runs/emerge

    A minute or two on two cores. Nothing rewards steps or length; which share of pretraining showed
    steps is the one thing that was put there (--demonstrations).
    """
    from candor.core.progress import Reporter  # noqa: PLC0415
    from candor.core.recipe import read_recipe  # noqa: PLC0415
    from candor.core.run import Run  # noqa: PLC0415
    from candor.reasoning.scratch.recipe import EmergeRecipe  # noqa: PLC0415

    options = {"task": task, "mixture.demonstrations": demonstrations, "seed": seed}
    settings = read_recipe(EmergeRecipe, recipe, overrides or (), options)
    from candor.reasoning.scratch.emerge import EmergeRun, Subject  # noqa: PLC0415

    Subject(settings)  # what can't be is told before a folder is made
    job = EmergeRun(Run.start(out, settings), Reporter("json" if as_json else "auto"))
    job.complete()
    look = f"candor serve {job.run.path('checkpoint')}, and complete {job.example.question}"
    places = {**CHECKPOINT, "before RL": "base"}
    finish(job.run, as_json, show, places=places, hints={"look": look})


_ROWS = (
    ("right, drawn at temperature 1", "accuracy"),
    ("right, likeliest completion", "greedy_accuracy"),
    ("right, steps forbidden", "at_once"),
    ("completions with steps", "reasoned"),
    ("likeliest completion has steps", "greedy_reasoned"),
    ("longer than a demonstration", "beyond"),
    ("tokens of a completion", "tokens"),
)


def show(metrics: dict[str, Any]) -> None:
    """Print what the model did before and after RL."""
    table = Table(title=f"{metrics['task']}, {metrics['questions']} questions that it never saw")
    table.add_column("")
    moments = ("before", "after")
    for moment in moments:
        table.add_column(f"{moment} RL", justify="right")
    for words, name in _ROWS:
        shown = _tokens if name == "tokens" else percent
        table.add_row(words, *(shown(metrics[moment][name]) for moment in moments))
    for k in metrics["before"]["pass"]:
        table.add_row(f"pass@{k}", *(percent(metrics[moment]["pass"][k]) for moment in moments))
    Console(highlight=False, soft_wrap=True).print(table)


def _tokens(estimate: dict[str, Any]) -> str:
    bounds = "" if estimate["low"] is None else f" ({estimate['low']:.1f}–{estimate['high']:.1f})"
    return f"{estimate['value']:.1f}{bounds}"
