"""`candor reward`: models of what people, or facts, prefer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from candor.cli.estimates import percent, points
from candor.cli.finish import finish
from candor.cli.options import Json, Model, Out, RecipeFile, Set, Template
from candor.core.processes import rank

app = typer.Typer(help="Reward models: train one, or several, on preferences.", no_args_is_help=True)


@app.callback()
def _verbs() -> None:
    """A callback, so that `train` stays a verb of its own."""


@app.command()
def train(
    out: Out,
    model: Model = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Preferences, .jsonl or .jsonl.gz, in TRL's layouts: {prompt, chosen, rejected}, "
            "{chosen, rejected}, or {prompt, completion, label}. Default: pairs made of packaged facts.",
        ),
    ] = None,
    asked: Annotated[
        bool | None,
        typer.Option("--asked", help="Prompts that are strings are what a user asks, not raw text."),
    ] = None,
    members: Annotated[
        int | None, typer.Option("--members", min=1, help="Train so many: an ensemble. Default: 1.")
    ] = None,
    averaged: Annotated[
        bool | None, typer.Option("--averaged", help="Also one model with the mean of the members' weights.")
    ] = None,
    adversarial: Annotated[
        Path | None,
        typer.Option(
            "--adversarial",
            help="Pairs in which the nicer-looking answer is wrong, for the test of trust: {input, output_1, "
            "output_2, label, subset}, or pairs. Default: forty embedded ones.",
        ),
    ] = None,
    template: Template = None,
    epochs: Annotated[
        float | None, typer.Option("--epochs", help="Passes over the data. Default: 1.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Default: by the model's size.")
    ] = None,
    lora_rank: Annotated[
        int | None,
        typer.Option("--lora-rank", min=0, help="Train LoRA adapters of this rank, not all weights."),
    ] = None,
    frozen: Annotated[
        float | None, typer.Option("--frozen", help="Share of the layers, from the bottom, left as they are.")
    ] = None,
    recipe: RecipeFile = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Train a model that gives every completion a number: higher for what is preferred.

    Example: candor reward train --model smollm2 --data pairs.jsonl --members 4 --out runs/reward

    Rows are pairs, of which the chosen one is to be ahead (Bradley–Terry), or completions with a label.
    Some prompts are held out; on them accuracy and calibration are measured, beside what is trivial: that
    the longer completion wins, or the one that the model finds likelier. Then it is tested on pairs made to
    mislead, where the nicer-looking answer is wrong, and the last line says whether to trust it.

    RUN/checkpoint (or RUN/members/1, 2, …) loads in transformers as AutoModelForSequenceClassification with
    one label. Without --data it learns from packaged facts that a right answer is better than "I don't know",
    and that better than a wrong answer.

    On several GPUs: torchrun --nproc-per-node 8 --no-python candor reward train …
    """
    from candor.core.progress import Reporter  # noqa: PLC0415
    from candor.core.recipe import read_recipe  # noqa: PLC0415
    from candor.core.run import Run  # noqa: PLC0415
    from candor.rewards.model.recipe import RewardRecipe  # noqa: PLC0415

    options: dict[str, Any] = {
        "model.name": model,
        "model.template": template,
        "data.path": data,
        "data.asked": asked,
        "members": members,
        "averaged": averaged,
        "evaluate.adversarial": adversarial,
        "learn.epochs": epochs,
        "learn.learning_rate": learning_rate,
        "learn.lora_rank": lora_rank,
        "learn.frozen": frozen,
    }
    settings = read_recipe(RewardRecipe, recipe, overrides or (), options)
    if rank() > 0:
        from candor.rewards.model.pipeline import work_along  # noqa: PLC0415

        work_along(out)
        return
    run = Run.start(out, settings)
    from candor.rewards.model.pipeline import RewardRun  # noqa: PLC0415

    job = RewardRun(run, Reporter("json" if as_json else "auto"))
    with run.discarding():
        job.up_to("evaluate")
    finish(run, as_json, show, places={"reward model": ""}, told=_trust)


def _trust(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: metrics["distrust"][name] for name in ("trust", "sentence")}


def show(metrics: dict[str, Any]) -> None:
    """Print accuracy beside baselines, agreement, and what the test of trust says."""
    own, tricky = metrics["held_out"], metrics["distrust"]
    pairs = metrics["kind"] == "pairs"
    what = "held-out pairs" if pairs else "good and bad completions of held-out prompts"
    table = Table(title=f"{own['accuracy']['n']:,} {what}")
    for column in ("", "ranked rightly", "beside it, points"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row("reward model", percent(own["accuracy"]), "")
    for name, found in own["baselines"].items():
        label = "longer completion" if name == "longer" else f"{name}, before"
        table.add_row(label, percent(found["accuracy"]), points(found["ahead_of_it"], 1))
    table.add_row("coin", "50.0 %", "")
    for name, found in own.get("groups", {}).items():
        table.add_row(f"  {name}", percent(found), "")
    for name, found in metrics.get("ensemble", {}).get("combinations", {}).items():
        table.add_row(f"members, {name}", percent(found), "")
    for name, found in tricky["groups"].items():
        label = name.replace("Adversarial__", "")  # as LLMBar calls its groups
        table.add_row(f"misleading: {label}" if "natural" not in name.lower() else label, percent(found), "")
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(
        f"calibration error {own['ece']['value']:.3f}, Brier score {own['brier']['value']:.3f}, "
        f"log loss {own['log_loss']['value']:.3f}"
    )
    if metrics.get("ensemble"):
        console.print(f"members agree on {percent(metrics['ensemble']['agreement'])} of pairs")
    console.print(tricky["sentence"], markup=False)
