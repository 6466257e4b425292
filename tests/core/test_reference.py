"""The reference says of each setting what the recipe would do with it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from candor.core.recipe import Settings
from candor.core.reference import reference


class Source(Settings):
    """Where texts come from."""

    path: Path | None = Field(default=None, description="File | folder.")


class Learning(Settings):
    """How it learns: by heart.

    Nothing more than this line belongs into the page.
    """

    rate: float = Field(default=1e-3, gt=0, le=1, description="Learning rate.")
    betas: tuple[float, float] = Field(default=(0.9, 0.95), description="Two rates.")


class Training(Settings):
    """What is learned from."""

    sources: tuple[Source, ...] = Field(default=(), description="Texts.")
    steps: int = Field(default=10, ge=1, description="Steps.")
    learning: Learning = Learning(rate=0.5)


class Recipe(Settings):
    """A small recipe."""

    kind: Literal["small"] = "small"
    names: tuple[str, ...] = Field(default=("a", "ü"), min_length=1, description="Who.")
    training: Training = Training()


PAGE = reference({"small": Recipe}, "make page")


def row(key: str) -> str:
    return next(line for line in PAGE.splitlines() if line.startswith(f"| `{key}` |"))


def test_a_row_has_key_values_default_and_description() -> None:
    assert row("training.steps") == "| `training.steps` | whole number ≥ 1 | `10` | Steps. |"
    assert row("names") == '| `names` | list of texts (1 or more) | `["a", "ü"]` | Who. |'
    assert row("training.learning.betas").split(" | ")[1:3] == ["[number, number]", "`[0.9, 0.95]`"]
    assert row("kind").split(" | ")[1] == '`"small"`'


def test_a_default_is_that_of_the_recipe_and_not_of_the_tables_class() -> None:
    assert row("training.learning.rate") == (
        "| `training.learning.rate` | number > 0, ≤ 1 | `0.5` | Learning rate. |"
    )


def test_what_is_unset_and_what_would_break_the_table() -> None:
    assert row("training.sources.path") == "| `training.sources.path` | path | *unset* | File \\| folder. |"


def test_each_table_stands_under_its_name_and_its_own_settings_before_tables_inside_it() -> None:
    headings = [line for line in PAGE.splitlines() if line.startswith("#")]
    assert headings == [
        "# Reference: recipes",
        "## small",
        "### `[training]` of small",
        "### `[[training.sources]]` of small",
        "### `[training.learning]` of small",
    ]
    assert "How it learns: by heart." in PAGE
    assert "Nothing more" not in PAGE
