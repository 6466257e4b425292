"""`candor chat add-tokens`, `tune`, `evaluate` and `talk`: what changes a model, and what asks it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from candor.cli.finish import finish
from candor.cli.options import Json, Model, Out, RecipeFile, Set, Template
from candor.core.errors import CandorError, InputError
from candor.core.processes import rank

Asked = Annotated[
    str, typer.Option("--model", help="Checkpoint folder, run folder, hub id, .gguf file, or `smollm2`.")
]

# Options of `tune` that are settings of the recipe by other names.
_SETTINGS = {
    "--data": "data.sources",
    "--model": "model.name",
    "--template": "model.template",
    "--lora": "tune.lora_rank",
}
_PARTS = ("threads", "tone")


def add_tokens(
    model: Asked,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the new checkpoint.")],
    template: Annotated[str, typer.Option("--template", help="`chatml`, or a Jinja file.")] = "chatml",
    init: Annotated[
        str,
        typer.Option(
            "--init",
            help="Values of new rows: `described` (mean of a few words' rows), `mean` (of all), `reuse` (the "
            "row of the token with the nearest job), `noise`.",
        ),
    ] = "described",
    token: Annotated[
        list[str] | None,
        typer.Option("--token", help="A special token that the template's text does not show; repeatable."),
    ] = None,
    reserved: Annotated[
        bool,
        typer.Option(
            "--reserved/--no-reserved", help="Use tokens that the vocabulary keeps in reserve, if it has any."
        ),
    ] = True,
    seed: Annotated[int, typer.Option("--seed", help="Of `--init noise`.")] = 0,
    as_json: Json = False,
) -> None:
    """Give a finished base model chat tokens and a template; every old logit stays what it was.

    Example: candor chat add-tokens --model runs/base --out runs/base-chatml
    """
    from candor.model.tokens import INITS  # noqa: PLC0415

    if init not in INITS:
        raise InputError(
            f"there is no initialisation '{init}'", field="--init", fix=f"choose one of {', '.join(INITS)}"
        )
    from candor.chat.add_tokens import add_chat_tokens  # noqa: PLC0415

    done = add_chat_tokens(
        model, out, template=template, init=init, extra=tuple(token or ()), reserved=reserved, seed=seed
    )
    added = done.added
    if as_json:
        print(json.dumps({"checkpoint": str(out), "end": done.end, **vars(added)}))
        return
    for text, number in added.present.items():
        idle = " (its row looks as if nothing had trained it)" if text in done.untrained else ""
        print(f"{text}: token {number}, there before, left as it is{idle}")
    for text, number in added.renamed.items():
        print(f"{text}: token {number}, in the place of one in reserve, begun by '{init}'")
    for text, number in added.appended.items():
        print(f"{text}: token {number}, new, begun by '{init}'")
    if added.rows_after != added.rows_before:
        print(f"embedding: {added.rows_before:,} → {added.rows_after:,} rows")
    if done.replaced:
        print("the chat template that the model had was replaced")
    print(f"{done.end} ends an answer")
    print(f"checkpoint: {out}")
    print(f"next:       candor chat tune --model {out} --out RUN")


def tune(
    out: Out,
    model: Model = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data",
            help="File of conversations (.jsonl, .jsonl.gz, .parquet: messages, ShareGPT, Alpaca or "
            "prompt/completion); repeatable. Without it: the embedded conversations.",
        ),
    ] = None,
    template: Template = None,
    lora: Annotated[
        int | None, typer.Option("--lora", metavar="RANK", help="Train LoRA adapters of this rank instead.")
    ] = None,
    recipe: RecipeFile = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Teach a model to converse: loss on every assistant turn and on nothing else, then measure.

    Example: candor chat tune --model runs/base-chatml --data chats.jsonl --out runs/chat

    On several GPUs: torchrun --nproc-per-node 8 --no-python candor chat tune …
    """
    from candor.chat.recipe import ChatRecipe  # noqa: PLC0415
    from candor.core.recipe import read_recipe  # noqa: PLC0415

    given: dict[str, Any] = {
        "--model": model,
        "--template": template,
        "--lora": lora,
        "--data": [{"path": str(path)} for path in data] if data else None,
    }
    _refuse_two_of_one(given, overrides or ())
    options = {_SETTINGS[option]: value for option, value in given.items()}
    settings = read_recipe(ChatRecipe, recipe, overrides or (), options)
    for source in settings.data.sources:
        if source.path is not None and source.path.is_dir():
            raise InputError("is a folder", path=source.path, fix="name the files in it, each with --data")
        if source.path is not None and not source.path.is_file():
            raise InputError(
                "no such file", path=source.path, fix="check the path given as --data, or in data.sources"
            )
    if rank() > 0:
        from candor.chat.pipeline import work_along  # noqa: PLC0415

        work_along(out)
        return
    from candor.core.progress import Reporter  # noqa: PLC0415
    from candor.core.run import Run  # noqa: PLC0415

    run = Run.start(out, settings)
    from candor.chat.pipeline import ChatRun  # noqa: PLC0415

    job = ChatRun(run, Reporter("json" if as_json else "auto"))
    with run.discarding():
        job.up_to("evaluate")
    hint = f"candor chat talk --model {run.path('checkpoint')}"
    finish(run, as_json, _show, hints={"try": hint})


def evaluate(
    model: Asked,
    what: Annotated[
        str | None,
        typer.Option(
            "--what",
            help="threads (what depends on earlier turns), tone (how sure it sounds), or both: threads,tone. "
            "Default: both, without tone where its packages are missing.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Also write every case and reply here (JSON lines).")
    ] = None,
    template: Template = None,
    engine: Annotated[
        str, typer.Option("--engine", help="`local`, `vllm`, or the URL of a server with the same model.")
    ] = "local",
    seed: Annotated[int, typer.Option("--seed", help="Which cases and questions are written.")] = 0,
    as_json: Json = False,
) -> None:
    """Ask a model what depends on earlier turns, with controls, and hear how sure its replies sound.

    Example: candor chat evaluate --model smollm2 --what tone
    """
    parts = _parts(what)
    from candor.chat import threads  # noqa: PLC0415
    from candor.chat.tone_measure import ask_tone, plain, tone_rates, truth_as_json  # noqa: PLC0415
    from candor.chat.tone_questions import tone_questions  # noqa: PLC0415
    from candor.cli.chat_tables import show_threads, show_tone, table_of  # noqa: PLC0415
    from candor.core.files import write_jsonl  # noqa: PLC0415
    from candor.core.progress import Reporter  # noqa: PLC0415
    from candor.data.conversations import lead_of  # noqa: PLC0415
    from candor.engine.choose import chat_engine  # noqa: PLC0415
    from candor.engine.prompts import template_text  # noqa: PLC0415

    reporter = Reporter("json" if as_json else "auto")
    cases = threads.cases(seed) if "threads" in parts else []
    try:
        questions = tone_questions(seed) if "tone" in parts else []
    except CandorError as error:
        if what is not None:
            raise
        reporter.say(f"how sure it sounds is not measured: {error.message} ({error.fix})")
        questions = []
    reporter.say(f"loading {model}")
    asked = chat_engine(engine, model, template=template_text(template))
    rows: list[dict[str, Any]] = []
    told: dict[str, Any] = {"model": model}
    if cases:
        tokenizer = getattr(asked, "tokenizer", None)  # a server keeps its own to itself
        lead = lead_of(tokenizer) if tokenizer else " " if template == "plain" else ""
        with reporter.bar("what depends on earlier turns", 2 * len(cases)) as bar:
            found = threads.evaluate(asked, cases, lead=lead, on_progress=bar.advance)
        rows += [{"what": "threads", **row.model_dump(mode="json")} for row in found.rows]
        told |= {"cases": len(cases), "rates": table_of(found.rates())}
    if questions:
        with reporter.bar("how sure it sounds", len(questions)) as bar:
            heard = ask_tone(asked, questions, on_progress=bar.advance)
        rows += [{"what": "tone", **row.model_dump(mode="json")} for row in heard]
        told["tone"] = {"rates": plain(tone_rates(heard)), "truth": truth_as_json(heard)}
    if out is not None:
        write_jsonl(out, rows)
    if as_json:
        print(json.dumps(told))
        return
    if cases:
        show_threads({"after": told["rates"]})
        print("likelier: the right reply against one with the other value; by chance 50 %")
        print("written:  what the model writes; by chance nearly never")
    if questions:
        show_tone({"after": told["tone"]["rates"], "truth": {"after": told["tone"]["truth"]}})


def _parts(what: str | None) -> list[str]:
    """What is to be measured."""
    parts: list[str] = [*_PARTS] if what is None else [part.strip() for part in what.split(",")]
    for part in parts:
        if part not in _PARTS:
            raise InputError(
                f"there is nothing to measure by the name '{part}'",
                field="--what",
                fix="give threads, tone, or threads,tone",
            )
    return parts


def talk(
    model: Asked,
    system: Annotated[str, typer.Option("--system", help="A first message that stands before all.")] = "",
    template: Template = None,
    temperature: Annotated[float, typer.Option("--temperature", min=0.0, help="0 is greedy.")] = 0.7,
    top_p: Annotated[float, typer.Option("--top-p", help="Share of the probability to draw from.")] = 0.95,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Longest reply.")] = 256,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same one gives the same replies.")] = 0,
    dtype: Annotated[str, typer.Option("--dtype", help="bfloat16, float32 or float16.")] = "bfloat16",
) -> None:
    """Talk with a model in the terminal. /tokens shows what it really sees, /help the other commands.

    Example: candor chat talk --model runs/chat
    """
    from candor.chat.talk import Talk  # noqa: PLC0415
    from candor.cli.chat_talk import converse  # noqa: PLC0415
    from candor.engine.local import LocalEngine  # noqa: PLC0415
    from candor.engine.prompts import no_template, template_text  # noqa: PLC0415
    from candor.engine.protocol import Sampling  # noqa: PLC0415

    sampling = Sampling(max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed)
    engine = LocalEngine.load(model, dtype=dtype, template=template_text(template))
    if not engine.chat:
        raise no_template(model)
    converse(Talk(engine, sampling, system))


def _refuse_two_of_one(given: dict[str, Any], overrides: Sequence[str]) -> None:
    """Raise if a setting is given both by its option and by --set: one of them would be lost."""
    for option, setting in _SETTINGS.items():
        for override in overrides:
            key = override.partition("=")[0].strip()
            if given[option] is not None and (key == setting or key.startswith(f"{setting}.")):
                raise InputError(
                    f"{option} and --set {key}=… both say what {setting} is, and only one can hold",
                    fix=f"leave out {option}, or that --set",
                )


def _show(metrics: dict[str, Any]) -> None:
    from candor.cli.chat_tables import show_threads, show_tone  # noqa: PLC0415
    from candor.cli.chat_talk import harmless  # noqa: PLC0415

    loss = metrics["loss"]
    print(
        f"a held-out reply's token costs {loss['after']['value']:.3f} nats, {loss['before']['value']:.3f} "
        f"before ({_changed(loss['change'])})"
    )
    if "threads" in metrics:
        show_threads(metrics["threads"])
    if "tone" in metrics:
        show_tone(metrics["tone"])
    console = Console(highlight=False, soft_wrap=True)
    for sample in metrics["replies"]["after"]:
        for who, words in (("you:  ", sample["prompt"]), ("model:", sample["greedy"])):
            console.print(f"[bold]{who}[/] ", end="")
            console.print(harmless(" ".join(words.split())), markup=False)


def _changed(change: dict[str, Any]) -> str:
    """A change with its interval, which a single conversation does not have."""
    count = "1 conversation" if change["n"] == 1 else f"{change['n']:,} conversations"
    if change["low"] is None:
        return f"changed by {change['value']:+.3f}; {count}, too few for an interval"
    return f"changed by {change['value']:+.3f}, {change['low']:+.3f} to {change['high']:+.3f}; {count}"
