"""Options that several verbs share, described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[
    Path, typer.Option("--out", "-o", help="The run's folder; an unfinished run in it is continued.")
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
