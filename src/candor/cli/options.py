"""Options that several verbs share, described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
