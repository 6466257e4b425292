"""Options that several verbs share, described once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from candor.core.errors import InputError

Out = Annotated[
    Path, typer.Option("--out", "-o", help="The run's folder; an unfinished run in it is continued.")
]
Model = Annotated[
    str | None, typer.Option("--model", help="Checkpoint folder, hub id, .gguf file, or `smollm2`.")
]
Template = Annotated[
    str | None,
    typer.Option(
        "--template", help="Chat template: `plain`, `chatml`, or a Jinja file; default: the model's own."
    ),
]
RecipeFile = Annotated[
    Path | None,
    typer.Option("--recipe", help="A TOML recipe; `candor recipe show` prints one to start from."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override any setting, such as seed=4; repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="Progress and results as JSON lines, for machines.")]
Host = Annotated[
    str, typer.Option("--host", help="Address to listen at; 0.0.0.0 is every network of this machine.")
]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free.")]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        envvar="CANDOR_API_KEY",
        show_envvar=True,
        help="Answer only who gives this key: a client's API key, a browser's password under any name. The "
        "variable is the safer way: other users of the machine see a command's arguments.",
    ),
]


_Number = TypeVar("_Number", int, float)


def numbers(text: str, option: str, kind: Callable[[str], _Number], example: str) -> list[_Number]:
    """A list as it is typed, with commas.

    Raises:
        InputError: it is none.
    """
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(
            f"'{text}' is no list of {'whole ' if kind is int else ''}numbers",
            field=option,
            fix=f"write for example {option} {example}",
        ) from error
