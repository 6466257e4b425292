"""`candor rlhf`: a policy learns from a reward model, with a guarantee against reward hacking."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from candor.cli.finish import finish
from candor.cli.options import Json, Out, RecipeFile, Set, numbers
from candor.core.processes import rank


def rlhf(
    out: Out,
    model: Annotated[
        str | None,
        typer.Option("--model", help="The policy: checkpoint folder, hub id, .gguf file, or `smollm2`."),
    ] = None,
    reward: Annotated[
        str | None,
        typer.Option(
            "--reward", help="Run folder of `candor reward train`, or any checkpoint with one label."
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option("--prompts", help='JSON Lines with "prompt" (a text or messages), or .txt, one a line.'),
    ] = None,
    regularizer: Annotated[
        str | None,
        typer.Option(
            "--regularizer",
            help="`chi2` (√χ², with the guarantee; the default), `max-min`, `kl` (k1 in the reward), "
            "`kl-loss` (GRPO's k3), or `none`.",
        ),
    ] = None,
    weight: Annotated[
        float | None,
        typer.Option(
            "--weight", min=0, help="Of chi2, kl, kl-loss; chi2 without one finds it from gold labels."
        ),
    ] = None,
    shares: Annotated[
        str | None,
        typer.Option(
            "--shares",
            help="Shares of the weight to try, `1,0.5,0.25,0.1`: a training each, and the policy is kept "
            "whose gain by gold the labels foresee to be the largest.",
        ),
    ] = None,
    gold: Annotated[
        str | None,
        typer.Option(
            "--gold",
            help="What computes the true reward: `path.py:function` of (problem, completion), WHICH IS RUN, "
            "or another reward model. Without it you are asked to label some replies.",
        ),
    ] = None,
    combine: Annotated[
        str | None,
        typer.Option("--combine", help="Of an ensemble: `mean`, `worst`, `uncertainty` or `averaged`."),
    ] = None,
    transform: Annotated[
        str | None, typer.Option("--transform", help="Of the reward: `none`, `par` or `clip`.")
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Steps.")] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="Longest reply.")] = None,
    recipe: RecipeFile = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Train a policy on a reward that is only half trusted, so that the truth gains, too.

    Example: candor rlhf --model smollm2 --reward runs/reward --prompts prompts.jsonl --out runs/rlhf

    A reward model is a proxy: it goes with what you want by some correlation r, and a policy that optimises
    it hard finds what the proxy likes and you don't. With `chi2` the policy maximises
    reward - λ · √χ²(policy‖model), and λ = (deviation of the reward) · √(1 - r²) makes that a lower bound of
    the true gain: no label of the policy's own replies is needed. r comes from gold labels of the *model's*
    replies, 50 prompts × 4 by default. That λ is safe and dear; with `--shares` smaller ones are tried,
    too, and what each policy gains is foreseen from the same labels. The run stops once with a file
    to-label.jsonl for you to fill in (or takes --gold), and goes on when you give the same command again.

    At the end both are asked the held-out prompts, and an audit says what that shows: whether the gain is
    certified, and what would settle it if not.

    On several GPUs: torchrun --nproc-per-node 8 --no-python candor rlhf … (the policy learns on all of them)
    """
    from candor.core.progress import Reporter  # noqa: PLC0415
    from candor.core.recipe import read_recipe  # noqa: PLC0415
    from candor.core.run import Run  # noqa: PLC0415
    from candor.rewards.rlhf.recipe import RlhfRecipe  # noqa: PLC0415

    options: dict[str, Any] = {
        "model.name": model,
        "reward.model": reward,
        "reward.combine": combine,
        "reward.transform": transform,
        "prompts": None if prompts is None else str(prompts),
        "gold": gold,
        "rl.regularizer.name": regularizer,
        "rl.regularizer.weight": weight,
        "calibration.shares": None if shares is None else numbers(shares, "--shares", float, "1,0.5,0.25"),
        "rl.steps": steps,
        "rl.max_tokens": max_tokens,
    }
    settings = read_recipe(RlhfRecipe, recipe, overrides or (), options)
    if rank() > 0:
        from candor.rewards.rlhf.pipeline import work_along  # noqa: PLC0415

        work_along(out)
        return
    run = Run.start(out, settings)
    from candor.rewards.rlhf.pipeline import RlhfRun  # noqa: PLC0415

    with run.discarding():
        RlhfRun(run, Reporter("json" if as_json else "auto")).complete()
    finish(run, as_json)
