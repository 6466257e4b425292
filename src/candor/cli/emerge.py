"""`candor think emerge`: chain of thought that nobody asked for, on a small model from scratch."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from candor.cli.estimates import percent
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
    from candor.core.files import read_json  # noqa: PLC0415
    from candor.reasoning.scratch.emerge import EmergeRun, Subject  # noqa: PLC0415

    Subject(settings)  # what can't be is told before a folder is made
    job = EmergeRun(Run.start(out, settings), Reporter("json" if as_json else "auto"))
    job.complete()
    metrics, checkpoint = job.run.path("metrics.json"), job.run.path("checkpoint")
    if as_json:
        print(json.dumps({"metrics": str(metrics), "checkpoint": str(checkpoint)}))
        return
    found = read_json(metrics)
    console = Console(highlight=False, soft_wrap=True)
    console.print(_table(found))
    question = job.example.question
    console.print(f"checkpoint: {checkpoint}", markup=False)
    console.print(f"before RL:  {job.run.path('base')}", markup=False)
    console.print(f"look:       candor serve {checkpoint}, and complete {question}", markup=False)


_ROWS = (
    ("right, drawn at temperature 1", "accuracy"),
    ("right, likeliest completion", "greedy_accuracy"),
    ("right, steps forbidden", "at_once"),
    ("completions with steps", "reasoned"),
    ("likeliest completion has steps", "greedy_reasoned"),
    ("longer than a demonstration", "beyond"),
    ("tokens of a completion", "tokens"),
)


def _table(metrics: dict[str, Any]) -> Table:
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
    return table


def _tokens(estimate: dict[str, Any]) -> str:
    bounds = "" if estimate["low"] is None else f" ({estimate['low']:.1f}–{estimate['high']:.1f})"
    return f"{estimate['value']:.1f}{bounds}"
