"""`candor life`: the whole life of a language model in one command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from candor.cli.options import Json, Out, Set


def life(
    out: Out,
    recipe: Annotated[
        Path | None,
        typer.Argument(
            help="A TOML recipe; `candor recipe show life` prints one. Without it: the embedded default.",
            show_default=False,
        ),
    ] = None,
    first: Annotated[
        str | None,
        typer.Option("--from", metavar="STAGE", help="Leave out the stages before this one."),
    ] = None,
    only: Annotated[
        str | None, typer.Option("--only", metavar="STAGE", help="Do this stage and no other.")
    ] = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Raise a model from text to a reasoner, measure every claim on the way, and write one report.

    Example: candor life --out runs/life

    The stages are base, serve, chat, knowledge, think and rewards; about twenty minutes on two idle cores.
    Each is an ordinary run in a folder of its own (runs/life/base, …), which its own verbs open, too. A
    killed life continues where it stopped. When a stage fails, those that don't need it go on; the same
    command, with settings mended if need be, does what is missing.

    On several GPUs: --set processes=8, and no torchrun; the life starts it for what they can train together.
    """
    from candor.core.progress import Reporter  # noqa: PLC0415
    from candor.core.recipe import read_recipe  # noqa: PLC0415
    from candor.life.recipe import LifeRecipe  # noqa: PLC0415

    settings = read_recipe(LifeRecipe, recipe, overrides or ())
    from candor.life.pipeline import LifeRun, begin, chosen  # noqa: PLC0415

    names = chosen(first, only)
    job = LifeRun(begin(out, settings, names), Reporter("json" if as_json else "auto"))
    try:
        job.go(names)
    finally:
        job.run.close()
        if job.run.path("report.json").exists():
            _show(job.run.path("report.html"), job.run.path("report.json"), as_json)


def _show(page: Path, file: Path, as_json: bool) -> None:
    """Print the claims and where the report is."""
    if as_json:
        print(json.dumps({"report": str(page), "claims": str(file)}))
        return
    from candor.core.files import read_json  # noqa: PLC0415

    found: dict[str, Any] = read_json(file)
    table = Table(title="What was claimed, and what was measured")
    for column in ("stage", "claim", "measured", ""):
        table.add_column(column)
    for claim in found["claims"]:
        table.add_row(claim["stage"], claim["says"], claim["measured"], claim["verdict"])
    Console(highlight=False).print(table)
    Console(highlight=False, soft_wrap=True).print(f"report: {page}", markup=False)
