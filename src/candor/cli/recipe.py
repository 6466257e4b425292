"""`candor recipe`: look at every setting."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer

from candor.cli.options import RecipeFile, Set
from candor.core.errors import CandorError

if TYPE_CHECKING:
    from candor.core.recipe import Settings

app = typer.Typer(help="Look at recipes: every setting, its default and what it does.", no_args_is_help=True)

# Where each kind's settings are; imported when they are asked for.
_KINDS = {
    "knowledge": ("candor.knowledge.recipe", "KnowledgeRecipe"),
    "base": ("candor.base.recipe", "BaseRecipe"),
    "chat": ("candor.chat.recipe", "ChatRecipe"),
    "think": ("candor.reasoning.think.recipe", "ThinkRecipe"),
    "rl": ("candor.reasoning.rl.recipe", "RlRecipe"),
    "rlhf": ("candor.rewards.rlhf.recipe", "RlhfRecipe"),
    "hacking": ("candor.rewards.hacking.recipe", "HackingRecipe"),
    "audit": ("candor.rewards.audit.recipe", "AuditRecipe"),
    "reward": ("candor.rewards.model.recipe", "RewardRecipe"),
    "emerge": ("candor.reasoning.scratch.recipe", "EmergeRecipe"),
    "life": ("candor.life.recipe", "LifeRecipe"),
    "serve": ("candor.life.recipe", "ServeRecipe"),
}


@app.command()
def show(
    kind: Annotated[str, typer.Argument(help=f"What the recipe is for: {', '.join(_KINDS)}.")] = "knowledge",
    recipe: RecipeFile = None,
    overrides: Set = None,
) -> None:
    """Print a recipe with everything resolved and each setting explained; save it to start your own."""
    from candor.core.recipe import read_recipe, to_toml  # noqa: PLC0415

    print(to_toml(read_recipe(_recipe(kind), recipe, overrides or ()), comments=True), end="")


@app.command()
def reference() -> None:
    """Print every setting of every kind of recipe as one Markdown page: docs/reference-recipes.md."""
    from candor.core.reference import reference as written  # noqa: PLC0415

    print(written({kind: _recipe(kind) for kind in _KINDS}, "candor recipe reference"), end="")


def _recipe(kind: str) -> type[Settings]:
    if kind not in _KINDS:
        raise CandorError(f"no recipe of the kind '{kind}'", fix=f"there are: {', '.join(_KINDS)}")
    module, name = _KINDS[kind]
    return getattr(import_module(module), name)
