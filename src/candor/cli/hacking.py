"""`candor rewards hacking`: the laboratory in which reward hacking happens."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from candor.cli.estimates import signed
from candor.cli.finish import finish
from candor.cli.options import Json, Out, RecipeFile, Set


def hacking(
    out: Out,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            "--arm",
            help="One of the ways to learn, repeatable: `none`, `kl=0.1`, `kl-loss=0.1`, `chi2`, `chi2=0.5`, "
            "`max-min`, `mean`, `worst`, `uncertainty`, `par`, `par+chi2`, "
            "`best-of`, `pessimism`. Default: all, at several weights.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Fixes everything.")] = None,
    recipe: RecipeFile = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """See reward hacking happen to a small model, and what holds it off.

    Example: candor rewards hacking --out runs/hacking --arm none --arm kl=0.1 --arm chi2

    A small language model answers questions; what an answer is truly worth is known, and reward models learn
    it badly from 500 pairs of which a quarter are labelled the wrong way. One policy for each arm then learns
    from the same reward model. Shown is what became of the proxy and of the truth: with no regulariser the
    proxy goes up and the truth goes down. √χ² takes its weight from 200 labelled answers of the model as it
    was at first; no arm is told what its own answers are worth.
    """
    from candor.core.progress import Reporter  # noqa: PLC0415
    from candor.core.recipe import read_recipe  # noqa: PLC0415
    from candor.core.run import Run  # noqa: PLC0415
    from candor.rewards.hacking.recipe import HackingRecipe  # noqa: PLC0415
    from candor.rewards.rlhf.arms import Arm  # noqa: PLC0415

    options: dict[str, Any] = {"seed": seed, "arms": arm or None}
    settings = read_recipe(HackingRecipe, recipe, overrides or (), options)
    for spec in settings.arms:  # before a folder is made
        Arm.of(spec)
    run = Run.start(out, settings)
    from candor.rewards.hacking.pipeline import HackingRun  # noqa: PLC0415

    HackingRun(run, Reporter("json" if as_json else "auto")).complete()
    finish(run, as_json, show, places={})


def show(metrics: dict[str, Any]) -> None:
    """Print what became of proxy and truth in each arm."""
    table = Table(title="Change against the model as it was, on held-out questions, with 95 % intervals")
    for column in ("arm", "proxy, σ̃", "worth", "change of worth", "√χ²", "KL"):
        table.add_column(column, justify="left" if column == "arm" else "right")
    for row in metrics["arms"]:
        after = row["after"]
        table.add_row(
            row["arm"],
            f"{after['proxy_gain']:+.2f}",
            f"{after['gold_before']:.2f} → {after['gold']['value']:.2f}",
            signed(after["gold_change"]),
            f"{max(after['chi2'], 0) ** 0.5:.2f}",
            f"{after['kl']:.2f}",
        )
    Console(highlight=False).print(table)
