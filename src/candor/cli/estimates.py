"""Estimates in words, for the terminal."""

from __future__ import annotations

from typing import Any


def percent(estimate: dict[str, Any]) -> str:
    """An estimate with its 95 % interval, such as `12.5 % (3.1–28.0)`."""
    if estimate.get("value") is None:
        return "–"
    text = f"{100 * estimate['value']:.1f} %"
    if estimate.get("low") is not None:
        text += f" ({100 * estimate['low']:.1f}–{100 * estimate['high']:.1f})"
    return text
