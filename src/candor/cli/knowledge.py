"""`candor knowledge`: find a model's knowledge boundary and teach it to say \"I don't know\"."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from candor.cli.estimates import percent
from candor.cli.finish import finish
from candor.cli.options import Json, Model, Out, RecipeFile, Set, Template
from candor.core.errors import InputError
from candor.core.processes import rank

if TYPE_CHECKING:
    from candor.knowledge.pipeline import KnowledgeRun

app = typer.Typer(
    help="Find a model's knowledge boundary and teach it to say \"I don't know\" beyond it.\n\n"
    "`run` does everything; `questions`, `probe`, `build`, `tune` and `evaluate` do it one stage at a time "
    "in the same folder.",
    no_args_is_help=True,
)

Documents = Annotated[
    Path | None,
    typer.Option(
        "--documents",
        help="Folder or file: .txt .md .html .pdf, or .jsonl / .parquet with {id, title, text}. "
        "Without it: the embedded documents.",
    ),
]
Questions = Annotated[
    Path | None,
    typer.Option(
        "--questions", help="JSONL of {question, answers: […], document?}: skips writing questions."
    ),
]
EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine", help="`local`, `vllm`, or an OpenAI-compatible server's URL, with the same model."
    ),
]
Generator = Annotated[
    str | None, typer.Option("--generator", help="Model or URL that writes the questions; default: --model.")
]
Budget = Annotated[
    float | None,
    typer.Option("--budget-minutes", help="Fit into about so many minutes by asking fewer questions."),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        help="Ask models by workers on a Ray cluster: `local` starts one here; `auto`, or HOST:PORT of its "
        "head, is the running one that this machine belongs to.",
    ),
]
Workers = Annotated[
    int | None, typer.Option("--workers", help="Of the cluster; default: as many as it has room for.")
]
Redo = Annotated[
    bool,
    typer.Option("--redo", help="Forget this stage and those after it, with their files, and run it again."),
]


@app.command()
def run(
    out: Out,
    model: Model = None,
    documents: Documents = None,
    questions: Questions = None,
    engine: EngineOption = None,
    generator: Generator = None,
    template: Template = None,
    budget_minutes: Budget = None,
    cluster: Cluster = None,
    workers: Workers = None,
    recipe: RecipeFile = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Do the whole job: questions, probe, build, tune, evaluate, report.

    Example: candor knowledge run --model smollm2 --documents notes/ --out runs/notes
    """
    job = _start(
        out,
        model,
        documents,
        questions,
        engine,
        generator,
        template,
        budget_minutes,
        cluster,
        workers,
        recipe,
        overrides,
        as_json,
    )
    _begin(job)
    job.all()
    _finish(job, as_json)


@app.command("questions")
def questions_(
    out: Out,
    model: Model = None,
    documents: Documents = None,
    questions: Questions = None,
    engine: EngineOption = None,
    generator: Generator = None,
    template: Template = None,
    budget_minutes: Budget = None,
    cluster: Cluster = None,
    workers: Workers = None,
    recipe: RecipeFile = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Begin a run: write questions from documents, or take yours."""
    job = _start(
        out,
        model,
        documents,
        questions,
        engine,
        generator,
        template,
        budget_minutes,
        cluster,
        workers,
        recipe,
        overrides,
        as_json,
    )
    _begin(job)


@app.command()
def probe(out: Out, redo: Redo = False, overrides: Set = None, as_json: Json = False) -> None:
    """Ask every question closed-book, once greedily and several times by sampling."""
    _continue(out, "probe", redo, overrides, as_json)


@app.command()
def build(out: Out, redo: Redo = False, overrides: Set = None, as_json: Json = False) -> None:
    """Label what is known and write the "I don't know" data set."""
    _continue(out, "build", redo, overrides, as_json)


@app.command()
def tune(out: Out, redo: Redo = False, overrides: Set = None, as_json: Json = False) -> None:
    """Tune the model on the data set and keep to the limit on over-refusal.

    On several GPUs: torchrun --nproc-per-node 8 --no-python candor knowledge tune --out RUN
    """
    if rank() > 0:
        from candor.knowledge.pipeline import tune_along  # noqa: PLC0415

        tune_along(out, overrides or (), redo=redo)
        return
    _continue(out, "tune", redo, overrides, as_json)


@app.command()
def evaluate(out: Out, redo: Redo = False, overrides: Set = None, as_json: Json = False) -> None:
    """Measure before and after on the held-out questions, and write the report."""
    _finish(_continue(out, "evaluate", redo, overrides, as_json), as_json)


def _start(
    out: Path,
    model: str | None,
    documents: Path | None,
    questions: Path | None,
    engine: str | None,
    generator: str | None,
    template: str | None,
    budget_minutes: float | None,
    cluster: str | None,
    workers: int | None,
    recipe: Path | None,
    overrides: list[str] | None,
    as_json: bool,
) -> KnowledgeRun:
    from candor.core.progress import Reporter  # noqa: PLC0415
    from candor.core.recipe import read_recipe  # noqa: PLC0415
    from candor.core.run import Run  # noqa: PLC0415
    from candor.knowledge.recipe import KnowledgeRecipe  # noqa: PLC0415

    options: dict[str, Any] = {
        "model.name": model,
        "model.template": template,
        "data.documents": documents,
        "data.questions": questions,
        "engine.engine": engine,
        "engine.generator": generator,
        "budget_minutes": budget_minutes,
        "cluster.address": cluster,
        "cluster.workers": workers,
    }
    settings = read_recipe(KnowledgeRecipe, recipe, overrides or (), options)
    source = settings.data.documents  # may come from a recipe
    if source is not None and source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise InputError(
            "lies inside the folder of documents, so the run would read its own files as documents",
            path=out,
            fix="name an --out elsewhere, or put the documents into a folder of their own",
        )
    # The stages bring PyTorch with them: a misspelled setting is told before that takes its seconds.
    from candor.knowledge.pipeline import KnowledgeRun, check_inputs  # noqa: PLC0415

    check_inputs(settings)  # before the folder is made: a typing error should leave nothing behind
    return KnowledgeRun(Run.start(out, settings), Reporter("json" if as_json else "auto"))


def _begin(job: KnowledgeRun) -> None:
    with job.run.discarding():
        job.do("questions")


def _continue(out: Path, stage: str, redo: bool, overrides: list[str] | None, as_json: bool) -> KnowledgeRun:
    from candor.core.progress import Reporter  # noqa: PLC0415
    from candor.core.run import Run  # noqa: PLC0415
    from candor.knowledge.recipe import KnowledgeRecipe  # noqa: PLC0415

    run = Run.open(out, KnowledgeRecipe)
    run.lock()
    from candor.knowledge.pipeline import KnowledgeRun, change_settings, forget_from  # noqa: PLC0415

    if redo:
        forget_from(run, stage)
    if overrides:
        run = change_settings(run, overrides, stage)
    job = KnowledgeRun(run, Reporter("json" if as_json else "auto"))
    job.do(stage)
    return job


def _finish(job: KnowledgeRun, as_json: bool) -> None:
    hint = f'candor ask --model {job.run.path("checkpoint")} "Who is Orson Kovacs?"'
    finish(job.run, as_json, _print_summary, hints={"try": hint})


def _print_summary(metrics: dict[str, Any]) -> None:
    table = Table(title=f"{metrics['before']['correct']['n']} held-out questions, split by document")
    for column in ("", "before", "after"):
        table.add_column(column, justify="left" if not column else "right")
    names = {"correct": "right", "incorrect": "wrong", "not_attempted": '"I don\'t know"'}
    for key, name in names.items():
        table.add_row(name, percent(metrics["before"][key]), percent(metrics["after"][key]))
    invented = metrics["invented"]
    table.add_row("invented refused", percent(invented["refused_before"]), percent(invented["refused_after"]))
    console = Console(highlight=False)
    console.print(table)
    change = metrics["change"]
    _print_way("the checkpoint by itself", change, invented["refused_after"])
    for way in metrics["abstention"]["ways"]:
        if way["name"] == "both":
            _print_way("with its gate (candor ask)", way, way["invented_refused"])


def _print_way(name: str, found: dict[str, Any], invented: dict[str, Any]) -> None:
    cut, kept = percent(found["wrong_cut"]), percent(found["right_kept"])
    print(f"{name}: wrong answers cut by {cut}, right ones kept {kept}, invented refused {percent(invented)}")
