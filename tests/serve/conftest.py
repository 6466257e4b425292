"""One server for most tests: it is made once, and nothing that a test does to it may last."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from live import Live

from byte_models import byte_engine
from candor.engine.local import LocalEngine


@pytest.fixture(scope="session")
def server() -> Iterator[Live]:
    """A random model over bytes, called `tiny`."""
    with Live({"tiny": byte_engine()}) as live:
        yield live


@pytest.fixture(scope="session")
def engine() -> LocalEngine:
    """The same model, in process."""
    return byte_engine()
