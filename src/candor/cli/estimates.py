"""Estimates in words, for the terminal."""

from __future__ import annotations

from typing import Any


def percent(estimate: dict[str, Any], digits: int = 1) -> str:
    """An estimate with its 95 % interval, such as `12.5 % (3.1–28.0)`."""
    if estimate.get("value") is None:
        return "–"
    text = f"{100 * estimate['value']:.{digits}f} %"
    if estimate.get("low") is not None:
        text += f" ({100 * estimate['low']:.{digits}f}–{100 * estimate['high']:.{digits}f})"
    return text


def points(estimate: dict[str, Any], digits: int = 0) -> str:
    """A difference of shares in percentage points, such as `+12 (+3 to +21)`."""
    if estimate.get("value") is None:
        return "–"
    text = _signed(estimate["value"], digits)
    if estimate.get("low") is not None:
        text += f" ({_signed(estimate['low'], digits)} to {_signed(estimate['high'], digits)})"
    return text


def signed(estimate: dict[str, Any], digits: int = 2) -> str:
    """A difference in its own units, such as `+0.31 (+0.12 to +0.50)`."""
    if estimate.get("value") is None:
        return "–"
    return points({key: value / 100 for key, value in estimate.items() if value is not None}, digits)


def _signed(share: float, digits: int) -> str:
    number = round(100 * share, digits)
    return f"{number:+.{digits}f}".replace("-", "−") if number else "0"
