"""What a verb says of a run that is done: its page is written, then what came of it and where it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from candor.core.run import Run

Metrics = dict[str, Any]
CHECKPOINT = {"checkpoint": "checkpoint"}


def finish(
    run: Run[Any],
    as_json: bool,
    show: Callable[[Metrics], None] | None = None,
    *,
    places: Mapping[str, str] = CHECKPOINT,
    told: Callable[[Metrics], Metrics] | None = None,
    hints: Mapping[str, str] | None = None,
) -> None:
    """Write a run's page; print its results and where they are, or one JSON line with the paths.

    Args:
        run: one that has its metrics.json.
        as_json: for machines.
        show: prints the metrics for people.
        places: what else to name, as label: path inside the run.
        told: what of the metrics belongs into the JSON line too.
        hints: lines under the paths, as label: what to try.
    """
    from candor.core.files import read_json  # noqa: PLC0415
    from candor.report import render_report  # noqa: PLC0415

    page, file = render_report(run.folder), run.path("metrics.json")
    metrics = read_json(file)
    named = {label: str(run.path(place)) for label, place in places.items()}
    if as_json:
        paths = {"metrics": str(file), **named, "report": str(page)}
        print(json.dumps({**paths, **(told(metrics) if told else {})}, ensure_ascii=False))
        return
    if show is not None:
        show(metrics)
    lines = {**named, "report": str(page), **(hints or {})}
    width = max(12 if len(lines) > 1 else 0, *(len(label) + 2 for label in lines))
    console = Console(highlight=False, soft_wrap=True)
    for label, text in lines.items():
        console.print(f"{label + ':':<{width}}{text}", markup=False)
