"""Recipes: every setting of a run, typed, documented, read from TOML, overridable one by one.

A recipe is a pydantic model whose fields carry descriptions; `candor recipe show` prints it resolved.
An unknown or invalid key is an error that names the key and the nearest valid one.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args, get_origin

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from candor.core.errors import InputError


class Settings(BaseModel):
    """A table of a recipe: unknown keys are refused, defaults are checked too."""

    # Neither TOML's inf nor nan is a number of anything that a recipe sets.
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    # Whether what comes out of a run depends on it. A table that only says where the work is done does not
    # shape results, and a run may be continued with another one.
    shapes_results: ClassVar[bool] = True


AnyRecipe = TypeVar("AnyRecipe", bound=Settings)


def read_recipe(
    kind: type[AnyRecipe],
    path: Path | None,
    overrides: Sequence[str] = (),
    options: dict[str, Any] | None = None,
) -> AnyRecipe:
    """Build a recipe from defaults, then a file, then named options, then `key=value` overrides.

    Args:
        kind: the recipe's class.
        path: a TOML file, or None.
        overrides: such as `probe.samples=4`; values are TOML, and bare words are taken as text.
        options: dotted key to value; None values are left out (an option that was not given).

    Raises:
        InputError: bad TOML, an unknown key or a bad value; the message names the key.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError as error:
            raise InputError("no such recipe", path=path, fix="check the path") from error
        except OSError as error:
            raise InputError(f"can't be read ({error.strerror})", path=path, fix="check the path") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(
                f"not valid TOML: {error}",
                path=path,
                fix=f"mend it there; text stands in quotes ({_show(kind)})",
            ) from error
    for key, value in (options or {}).items():
        if value is not None:
            _put(values, key, value)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not all(part.strip() for part in key.split(".")):
            raise InputError(f"--set {override}: expected key=value", fix="write for example --set seed=4")
        _put(values, key.strip(), _parse(text.strip()))
    return validated(kind, values, source=str(path) if path else None)


def validated(kind: type[AnyRecipe], values: dict[str, Any], *, source: str | None = None) -> AnyRecipe:
    """Validate raw values as a recipe, or raise an error that names the key."""
    try:
        recipe = kind.model_validate(_over_defaults(kind, values))
    except ValidationError as error:
        first = error.errors()[0]
        # In a list of tables, which one; the key itself has no number in it.
        entry = next((f" (entry {part + 1})" for part in first["loc"] if isinstance(part, int)), "")
        where = [part for part in first["loc"] if isinstance(part, str)]
        if first["type"] == "extra_forbidden":
            key = ".".join(where)
            raise InputError(
                f"unknown key{entry}", path=source, field=key, fix=_nearest(kind, key)
            ) from error
        known = dict(describe(kind))
        # Behind the key may stand which type of a union was tried: no word for a user.
        ends = (".".join(where[:end]) for end in range(len(where), 0, -1))
        key = next((key for key in ends if key in known or key in _tables(known)), ".".join(where))
        if key in _tables(known) and not first["type"].startswith("value_error"):
            inside = [name for name in known if name.startswith(f"{key}.")]
            if _is_list(kind, key):
                names = ", ".join(name.removeprefix(f"{key}.") for name in inside[:4])
                raise InputError(
                    "expected a list of one table or more",
                    path=source,
                    field=key,
                    fix=f"begin each with a line [[{key}]] in a recipe, or give all of them at once: "
                    f"--set '{key}=[{{…}}]'; a table has {names}{', …' if len(inside) > 4 else ''}",
                ) from error
            raise InputError(
                "is a table of settings, not one of them",
                path=source,
                field=key,
                fix=f"set one of {', '.join(inside[:4])}{', …' if len(inside) > 4 else ''}",
            ) from error
        described = known.get(key)
        fix = f"{key}: {described.description}" if described and described.description else _show(kind)
        message = str(first["msg"]).removeprefix("Value error, ")
        if key == "kind":
            message, fix = f"{message}: this recipe is for another command", f"name another one ({fix})"
        # What a whole recipe breaks has no key of its own; the message names those that don't go together.
        raise InputError(f"{message}{entry}", path=source, field=key or None, fix=fix) from error
    for key, value in _flat(recipe.model_dump(mode="json")):
        # Such as a path in another encoding: the run could not write it into its recipe.
        if isinstance(value, str) and not _encodable(value):
            raise InputError(f"{value!r} is not UTF-8 text", path=source, field=key, fix="rename it")
    return recipe


def _over_defaults(kind: type[BaseModel], values: dict[str, Any]) -> dict[str, Any]:
    """Values with those that a table's default has and a partly given table does not name.

    A recipe may give a table other defaults than the table's own class has (`tune` in a knowledge run);
    naming one setting in it must not turn the others back into those of the class.
    """
    whole = dict(values)
    for name, info in kind.model_fields.items():
        given = whole.get(name)
        if isinstance(info.default, BaseModel) and isinstance(given, dict):
            whole[name] = _over_table(info.default, given)
    return whole


def _over_table(default: BaseModel, given: dict[str, Any]) -> dict[str, Any]:
    """The same of a table with this default, whose own tables may differ from their classes, too."""
    whole = {name: getattr(default, name) for name in type(default).model_fields} | given
    for name, value in given.items():
        inner = getattr(default, name, None)
        if isinstance(inner, BaseModel) and isinstance(value, dict):
            whole[name] = _over_table(inner, value)
    return whole


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    *tables, last = key.split(".")
    for table in tables:
        inner = values.setdefault(table, {})
        if not isinstance(inner, dict):
            fix = f"give all of '{table}' at once, or write it into the recipe"
            raise InputError(f"'{table}' is not a table", field=key, fix=fix)
        values = inner
    values[last] = value


def _parse(text: str) -> Any:
    try:
        values = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return None if text == "none" else text
    return values["value"] if len(values) == 1 else text  # text of several lines may look like several keys


def _nearest(kind: type[Settings], key: str) -> str:
    settings = [name for name, _ in describe(kind)]
    names = [*settings, *sorted(_tables(settings))]
    close = difflib.get_close_matches(key, names, n=1, cutoff=0.4)
    if not close:  # the table may be wrong and the name right
        leaf = key.rpartition(".")[2]
        close = [name for name in settings if name.rpartition(".")[2] == leaf][:1]
    if close:
        return f"did you mean '{close[0]}'? ({_show(kind)})"
    return _show(kind)


def _show(kind: type[Settings]) -> str:
    info = kind.model_fields.get("kind")
    return f"`candor recipe show{f' {info.default}' if info else ''}` lists every key"


def _is_list(kind: type[Settings], table: str) -> bool:
    """Whether tables of this name come as a list."""
    annotation: Any = kind
    for name in table.split("."):
        inner = table_of(annotation)
        annotation = inner.model_fields[name].annotation if inner else None
    return get_origin(annotation) in (tuple, list)


def _tables(names: Iterable[str]) -> set[str]:
    """The tables that dotted keys lie in."""
    parts = [name.split(".")[:-1] for name in names]
    return {".".join(part[:end]) for part in parts for end in range(1, len(part) + 1)}


def describe(kind: type[Settings], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield (dotted key, field) for every setting, tables first flattened."""
    for name, info in kind.model_fields.items():
        table = table_of(info.annotation)
        if table is not None:
            yield from describe(table, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", info


def table_of(annotation: Any) -> type[Settings] | None:
    """The table that a field's annotation names, alone, in a list or in a union; None for a plain setting."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate  # type: ignore[return-value]
    return None


def to_toml(recipe: BaseModel, *, comments: bool = False) -> str:
    """The recipe as TOML, everything resolved; with `comments`, each setting's description above it."""
    text = tomli_w.dumps(_without_none(recipe.model_dump(mode="json")))
    if not comments:
        return text
    described = dict(describe(type(recipe)))  # type: ignore[arg-type]
    lines, table = [], ""
    # Not splitlines: it also cuts at characters that TOML allows inside a value.
    for line in text.rstrip("\n").split("\n"):
        if line.startswith("["):
            table = line.strip("[]") + "."
        name = line.partition(" = ")[0]
        info = described.get(table + name)
        if info is not None and info.description:
            lines.append(f"# {info.description}")
        lines.append(line)
    given = (key for key, _ in _flat(_without_none(recipe.model_dump(mode="json"))))
    unset = sorted(set(described) - {re.sub(r"\.\d+(?=\.)", "", key) for key in given})
    lines += [f"# {key}: not set. {described[key].description or ''}".rstrip() for key in unset]
    return "\n".join(lines) + "\n"


def differences(old: BaseModel, new: BaseModel) -> list[str]:
    """Settings that differ and that results depend on, as `key: old → new`."""
    found = changed(*(recipe.model_dump(mode="json") for recipe in (old, new)))
    free = tuple(_free_tables(type(old)))
    return [f"{key}: {before!r} → {after!r}" for key, before, after in found if not key.startswith(free)]


def _free_tables(kind: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Beginnings of the keys that results don't depend on (`Settings.shapes_results`)."""
    for name, info in kind.model_fields.items():
        table = table_of(info.annotation)
        if table is not None and not getattr(table, "shapes_results", True):
            yield f"{prefix}{name}."
        elif table is not None:
            yield from _free_tables(table, f"{prefix}{name}.")


def changed(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """(dotted key, old value, new value) of what differs between two recipes as TOML has them.

    A key that one of them lacks counts as None there, which is also how a recipe says that it is not set.
    """
    before, after = dict(_flat(old)), dict(_flat(new))
    return [
        (key, before.get(key), after.get(key))
        for key in sorted(set(before) | set(after))
        if before.get(key) != after.get(key)
    ]


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for number, table in enumerate(value, start=1):
                yield from _flat(table, f"{prefix}{name}.{number}.")
        else:
            yield f"{prefix}{name}", value


def _without_none(values: Any) -> Any:
    """TOML has no word for nothing: keys without a value are left out, in tables and in lists of tables."""
    if isinstance(values, dict):
        return {name: _without_none(value) for name, value in values.items() if value is not None}
    return [_without_none(value) for value in values] if isinstance(values, list) else values
