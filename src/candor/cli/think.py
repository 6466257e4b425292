"""`candor think`: the same problems asked in several ways."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from candor.cli.emerge import emerge
from candor.cli.estimates import percent
from candor.cli.finish import finish
from candor.cli.options import Json, Model, Out, RecipeFile, Set, Template, numbers

app = typer.Typer(
    help="Tokens to think: one model asked the same problems in several ways.", no_args_is_help=True
)


app.command("emerge")(emerge)


@app.command("evaluate")
def evaluate(
    out: Out,
    model: Model = None,
    ways: Annotated[
        str | None,
        typer.Option(
            "--ways", help="With commas between: direct, reversed, steps, explain, scratchpad, tool."
        ),
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            "--tasks",
            help="With commas between: addition:1-9, subtraction:3, multiplication:2, decimals, letters, "
            "words, gym:NAME, or files in GSM8K's format.",
        ),
    ] = None,
    problems: Annotated[int | None, typer.Option("--problems", help="Of each task.")] = None,
    shown: Annotated[
        int | None, typer.Option("--shown", help="Solved problems that stand before each.")
    ] = None,
    budgets: Annotated[
        str | None,
        typer.Option("--budgets", help="Tokens to think, such as 4,16,64; `none` measures no curve."),
    ] = None,
    raw: Annotated[
        bool | None,
        typer.Option("--raw", help="Ask by text that the model goes on with, though it has a chat template."),
    ] = None,
    template: Template = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Fixes problems and examples.")] = None,
    recipe: RecipeFile = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Ask one model the same problems in several ways, and by how many tokens it may spend.

    Example: candor think evaluate --model smollm2 --tasks addition:1-9,decimals --out runs/think
    """
    from candor.core.recipe import read_recipe  # noqa: PLC0415
    from candor.reasoning.think.recipe import ThinkRecipe  # noqa: PLC0415

    options: dict[str, Any] = {
        "model.name": model,
        "model.raw": raw,
        "model.template": template,
        "ask.ways": _listed(ways),
        "ask.tasks": _listed(tasks),
        "ask.problems": problems,
        "ask.shown": shown,
        "answer.budgets": _budgets(budgets),
        "seed": seed,
    }
    settings = read_recipe(ThinkRecipe, recipe, overrides or (), options)
    from candor.reasoning.think.pipeline import ThinkRun, check  # noqa: PLC0415

    check(settings)
    from candor.core.progress import Reporter  # noqa: PLC0415
    from candor.core.run import Run  # noqa: PLC0415

    run = Run.start(out, settings)
    job = ThinkRun(run, Reporter("json" if as_json else "auto"))
    with run.discarding():
        if not run.done("budgets"):
            _ = job.engine  # a model that can't be loaded leaves no run
        job.up_to("evaluate")
    finish(run, as_json, show, places={"samples": "samples.jsonl"})


def _listed(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def _budgets(text: str | None) -> list[int] | None:
    if text is None or text.strip() == "none":
        return None if text is None else []
    return numbers(text, "--budgets", int, "4,16,64")


def show(metrics: dict[str, Any]) -> None:
    """Print the shares of right answers by way, and what could not be counted."""
    ways = metrics["ways"]
    table = Table(title=f"Right answers, {metrics['model']}")
    for name in ("", *ways):
        table.add_column(name, justify="left" if not name else "right")
    for task in metrics["tasks"]:
        rows = {row["way"]: row for row in metrics["accuracy"] if row["task"] == task and not row["kind"]}
        table.add_row(task, *(percent(rows[way]["right"]) if way in rows else "–" for way in ways))
    Console(highlight=False).print(table)
    whole = [row for row in metrics["accuracy"] if not row["kind"]]
    for key, words in (
        ("unread", "answers could not be read and count as wrong"),
        ("unfinished", "were cut"),
    ):
        if number := sum(row[key] for row in whole):
            print(f"{number} {words}")
