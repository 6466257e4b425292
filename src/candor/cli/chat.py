"""`candor chat`: what a model is made to learn from conversations, and conversations that are in order."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from candor.cli import chat_model
from candor.cli.options import Json, Template
from candor.core.errors import CandorError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from candor.data.chat_files import Tally
    from candor.data.chat_layouts import Layout

app = typer.Typer(
    help="From a base model to one that converses: `check` the data, `add-tokens`, `tune`, then `talk`.\n\n"
    "`show-mask` shows what is learned, `evaluate` what a model makes of earlier turns and "
    "how sure it sounds.",
    no_args_is_help=True,
)

_LISTED = 10  # problems that `check` names

Model = Annotated[
    str,
    typer.Option(
        "--model", help="Checkpoint folder, hub id, .gguf file, `smollm2`, or a tokenizer's folder."
    ),
]
LayoutName = Annotated[
    str,
    typer.Option("--layout", help="Of the rows: auto, messages, sharegpt, alpaca or completion."),
]

ToolNames = Annotated[
    list[str] | None,
    typer.Option(
        "--tool", help="A tool that the assistant calls, such as calculator: results aren't learned."
    ),
]


@app.command("show-mask")
def show_mask(
    file: Annotated[Path, typer.Argument(help="Conversations: .jsonl, .jsonl.gz or .parquet.")],
    model: Model,
    template: Template = None,
    count: Annotated[int, typer.Option("--count", min=1, help="Show so many conversations.")] = 3,
    borders: Annotated[bool, typer.Option("--borders", help="Show where tokens end, too.")] = False,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens", min=1, help="Show the pieces that `tune` cuts longer conversations into."
        ),
    ] = None,
    layout: LayoutName = "auto",
    tool: ToolNames = None,
    as_json: Json = False,
) -> None:
    """Show what a model reads of a conversation, and which tokens of it are learned.

    Example: candor chat show-mask chats.jsonl --model smollm2
    """
    from candor.chat.mask import Mask, print_legend  # noqa: PLC0415
    from candor.data.chat_files import read_conversations  # noqa: PLC0415
    from candor.data.conversations import encode_turns  # noqa: PLC0415
    from candor.data.long_chats import encode_pieces  # noqa: PLC0415
    from candor.engine.text import TokenText  # noqa: PLC0415
    from candor.tools import named_tools  # noqa: PLC0415

    rows = read_conversations(file, layout=_layout(layout))
    tokenizer = _tokenizer(model, template)
    tools = named_tools(tool or (), tokenizer.get_added_vocab())  # type: ignore[operator]
    table = TokenText(tokenizer)
    console = Console(highlight=False)
    for number, (where, conversation) in enumerate(islice(rows, count)):
        try:
            examples = (
                encode_turns(conversation, tokenizer, tools=tools)
                if max_tokens is None
                else encode_pieces(conversation, tokenizer, max_tokens=max_tokens, tools=tools).examples
            )
        except CandorError as error:
            raise CandorError(f"{where}: {error.message}", fix=error.fix) from error
        if number == 0 and not as_json:
            print_legend(console)
        for example in examples:
            mask = Mask(example, tokenizer, table)
            if as_json:
                row = {"file": str(where.path), "line": where.line, "tokens": mask.as_json()}
                print(json.dumps(row, ensure_ascii=False))
                continue
            console.print(f"\n{where}", style="bold", markup=False, soft_wrap=True)
            mask.print(console, borders=borders)


@app.command("check")
def check(
    files: Annotated[list[Path], typer.Argument(help="Conversations: .jsonl, .jsonl.gz or .parquet.")],
    model: Model,
    template: Template = None,
    max_tokens: Annotated[
        int | None,
        typer.Option("--max-tokens", min=1, help="Conversations with more tokens are a problem, too."),
    ] = None,
    split: Annotated[
        bool, typer.Option("--split", help="With --max-tokens: cut them between turns, as `tune` does.")
    ] = False,
    layout: LayoutName = "auto",
    tool: ToolNames = None,
    as_json: Json = False,
) -> None:
    """Check every conversation of the files, and show what the mix is made of.

    Example: candor chat check chats.jsonl more.parquet --model smollm2 --max-tokens 1024

    Problems are named with file and line, up to ten of them, and the exit code is then 2.
    """
    from candor.chat.check import check_files  # noqa: PLC0415
    from candor.chat.mix_table import mix_table  # noqa: PLC0415
    from candor.core.progress import Reporter  # noqa: PLC0415
    from candor.tools import named_tools  # noqa: PLC0415

    chosen = _layout(layout)
    if split and max_tokens is None:
        raise CandorError("--split needs a length", fix="give it, such as --max-tokens 1024")
    tokenizer = _tokenizer(model, template)
    reporter = Reporter("json" if as_json else "auto")
    mix, tally = check_files(
        files,
        tokenizer,
        layout=chosen,
        max_tokens=max_tokens,
        tools=named_tools(tool or (), tokenizer.get_added_vocab()),  # type: ignore[operator]
        split=split,
        samples=_LISTED,
        reporter=reporter,
    )
    if as_json:
        print(json.dumps({"mix": mix.as_json(), **tally.as_json()}, ensure_ascii=False))
    elif mix.total.conversations:
        Console(highlight=False).print(mix_table(mix))
    if tally.left_out:
        raise _problems(tally)


def _problems(tally: Tally) -> CandorError:
    """One error of the first problems, and what to do about each kind."""
    found = tally.first(_LISTED)
    more = f"; the first {len(found)}" if tally.left_out > len(found) else ""
    reasons = ", ".join(f"{reason} ({problem.count:,})" for reason, problem in tally.problems.items())
    listed = "".join(f"\n  {sample.message}" for sample in found)
    fixes = {reason: problem.samples[0].fix for reason, problem in tally.problems.items()}
    fix = "; ".join(f"{reason}: {fix}" if len(fixes) > 1 else str(fix) for reason, fix in fixes.items())
    count = "1 problem" if tally.left_out == 1 else f"{tally.left_out:,} problems"
    return CandorError(f"{count}: {reasons}{more}:{listed}", fix=fix)


def _layout(name: str) -> Layout:
    from candor.data.chat_layouts import LAYOUTS  # noqa: PLC0415

    if name == "auto":
        return "auto"
    for layout in LAYOUTS:
        if layout == name:
            return layout
    known = ", ".join(["auto", *LAYOUTS])
    raise CandorError(f"--layout {name}: no layout by that name", fix=f"choose one of {known}")


def _tokenizer(model: str, template: str | None) -> PreTrainedTokenizerBase:
    """A model's tokenizer with the template that the user named; an error if it then has none."""
    from candor.engine.prompts import no_template, set_template, template_text  # noqa: PLC0415
    from candor.model.load import load_tokenizer  # noqa: PLC0415

    text = template_text(template)
    tokenizer = load_tokenizer(model)
    set_template(tokenizer, text)
    if not tokenizer.chat_template:
        raise no_template(model)
    return tokenizer


app.command("add-tokens")(chat_model.add_tokens)
app.command("tune")(chat_model.tune)
app.command("evaluate")(chat_model.evaluate)
app.command("talk")(chat_model.talk)
