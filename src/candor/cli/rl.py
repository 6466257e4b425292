"""`candor rl`: reinforcement learning on answers that can be checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from candor.cli.estimates import percent, points
from candor.cli.finish import finish
from candor.cli.options import Json, Model, Out, RecipeFile, Set
from candor.core.processes import rank

if TYPE_CHECKING:
    from candor.reasoning.rl.pipeline import Asked
    from candor.reasoning.rl.recipe import RlRecipe


def rl(
    out: Out,
    model: Model = None,
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            help="What is asked: `addition:2`, `multiplication:1-3`, `decimals`, `letters`, `words:2`, "
            "`gym:NAME` (reasoning-gym), or a .jsonl file in GSM8K's format.",
        ),
    ] = None,
    way: Annotated[
        str | None,
        typer.Option("--way", help="How: `direct`, `reversed`, `steps`, `explain`, `scratchpad`, `tool`."),
    ] = None,
    reward: Annotated[
        list[str] | None,
        typer.Option(
            "--reward",
            metavar="NAME[=WEIGHT]",
            help="What is rewarded, added up; repeatable. `correct` (the default), `answered`, `length`, or "
            "`path.py:function`: a Python file of your own, WHICH IS RUN as your program. The function names "
            "what it needs: problem, completion, answer, right, tokens, limit, truncated.",
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Steps.")] = None,
    prompts: Annotated[int | None, typer.Option("--prompts", min=1, help="Problems in a step.")] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", min=1, help="Completions of each problem.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", min=1, help="Longest completion: room to think in.")
    ] = None,
    shots: Annotated[
        int | None, typer.Option("--shots", min=0, help="Solved problems shown before each.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Default: by the model's size.")
    ] = None,
    rollouts: Annotated[
        str | None, typer.Option("--rollouts", help="What draws completions: `local` or `vllm`.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Begin even if the model never succeeds.")] = False,
    recipe: RecipeFile = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Let a model try, check its answers, and make what led to right ones likelier.

    Example: candor rl --model smollm2 --task addition:2 --way steps --steps 50 --out runs/rl

    Each step draws --samples completions of --prompts problems and compares each completion with the others
    of its problem: better ones become likelier, worse ones less so. Only the reward says what is better, and
    by default that is a right answer, however long it took. Something must succeed at times, or there is
    nothing to make likelier: that is checked first (pass@1 and pass@8), and so is the reward, on what a
    perfect completion would say.

    Watch in RUN/events.jsonl, or in the report: accuracy; tokens of a completion (thinking makes it longer);
    entropy (near 0, nothing new is tried); problems without variance (all completions rewarded alike, which
    teaches nothing); and on held-out problems pass@k beside pass@1: where only pass@1 grows, RL has made
    likelier what the model could do, and nothing else.

    On several GPUs: torchrun --nproc-per-node 8 --no-python candor rl …
    """
    from candor.core.recipe import read_recipe  # noqa: PLC0415
    from candor.reasoning.rl.recipe import RlRecipe  # noqa: PLC0415

    options: dict[str, Any] = {
        "model.name": model,
        "task": task,
        "way": way,
        "rewards": reward or None,
        "rollouts": rollouts,
        "rl.steps": steps,
        "rl.prompts": prompts,
        "rl.samples": samples,
        "rl.max_tokens": max_tokens,
        "rl.shots": shots,
        "rl.learning_rate": learning_rate,
    }
    settings = read_recipe(RlRecipe, recipe, overrides or (), options)
    asked = _asked(settings)
    from candor.core.progress import Reporter  # noqa: PLC0415
    from candor.core.run import Run  # noqa: PLC0415
    from candor.rl.regularizer import regularizer_of  # noqa: PLC0415
    from candor.rl.reward import rewards_of  # noqa: PLC0415

    rewards_of(settings.rewards)  # before a folder is made
    regularizer_of(settings.rl.regularizer)
    if rank() > 0:
        from candor.reasoning.rl.pipeline import work_along  # noqa: PLC0415

        work_along(out, settings, asked)
        return
    run = Run.start(out, settings)
    from candor.reasoning.rl.pipeline import RlRun  # noqa: PLC0415

    job = RlRun(run, asked, Reporter("json" if as_json else "auto"), force=force)
    with run.discarding():
        job.up_to("evaluate")
    finish(run, as_json, show)


def _asked(settings: RlRecipe) -> Asked:
    """The task and the way that the recipe names."""
    from candor.reasoning.rl.pipeline import Asked  # noqa: PLC0415
    from candor.reasoning.tasks import task_of  # noqa: PLC0415
    from candor.reasoning.ways import ways_of  # noqa: PLC0415
    from candor.reasoning.ways.asking import STOPS  # noqa: PLC0415

    ways_of([settings.way], chat=True)  # an unknown name is told at once
    return Asked(task_of(settings.task), lambda chat: ways_of([settings.way], chat=chat)[0], STOPS)


def show(metrics: dict[str, Any]) -> None:
    """Print what changed on the held-out problems."""
    before, after, change = (metrics[name] for name in ("before", "after", "change"))
    table = Table(title=f"{before['accuracy']['n']:,} completions of held-out problems")
    for column in ("", "before", "after", "change, points"):
        table.add_column(column, justify="left" if not column else "right")
    rows = [("right, drawn", "accuracy"), ("right, greedy", "greedy_accuracy"), ("reasoned", "reasoned")]
    for label, key in rows:
        table.add_row(label, percent(before[key]), percent(after[key]), points(change[key], 1))
    for k, estimate in after["pass"].items():
        table.add_row(
            f"pass@{k}", percent(before["pass"][k]), percent(estimate), points(change["pass"][k], 1)
        )
    tokens = [f"{found['tokens']['value']:.1f}" for found in (before, after, change)]
    table.add_row("tokens", *tokens)
    Console(highlight=False).print(table)
