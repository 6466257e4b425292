"""`candor ask`: one question, the answer, and how sure the model is inside."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console


def ask(
    question: Annotated[str, typer.Argument(help="The question, in quotes.")],
    model: Annotated[
        str, typer.Option("--model", help="A checkpoint that `candor knowledge` tuned, or its run folder.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the answer, the confidence, and what the gate would say.

    The confidence is a linear probe's reading of the model's hidden state before it answers: the
    probability that the answer is right. The gate says "I don't know" below the confidence that was
    chosen on held-out questions for the run's limit on over-refusal.
    """
    from candor.knowledge.gate import answer_with_confidence  # noqa: PLC0415

    reply = answer_with_confidence(model, question)
    if as_json:
        print(json.dumps(reply, ensure_ascii=False))
        return
    console = Console(highlight=False, soft_wrap=True)
    for name, text in (
        ("answer:    ", reply["answer"]),
        ("confidence:", f"{reply['confidence']:.0%} (the gate opens at {reply['threshold']:.0%})"),
        ("gated:     ", reply["gated"]),
    ):
        console.print(f"[bold]{name}[/] ", end="")
        console.print(text, markup=False)
