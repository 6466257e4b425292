"""What holds for every test: nothing is fetched, and the default model is converted once a machine.

The command runs in the test's own process, unless a test is about processes.
"""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from command_result import Result

# Set before any test module imports huggingface_hub, which reads it once.
os.environ["HF_HUB_OFFLINE"] = "1"
# Of several workers (pytest -n) each takes its share of the cores; torch and numba read this once, too.
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    share = str(max(1, (os.cpu_count() or 1) // workers))
    os.environ.setdefault("OMP_NUM_THREADS", share)
    os.environ.setdefault("NUMBA_NUM_THREADS", share)


@pytest.fixture(scope="session")
def smollm2() -> str:
    """The name to load SmolLM2-135M-Instruct by, from its package's GGUF file.

    Its bf16 copy (270 MB, 20 s to make) is kept in `$CANDOR_CACHE`, or the user's cache folder, so only the
    first run on a machine pays for it.
    """
    from candor.model.load import SMOLLM2, resolve

    resolve(SMOLLM2)
    return SMOLLM2


@pytest.fixture
def candor(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Result]:
    """Run the command in an empty folder; `typed` is its standard input."""
    from candor.cli import app as app_module

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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium, which `chromium.opening` opens pages in."""
    from chromium import started

    with started() as browser:
        yield browser
