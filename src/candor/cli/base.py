"""`candor corpus`, `candor tokenizer`, `candor pretrain`, `candor recall`: a base model from text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from candor.cli.estimates import percent
from candor.cli.finish import finish
from candor.cli.options import Json, Out, Set
from candor.core.errors import CandorError, InputError
from candor.core.processes import processes, rank

if TYPE_CHECKING:
    from candor.base.pipeline import BaseRun

corpus_app = typer.Typer(
    help="Build a corpus: read, filter, leave out what comes twice, hold some out.", no_args_is_help=True
)
tokenizer_app = typer.Typer(help="Train a tokenizer and turn the corpus into tokens.", no_args_is_help=True)

Recipe = Annotated[
    Path | None,
    typer.Argument(
        help="A TOML recipe; `candor recipe show base` prints one. Without it: the embedded corpus.",
        show_default=False,
    ),
]
Depth = Annotated[
    int | None, typer.Option("--depth", help="The dial: layers; width, rate, batch and tokens follow.")
]
Start = Annotated[
    str | None,
    typer.Option("--start", help="Continue this checkpoint (folder, hub id, smollm2), with its tokenizer."),
]
Track = Annotated[
    str | None, typer.Option("--track", help="Send metrics to `trackio`, `tensorboard` or `wandb` too.")
]


@corpus_app.command("build")
def corpus_build(out: Out, recipe: Recipe = None, overrides: Set = None, as_json: Json = False) -> None:
    """Read the sources, leave out what is not worth learning from, and say what and why.

    Example: candor corpus build recipes/base-laptop.toml --out runs/base
    """
    job = _start(out, recipe, overrides, {}, as_json)
    with job.run.discarding():
        job.up_to("corpus")
    if as_json:
        print(json.dumps({"table": str(job.run.path("corpus", "table.json"))}))


@tokenizer_app.command("train")
def tokenizer_train(out: Out, recipe: Recipe = None, overrides: Set = None, as_json: Json = False) -> None:
    """Train a byte-level BPE tokenizer on the run's corpus (built first if need be), and use it.

    Example: candor tokenizer train recipes/base-laptop.toml --out runs/base
    """
    job = _start(out, recipe, overrides, {}, as_json)
    with job.run.discarding():
        job.up_to("tokenizer")
    if as_json:
        print(json.dumps({"tokenizer": str(job.run.path("tokenizer"))}))


def pretrain(
    out: Out,
    recipe: Recipe = None,
    depth: Depth = None,
    start: Start = None,
    track: Track = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Train a base model, with its corpus and tokenizer if they are not there yet, and measure it.

    Example: candor pretrain recipes/base-laptop.toml --out runs/base

    On several GPUs: candor tokenizer train RECIPE --out RUN, then
    torchrun --nproc-per-node 8 --no-python candor pretrain RECIPE --out RUN
    """
    options = {"model.depth": depth, "model.start": start, "train.track": track}
    if rank() > 0:
        from candor.base.pipeline import work_along  # noqa: PLC0415

        work_along(out)
        return
    job = _start(out, recipe, overrides, options, as_json)
    if processes() > 1 and not job.run.done("tokenizer"):
        job.run.discard_if_empty()
        raise CandorError(
            f"{out}: with several processes the corpus and its tokens have to be there already",
            fix=f"run `candor tokenizer train` with the same recipe and --out {out} first, without torchrun",
        )
    with job.run.discarding():
        job.up_to("evaluate")
    hint = f"candor compress FILE --model {job.run.path('checkpoint')}"
    finish(job.run, as_json, _show, hints={"try": hint})


def recall(
    model: Annotated[
        str, typer.Option("--model", help="Checkpoint folder, hub id, .gguf file, `smollm2`, or a run.")
    ],
    corpus: Annotated[Path, typer.Option("--corpus", help="The run (--out) that has the corpus.")],
    as_json: Json = False,
) -> None:
    """What a model recites of a corpus, and which of its facts it answers, by how often they stand in it.

    Example: candor recall --model runs/base --corpus runs/base
    """
    from candor.base.recipe import BaseRecipe  # noqa: PLC0415
    from candor.core.progress import Reporter  # noqa: PLC0415
    from candor.core.run import Run  # noqa: PLC0415

    run = Run.open(corpus, BaseRecipe)
    run.need("corpus", f"`candor corpus build --out {corpus}`")
    run.lock()
    from candor.base.pipeline import BaseRun  # noqa: PLC0415
    from candor.engine.local import LocalEngine  # noqa: PLC0415

    reporter = Reporter("json" if as_json else "auto")
    reporter.say(f"loading {model}")
    name = "".join(c if c.isalnum() or c in "-." else "-" for c in model.strip("/.")) or "model"
    found = BaseRun(run, reporter).recall(LocalEngine.load(model), name)
    if as_json:
        print(json.dumps({"recall": str(run.path("recall", f"{name}.json"))}))
        return
    _show_recall({part: found[part]["by_times"] for part in ("passages", "facts") if part in found})
    print(f"each passage and question: {run.path('recall', f'{name}.json')}")


def _start(
    out: Path, recipe: Path | None, overrides: list[str] | None, options: dict[str, Any], as_json: bool
) -> BaseRun:
    from candor.base.recipe import BaseRecipe  # noqa: PLC0415
    from candor.core.progress import Reporter  # noqa: PLC0415
    from candor.core.recipe import read_recipe  # noqa: PLC0415
    from candor.core.run import Run  # noqa: PLC0415

    if recipe is not None and recipe.is_dir():
        raise InputError(
            "a folder, not a recipe",
            path=recipe,
            fix=f"""to read its documents: --set 'corpus.sources=[{{path = "{recipe}"}}]' in place of a """
            "recipe, or path under [[corpus.sources]] in one (`candor recipe show base`)",
        )
    settings = read_recipe(BaseRecipe, recipe, overrides or (), options)
    for source in settings.corpus.sources:
        if source.path is None:
            continue
        if not source.path.exists():
            raise InputError("no such file or folder", path=source.path, fix="check the path of this source")
        if source.path.is_dir() and out.resolve().is_relative_to(source.path.resolve()):
            raise InputError(
                f"lies inside the source {source.path}, so the run would read its own files",
                path=out,
                fix="name an --out elsewhere",
            )
    from candor.base.pipeline import BaseRun, check  # noqa: PLC0415

    if not (out / "recipe.toml").exists():
        check(settings)
    return BaseRun(Run.start(out, settings), Reporter("json" if as_json else "auto"))


def _show(metrics: dict[str, Any]) -> None:
    rows = metrics["compression"]
    size = rows[0]["bits_per_byte"]["bytes"]
    table = Table(title=f"{size / 1e6:.2f} MB of held-out text")
    table.add_column("")
    table.add_column("bits per byte", justify="right")
    for row in rows:
        found = row.get("bits_per_byte")
        if isinstance(found, dict):
            bounds = "" if found["low"] is None else f" ({found['low']:.3f}–{found['high']:.3f})"
            table.add_row(row["name"], f"{found['value']:.3f}{bounds}")
        else:
            table.add_row(row["name"], row["note"] if found is None else f"{found:.3f}")
    console = Console(highlight=False)
    console.print(table)
    if "recall" in metrics:
        _show_recall(metrics["recall"])
    for sample in metrics["samples"]:
        console.print(f"{sample['prompt']}[bold]…[/]", end=" ")
        console.print(" ".join(sample["drawn"].split()), markup=False)


def _show_recall(found: dict[str, Any]) -> None:
    console = Console(highlight=False)
    if "passages" in found:
        table = Table(title="Passages recited word for word, by how often the corpus holds them")
        for column in ("times", "passages", "all of it", "share of the words"):
            table.add_column(column, justify="right")
        for row in found["passages"]:
            table.add_row(
                str(row["times"]),
                str(row["exact"]["n"]),
                percent(row["exact"]),
                percent(row["share_of_words"]),
            )
        console.print(table)
    if "facts" in found:
        table = Table(title="Facts answered, by how many documents state them")
        for column in ("times", "facts", "answered", "chosen out of ten"):
            table.add_column(column, justify="right")
        for row in found["facts"]:
            table.add_row(
                str(row["times"]), str(row["right"]["n"]), percent(row["right"]), percent(row["chosen"])
            )
        console.print(table)
