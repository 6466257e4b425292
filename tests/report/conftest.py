from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_run import write_run

from candor.report import render_report


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    """A whole synthetic run with its report; tests read it and don't change it."""
    folder = write_run(tmp_path_factory.mktemp("report") / "run")
    render_report(folder)
    return folder
