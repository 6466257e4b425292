"""The numbers that a page begins with: large, each with what it means, its interval and its n."""

from __future__ import annotations

from dataclasses import dataclass

from candor.core.statistics import Estimate
from candor.report import wording


@dataclass(frozen=True)
class Tile:
    """One number of the summary, with what it means."""

    label: str
    value: str
    detail: str
    interval: str
    n: str
    before: str = ""


def tile(
    label: str, estimate: Estimate, detail: str, kind: str = "percent", *, before: Estimate | None = None
) -> Tile:
    """A measured number.

    Args:
        label: its name.
        estimate: what was measured.
        detail: what it is of.
        kind: how it is written, one of `wording.FORMATS`.
        before: what it was before the run.
    """
    return Tile(
        label,
        wording.shown(estimate, kind),
        detail,
        wording.interval(estimate, kind),
        wording.sized(estimate),
        wording.shown(before, kind) if before else "",
    )


def change_tile(
    label: str,
    moments: tuple[Estimate, Estimate, Estimate],
    detail: str,
    kind: str = "percent",
    moved_by: str = "points",
) -> Tile:
    """A number after the run; interval and n are those of its change.

    Args:
        label: its name.
        moments: before, after, and the change.
        detail: what it is of; "{change}" in it is how far it moved.
        kind: how the number is written, one of `wording.FORMATS`.
        moved_by: how the change is.
    """
    before, after, change = moments
    moved = wording.shown(change, moved_by) + (" points" if moved_by == "points" else "")
    return Tile(
        label,
        wording.shown(after, kind),
        detail.format(change=moved),
        wording.interval(change, moved_by),
        wording.sized(change),
        wording.shown(before, kind),
    )
