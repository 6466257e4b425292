"""Tests of a changed module, in this process: which execute which line, and whether one of them fails."""

from __future__ import annotations

import importlib.util
import json
import resource
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from mutations import Mutant

LONGEST = 30  # seconds of computing time: longer tests are not asked


@dataclass(frozen=True)
class Survey:
    """Tests by their pytest ids.

    Attributes:
        cost: seconds of computing time of each.
        lines: lines of the module that each executes.
        imported: lines that are executed on import, of the module or of a file of tests.
        modules: other people's modules that the tests import.
    """

    cost: dict[str, float]
    lines: dict[str, frozenset[int]]
    imported: frozenset[int]
    modules: tuple[str, ...] = ()

    @classmethod
    def of(cls, row: dict[str, Any]) -> Survey:
        """From what `survey` wrote."""
        lines = {test: frozenset(numbers) for test, numbers in row["lines"].items()}
        return cls(row["cost"], lines, frozenset(row["imported"]), tuple(row["modules"]))

    def chosen(self, mutant: Mutant) -> list[str]:
        """Who should notice: tests that execute the lines, quickest first, then the others of their files.

        The others, since a fixture or a cache that several share is executed in the first of them only. All,
        where the lines are executed on import.
        """
        span = set(range(mutant.lines[0], mutant.lines[1] + 1))
        able = [test for test, cost in self.cost.items() if cost <= LONGEST]
        direct = {test for test in able if span & self.lines.get(test, frozenset())}
        quickest: dict[str, float] = {}  # by file
        for test in able if mutant.everywhere or span & self.imported else direct:
            quickest[_file(test)] = min(self.cost[test], quickest.get(_file(test), self.cost[test]))
        there = [test for test in able if _file(test) in quickest]
        return sorted(there, key=lambda test: (quickest[_file(test)], test not in direct, self.cost[test]))

    def seconds(self, tests: Sequence[str]) -> float:
        """What tests take together."""
        return sum(self.cost[test] for test in tests)


def run_tests(tests: Sequence[str], changed: dict[str, Path]) -> int:
    """0 if all pass with modules taken from other files, 1 if one fails, 2 if they can't be run."""
    sys.meta_path.insert(0, _Changed(changed))
    files = dict.fromkeys(map(_file, tests))
    return min(2, int(pytest.main([*_QUIETLY, "-x", *files], plugins=[_InOrder(tests), _Derandomised()])))


def survey(module: Path, tests: Sequence[str], out: Path) -> int:
    """Run all tests and write down what each executes of the module, as `Survey` reads it; 0 if all pass."""
    looking = _Looking(str(module))
    code = pytest.main([*_QUIETLY, *tests], plugins=[looking, _Derandomised()])
    found = {"cost": looking.cost, "lines": {k: sorted(v) for k, v in looking.lines.items() if k}}
    here = str(Path(__file__).parents[1])  # this project's own, which may depend on the changed one
    others = [
        name for name, one in sys.modules.items() if not str(getattr(one, "__file__", here)).startswith(here)
    ]
    out.write_text(json.dumps({**found, "imported": sorted(looking.lines[""]), "modules": others}))
    return int(code)


_QUIETLY = ["-o", "addopts=", "-q", "-m", "not slow and not vllm", "-p", "no:cacheprovider"]


def _file(test: str) -> str:
    return test.partition("::")[0]


class _Changed:
    """Finds modules in other files than their own."""

    def __init__(self, files: dict[str, Path]) -> None:
        self._files = files

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> ModuleSpec | None:
        if name not in self._files:
            return None
        file = str(self._files[name])
        return importlib.util.spec_from_file_location(name, file, loader=SourceFileLoader(name, file))


class _InOrder:
    """Only the named tests, in their order."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._place = {test: place for place, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (one for one in items if one.nodeid in self._place), key=lambda one: self._place[one.nodeid]
        )


class _Derandomised:
    """Property tests try the same cases whatever was tried before, for as long as they need."""

    def pytest_configure(self) -> None:
        from hypothesis import settings  # noqa: PLC0415

        settings.register_profile("mutation", database=None, derandomize=True, deadline=None)
        settings.load_profile("mutation")


class _Looking:
    """Notes the lines of one file that are executed in each test, under "" those before any."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.lines: dict[str, set[int]] = defaultdict(set)
        self.cost: dict[str, float] = {}
        self._into = self.lines[""]
        threading.settrace(self._trace)
        sys.settrace(self._trace)

    def _trace(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        if frame.f_code.co_filename != self._file:
            return None
        self._into.add(frame.f_lineno)
        return self._line

    def _line(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        self._into.add(frame.f_lineno)
        return self._line

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        began, self._into = _computing(), self.lines[item.nodeid]
        sys.settrace(self._trace)  # a test may have taken it away
        yield
        self.cost[item.nodeid] = round(_computing() - began, 3)


def _computing() -> float:
    """Seconds that this process and those it waited for have computed."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
