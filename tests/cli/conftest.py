"""The command as its entry point runs it, in this process."""

from __future__ import annotations

import gc
import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from candor.cli import app as app_module
from command_result import Result


@pytest.fixture
def candor(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Result]:
    """Run the command in an empty folder; `typed` is its standard input."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def call(*words: object, typed: str = "") -> Result:
        monkeypatch.setattr(sys, "argv", ["candor", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            app_module.main()
        code = stop.value.code
        del stop
        gc.collect(1)  # a process would end here and free the run's lock with it
        return Result(code, *capsys.readouterr())

    return call
