"""What a run folder holds, read so that a missing piece is a fact to report and never an exception."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from candor.core.errors import InputError
from candor.core.files import read_json, read_json_lines
from candor.core.statistics import Estimate


@dataclass(frozen=True)
class Evidence:
    """The parts of a run that the report shows; empty where the run has none."""

    run: Path
    metrics: dict[str, Any] = field(default_factory=dict)
    items: list[dict[str, Any]] = field(default_factory=list)
    manifest: dict[str, Any] = field(default_factory=dict)
    recipe: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """What the run is of, as its recipe says: `knowledge`, `base`, `chat`, `rl`, `reward`, …"""
        try:
            return str(tomllib.loads(self.recipe).get("kind", "knowledge"))
        except tomllib.TOMLDecodeError:
            return "knowledge"

    def at(self, *keys: str) -> Any:
        """The value at a path of keys in metrics.json, or None."""
        value: Any = self.metrics
        for key in keys:
            if not isinstance(value, Mapping):
                return None
            value = value.get(key)
        return value

    def table(self, *keys: str) -> dict[str, Any]:
        """The object at a path, empty if it is missing or something else."""
        value = self.at(*keys)
        return dict(value) if isinstance(value, Mapping) else {}

    def rows(self, *keys: str) -> list[dict[str, Any]]:
        """The objects in the list at a path, empty if it is missing or something else."""
        value = self.at(*keys)
        return [dict(row) for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []

    def estimate(self, *keys: str) -> Estimate | None:
        """The estimate at a path, or None if it is missing or undefined."""
        return estimate_of(self.at(*keys))

    def text(self, *keys: str) -> str:
        """The value at a path as text, "" if it is missing."""
        value = self.at(*keys)
        return "" if value is None else str(value)


def number_of(value: object) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # JSON can write whole numbers that no float holds
        return None


def estimate_of(value: object) -> Estimate | None:
    """Read {"value", "low", "high", "n"} or a plain number; None where there is no value."""
    if isinstance(value, Mapping):
        middle = number_of(value.get("value"))
        if middle is None:
            return None
        count = number_of(value.get("n"))
        return Estimate(
            middle, number_of(value.get("low")), number_of(value.get("high")), int(count) if count else 0
        )
    plain = number_of(value)
    return None if plain is None else Estimate(plain, None, None, 0)


def read_evidence(run: Path) -> Evidence:
    """Read what is there of a run folder.

    Raises:
        InputError: there is no such folder, it is no run folder, or one of its files is damaged.
    """
    run = Path(run)
    if not run.is_dir():
        raise InputError("no such run folder", path=run, fix="give the folder that was passed as --out")
    metrics, items = run / "metrics.json", run / "evaluation" / "items.jsonl"
    manifest, recipe, events = run / "manifest.json", run / "recipe.toml", run / "events.jsonl"
    if not any(path.is_file() for path in (metrics, items, manifest, recipe)):
        raise InputError(
            "not a run folder: it has no recipe.toml, manifest.json or metrics.json",
            path=run,
            fix="give the folder that was passed as --out to the command that began the run",
        )
    return Evidence(
        run=run,
        metrics=_object(metrics),
        items=[row for _, row in read_json_lines(items)] if items.is_file() else [],
        manifest=_object(manifest),
        recipe=recipe.read_text(encoding="utf-8", errors="replace") if recipe.is_file() else "",
        events=[row for _, row in read_json_lines(events)] if events.is_file() else [],
    )


def _object(path: Path) -> dict[str, Any]:
    value = read_json(path) if path.is_file() else {}
    if not isinstance(value, dict):
        raise InputError(f"expected a JSON object, found {type(value).__name__}", path=path)
    return value
