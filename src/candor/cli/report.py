"""`candor report`: the page of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="A run's folder.", metavar="RUN")],
) -> None:
    """Write RUN/report.html, one self-contained page, and print where it is."""
    from candor.report import render_report  # noqa: PLC0415

    print(render_report(run))
