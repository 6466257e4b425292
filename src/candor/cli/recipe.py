"""`candor recipe`: look at every setting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from candor.cli.options import RecipeFile, Set
from candor.core.errors import CandorError

if TYPE_CHECKING:
    from candor.core.recipe import Settings

app = typer.Typer(help="Look at recipes: every setting, its default and what it does.", no_args_is_help=True)


@app.command()
def show(
    kind: Annotated[
        str, typer.Argument(help="What the recipe is for: knowledge, base, chat, rl or emerge.")
    ] = "knowledge",
    recipe: RecipeFile = None,
    overrides: Set = None,
) -> None:
    """Print a recipe with everything resolved and each setting explained; save it to start your own."""
    from candor.core.recipe import read_recipe, to_toml  # noqa: PLC0415

    print(to_toml(read_recipe(_recipe(kind), recipe, overrides or ()), comments=True), end="")


def _recipe(kind: str) -> type[Settings]:
    if kind == "knowledge":
        from candor.knowledge.recipe import KnowledgeRecipe  # noqa: PLC0415

        return KnowledgeRecipe
    if kind == "base":
        from candor.base.recipe import BaseRecipe  # noqa: PLC0415

        return BaseRecipe
    if kind == "chat":
        from candor.chat.recipe import ChatRecipe  # noqa: PLC0415

        return ChatRecipe
    if kind == "rl":
        from candor.reasoning.rl.recipe import RlRecipe  # noqa: PLC0415

        return RlRecipe
    if kind == "emerge":
        from candor.reasoning.scratch.recipe import EmergeRecipe  # noqa: PLC0415

        return EmergeRecipe
    raise CandorError(f"no recipe of the kind '{kind}'", fix="there are: knowledge, base, chat, rl, emerge")
