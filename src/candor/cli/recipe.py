"""`candor recipe`: look at every setting."""

from __future__ import annotations

from typing import Annotated

import typer

from candor.cli.options import RecipeFile, Set
from candor.core.errors import CandorError

app = typer.Typer(help="Look at recipes: every setting, its default and what it does.", no_args_is_help=True)


@app.command()
def show(
    kind: Annotated[str, typer.Argument(help="What the recipe is for: knowledge.")] = "knowledge",
    recipe: RecipeFile = None,
    overrides: Set = None,
) -> None:
    """Print a recipe with everything resolved and each setting explained; save it to start your own."""
    from candor.core.recipe import read_recipe, to_toml  # noqa: PLC0415
    from candor.knowledge.recipe import KnowledgeRecipe  # noqa: PLC0415

    if kind != "knowledge":
        raise CandorError(f"no recipe of the kind '{kind}'", fix="there is: knowledge")
    print(to_toml(read_recipe(KnowledgeRecipe, recipe, overrides or ()), comments=True), end="")
