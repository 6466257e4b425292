"""`candor rewards`: laboratories in which reward hacking is computed exactly."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from candor.cli.options import Json
from candor.core.errors import InputError

if TYPE_CHECKING:
    from candor.core.progress import Bar

app = typer.Typer(
    name="rewards",
    help="What a proxy reward does to the true one, computed exactly; only training samples.\n\n"
    "A proxy that correlates with the true reward under the reference policy (r > 0) can still be *hacked*: "
    "optimised, it takes true reward below the reference's. The optimum with a penalty λ·√χ², "
    "λ = σ̃·√(1 - r²), is never below. These verbs show it on bandits, on a gridworld and on a tiny language "
    "model, beside KL.\n\n"
    "Start with: candor rewards bandit",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Write all numbers to this JSON file (replaced if there).")
]
Page = Annotated[
    Path | None,
    typer.Option("--page", help="Write an HTML page with plots to this file (replaced if there)."),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of what is drawn.")]


@app.command()
def bandit(
    cases: Annotated[int, typer.Option("--cases", min=2, help="Random bandits of each family.")] = 200,
    seed: Seed = 0,
    out: Out = None,
    page: Page = None,
    as_json: Json = False,
) -> None:
    """Bandits, where optima have closed forms: √χ² at the theory's λ against KL with hindsight.

    Example: candor rewards bandit --page bandit.html

    First three arms (two plain ones, and a rare harmful one that the proxy likes best), then random families.
    "hindsight" means that the weight was chosen by true reward afterwards, as nobody could: it is the best
    that KL can do at all. √χ² gets one weight, from r, in advance, and has to end above the reference.
    """
    from candor.rewards.exact.bandit import FAMILIES, bandit_lab  # noqa: PLC0415

    _ready(out, page)
    found = _run("bandits", len(FAMILIES), as_json, lambda bar: bandit_lab(bar, cases=cases, seed=seed))
    _finish("bandit", found, out, page, as_json)


@app.command()
def tomato(
    reference: Annotated[
        float,
        typer.Option(
            "--reference",
            min=5.5,
            max=8.5,
            help="True reward an episode of the reference policy (best: 9.74).",
        ),
    ] = 5.96,
    quick: Annotated[bool, typer.Option("--quick", help="Coarse sweeps, and one reference only.")] = False,
    out: Out = None,
    page: Page = None,
    as_json: Json = False,
) -> None:
    """A gridworld whose proxy counts tomatoes that only look watered; occupancy measures solved exactly.

    Example: candor rewards tomato --out tomato.json

    Compares no penalty, KL, √χ² and max-min on occupancy measures (where the policy goes) and on action
    distributions (what it does in each state), at the theory's λ and at the best of a sweep with hindsight.
    All are exact optima; the largest gap to optimality is printed.
    """
    from candor.rewards.exact.tomato_methods import STEPS, tomato_lab  # noqa: PLC0415

    _ready(out, page)
    found = _run(
        "tomato garden", STEPS, as_json, lambda bar: tomato_lab(bar, true_return=reference, quick=quick)
    )
    _finish("tomato", found, out, page, as_json)


@app.command()
def enumerated(
    steps: Annotated[int, typer.Option("--steps", min=10, help="Steps of training.")] = 400,
    seed: Seed = 0,
    out: Out = None,
    page: Page = None,
    as_json: Json = False,
) -> None:
    """A language model with 4,096 completions: training samples, and everything else is a sum over all.

    Example: candor rewards enumerated --seed 1 --page enumerated.html

    Shows which recipes follow the gradient that they are said to (R' = R̃ - (λ/√χ²)·ρ does; a Monte-Carlo
    estimate of χ² in the loss doesn't), how far estimators of χ² can be trusted, and what each arm of
    training does to the true reward, with the bounds beside it.
    """
    from candor.rewards.exact.enumerated import ROUNDS, enumerated_lab  # noqa: PLC0415

    _ready(out, page)
    found = _run("enumerable model", ROUNDS, as_json, lambda bar: enumerated_lab(bar, steps=steps, seed=seed))
    _finish("enumerated", found, out, page, as_json)


def _run(title: str, total: int, as_json: bool, work: Callable[[Bar], dict[str, Any]]) -> dict[str, Any]:
    from candor.core.progress import Reporter  # noqa: PLC0415

    with Reporter("json" if as_json else "auto").bar(title, total) as bar:
        return work(bar)


def _ready(out: Path | None, page: Path | None) -> None:
    """What can't be written is told before the work."""
    from candor.core.files import need_writable  # noqa: PLC0415

    for path in (out, page):
        if path is not None:
            if path.is_dir():
                raise InputError("is a folder", path=path, fix="name a file")
            need_writable(path)


def _finish(lab: str, found: dict[str, Any], out: Path | None, page: Path | None, as_json: bool) -> None:
    from candor.core.files import write_json, write_text  # noqa: PLC0415
    from candor.rewards.exact.told import told  # noqa: PLC0415

    result, words = {"lab": lab, **found}, told(lab, found)
    if out is not None:
        write_json(out, result)
    if page is not None:
        from candor.report.rewards_exact_page import render_rewards_exact_page  # noqa: PLC0415

        command = " ".join(["candor", *map(shlex.quote, sys.argv[1:])])
        write_text(
            page, render_rewards_exact_page(result, words.headline, words.sentences, words.tables, command)
        )
    if as_json:
        print(json.dumps(result))
        return
    console = Console(highlight=False, soft_wrap=True)
    for title, columns, rows in words.tables:
        table = Table(title=title, title_justify="left", pad_edge=False)
        texts = [[column, *(row[index] for row in rows)] for index, column in enumerate(columns)]
        longest = [max((len(word) for text in cells for word in text.split()), default=1) for cells in texts]
        # No word is cut where there is room for all of them; else long ones are broken in two.
        fits = sum(longest) + 3 * len(columns) <= console.width - 4  # rich does not shrink quite that far
        for index, (column, least) in enumerate(zip(columns, longest, strict=True)):
            table.add_column(
                column,
                justify="right" if index else "left",
                min_width=least if fits else None,
                overflow="fold",
            )
        for row in rows:
            table.add_row(*row)
        console.print(table)
    console.print(words.headline, markup=False)
    for sentence in words.sentences:
        console.print(f"- {sentence}", markup=False)
    for name, path in (("numbers", out), ("page", page)):
        if path is not None:
            console.print(f"{name}: {path}", markup=False)
