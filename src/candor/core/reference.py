"""The reference of recipes, as Markdown, made from the recipes themselves so that it can't say anything else.

`candor recipe reference` prints it; docs/reference-recipes.md is what it printed last, and a test compares.
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping, Sequence
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from candor.core.recipe import Settings, describe, table_of, validated

# The bounds that pydantic keeps in a field's metadata, as people write them.
_BOUNDS = {
    "ge": "≥ {}",
    "gt": "> {}",
    "le": "≤ {}",
    "lt": "< {}",
    "min_length": "({} or more)",
    "max_length": "({} at most)",
}
_WORDS = {bool: "true or false", int: "whole number", float: "number", str: "text", Path: "path"}
_MANY = {bool: "true or false", int: "whole numbers", float: "numbers", str: "texts", Path: "paths"}


def reference(kinds: Mapping[str, type[Settings]], command: str) -> str:
    """Every setting of every kind of recipe: its key, its values, its default and what it does.

    Args:
        kinds: name to recipe, in the order wanted.
        command: what made this, to be said in the page.
    """
    lines = [
        "# Reference: recipes",
        "",
        f"Made by `{command}` from the code; don't edit it by hand. A recipe is a TOML file; what it",
        "leaves out has its default. A verb's own options and `--set KEY=VALUE` win over the file, and",
        "`candor recipe show` with the name of a kind prints a recipe to start from. A key that does not",
        "exist is an error that names the nearest one that does. *Unset* means that there is no value;",
        "`--set KEY=none` takes one away again.",
        "",
        *(f"- [{name}](#{name}): {_first_line(kind)}" for name, kind in kinds.items()),
    ]
    for name, kind in kinds.items():
        lines += ["", f"## {name}", "", _first_line(kind), *_of_kind(kind)]
    return "\n".join(lines) + "\n"


def _of_kind(kind: type[Settings]) -> Iterator[str]:
    """The tables of one kind, each under its name in the recipe's file."""
    defaults = validated(kind, {})
    tables: dict[str, list[tuple[str, FieldInfo]]] = {}
    for key, info in describe(kind):  # a table's own settings first, then the tables inside it
        *within, _ = key.split(".")
        for end in range(len(within)):
            tables.setdefault(".".join(within[:end]), [])
        tables.setdefault(".".join(within), []).append((key, info))
    for table, rows in tables.items():
        if not rows:
            continue
        owner, many = _owner(kind, table)
        if table:
            heading = f"[[{table}]]" if many else f"[{table}]"
            yield from ("", f"### `{heading}` of {kind.model_fields['kind'].default}", "", _first_line(owner))
        yield from ("", "| key | values | default | |", "|---|---|---|---|")
        for key, info in rows:
            default = info.default if many else _at(defaults, key)
            values = _cell(_type(info.annotation, info.metadata))
            yield f"| `{key}` | {values} | {_default(default)} | {_cell(info.description or '')} |"


def _owner(kind: type[BaseModel], table: str) -> tuple[type[BaseModel], bool]:
    """The class behind a table's name, and whether such tables come as a list."""
    many = False
    for part in table.split(".") if table else ():
        annotation = kind.model_fields[part].annotation
        inner = table_of(annotation)
        assert inner is not None, table
        kind, many = inner, many or get_origin(annotation) in (tuple, list)
    return kind, many


def _at(recipe: Any, key: str) -> Any:
    """A setting's value in a recipe; None where the table that it lies in is unset."""
    for part in key.split("."):
        recipe = None if recipe is None else getattr(recipe, part)
    return recipe


def _type(annotation: Any, metadata: Sequence[Any] = (), words: Any = None) -> str:
    """A type in words, with its bounds."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(inner[0], [*metadata, *inner[1:]], words)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(one, metadata, words) for one in inner if one is not type(None))
    if origin is Literal:
        return ", ".join(f"`{json.dumps(value)}`" for value in inner)
    if origin in (tuple, list):
        one = [part for part in inner if part is not Ellipsis]
        if origin is tuple and Ellipsis not in inner:
            return f"[{', '.join(_type(part) for part in one)}]"
        return f"list of {_type(one[0], (), _MANY)}{_bounds(metadata)}"
    return f"{(words or _WORDS)[annotation]}{_bounds(metadata)}"


def _bounds(metadata: Sequence[Any]) -> str:
    bounds = [(getattr(one, name, None), shown) for one in metadata for name, shown in _BOUNDS.items()]
    found = [shown.format(bound) for bound, shown in bounds if bound is not None]
    return f" {', '.join(found)}" if found else ""


def _default(value: Any) -> str:
    if value is None:
        return "*unset*"
    if isinstance(value, BaseModel):  # of a list of tables
        value = value.model_dump(mode="json", exclude_none=True)
    return _cell(f"`{json.dumps(value, ensure_ascii=False, default=_plain)}`")


def _plain(value: Any) -> Any:
    return value.as_posix() if isinstance(value, Path) else str(value)


def _first_line(kind: type[BaseModel]) -> str:
    """The first paragraph of a class's docstring, on one line."""
    return " ".join(cleandoc(kind.__doc__ or "").partition("\n\n")[0].split())


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
