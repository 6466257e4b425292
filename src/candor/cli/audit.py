"""`candor audit`: did a policy gain what its proxy reward says, or hack it?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from candor.cli.options import Json, RecipeFile, Set
from candor.core.errors import CandorError

if TYPE_CHECKING:
    from candor.rewards.audit.recipe import AuditRecipe

# Rows of the table on the terminal: key of audit.json's numbers, label.
_ROWS = (
    ("r", "correlation of proxy and gold, r"),
    ("proxy_gain", "gain by the proxy"),
    ("gold_gain", "gain by gold"),
    ("chi2", "χ² of policy and reference"),
    ("kappa", "κ = gain / (sd · √χ²)"),
    ("needed_kappa", "κ needed, √(1 − r²)"),
    ("chi2_weight", "λ of √χ² for this proxy"),
)


def audit(
    log: Annotated[
        Path | None, typer.Argument(help="A log, .jsonl or .jsonl.gz.", metavar="[LOG]", show_default=False)
    ] = None,
    policy: Annotated[
        str | None, typer.Option("--policy", help="Without a log: the model that was trained.")
    ] = None,
    reference: Annotated[str | None, typer.Option("--reference", help="The model that it began as.")] = None,
    proxy: Annotated[
        str | None,
        typer.Option(
            "--proxy",
            help="The reward it was trained on: a reward model's folder, or `path.py:function`, a Python "
            "file of your own, WHICH IS RUN as your program. The function names what it needs: problem, "
            "completion, tokens, limit, truncated.",
        ),
    ] = None,
    gold: Annotated[str | None, typer.Option("--gold", help="The true reward, likewise.")] = None,
    gold_on: Annotated[
        str | None,
        typer.Option("--gold-on", help="`both` (the default), or `reference`: enough for a certificate."),
    ] = None,
    prompts: Annotated[
        str | None, typer.Option("--prompts", help="A .txt file, one a line, or .jsonl with `prompt`.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", min=1, help="Completions of each model for each prompt.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="Longest completion.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The audit's folder; default: LOG's name with -audit, beside it."),
    ] = None,
    recipe: RecipeFile = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Say whether a policy hacks the proxy reward that it was optimised for.

    Example: candor audit log.jsonl

    Example: candor audit --policy runs/rlhf/checkpoint --reference smollm2 --proxy runs/reward
    --gold gold.py:true --prompts prompts.txt --out runs/audit

    A log has a line for each completion: {"prompt": …, "source": "reference" or "policy", "proxy": 1.3,
    "gold": 0.2 (or none), "logp_policy": -31, "logp_reference": -40}, with summed log-probabilities of the
    whole completion under both, drawn at one temperature without top-p or top-k.

    The verdict is HACKING, NOT HACKING, NOT APPLICABLE (the proxy is not shown to go with gold) or
    UNDETERMINED, with what would settle it. Gold labels on the reference's completions alone can certify a
    policy that stayed near; a certificate that fails is no evidence of hacking.
    """
    from candor.core.recipe import read_recipe  # noqa: PLC0415
    from candor.rewards.audit.recipe import AuditRecipe  # noqa: PLC0415

    options: dict[str, Any] = {
        "log": None if log is None else str(log),
        "draw.policy": policy,
        "draw.reference": reference,
        "draw.proxy": proxy,
        "draw.gold": gold,
        "draw.gold_on": gold_on,
        "draw.prompts": prompts,
        "draw.samples": samples,
        "draw.max_tokens": max_tokens,
    }
    settings = read_recipe(AuditRecipe, recipe, overrides or (), options)
    settings.need_one_source()
    _run(settings, _folder(settings, out), as_json)


def _folder(settings: AuditRecipe, out: Path | None) -> Path:
    if out is not None:
        return out
    if settings.log is None:
        raise CandorError("no folder for the log that is drawn", fix="name one with --out")
    path = Path(settings.log)
    return path.with_name(path.name.partition(".")[0] + "-audit")


def _run(settings: AuditRecipe, out: Path, as_json: bool) -> None:
    from candor.core.progress import Reporter  # noqa: PLC0415
    from candor.core.run import Run  # noqa: PLC0415
    from candor.report import render_report  # noqa: PLC0415
    from candor.rewards.audit.log import read_log  # noqa: PLC0415
    from candor.rewards.audit.pipeline import AuditRun  # noqa: PLC0415

    if settings.log is not None:
        read_log(settings.log)  # before a folder is made
    run = Run.start(out, settings)
    with run.discarding():
        found = AuditRun(run, Reporter("json" if as_json else "auto")).whole()
    page = render_report(run.folder)
    if as_json:
        print(json.dumps({**found, "report": str(page)}, ensure_ascii=False))
        return
    show(found)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"report: {page}", markup=False)


def show(found: dict[str, Any]) -> None:
    """Print the verdict, its numbers and its reasons."""
    console = Console(highlight=False)
    colour = {"HACKING": "red", "NOT HACKING": "green"}.get(found["state"], "yellow")
    console.print(f"[bold {colour}]{found['state']}[/]")
    console.print(found["headline"], markup=False)
    table = Table()
    for column in ("", "estimate", "at least", "at most"):
        table.add_column(column, justify="left" if not column else "right")
    for key, label in _ROWS:
        row = found["numbers"].get(key)
        if row is not None and row["value"] is not None:
            table.add_row(label, *(_number(row[end]) for end in ("value", "low", "high")))
    console.print(table)
    for title, lines in (
        ("", found["reasons"]),
        ("what it means: ", [found["meaning"]]),
        ("what would settle it: ", found["settle"]),
        ("odd: ", [one["text"] for one in found["objections"]]),
    ):
        for line in lines:
            console.print(f"- {title}{line}", markup=False)
    share = 1 - found["limits"]["each"]
    console.print(
        f"Limits hold together in 95 % of audits (each misses in {share:.1%}); "
        f"{found['prompts']:,} prompts are the draws.",
        markup=False,
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}".replace("-", "−")
