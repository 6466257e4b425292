"""Are the tests meaningful? Change formulas a little, one change at a time, and see whether a test notices.

    python tools/mutate.py                            # every module of tools/mutation.toml
    python tools/mutate.py losses candor.rewards.bound --sample 40 --jobs 2
    python tools/mutate.py --report                   # of what was found so far

Nothing is changed in the working tree: a changed module is a file in a temporary folder, from which one
process imports it. That process is a fork of one that has torch and the rest imported already. It runs the
tests that execute the changed line, quickest first, then the others of their files, until one fails; a run of
all of a module's tests without any change has told which these are. A mutant with which they take four times
as long counts as noticed.

What was found is in runs/mutation, a line a mutant, and is not asked again: of mutants that were noticed
until their module changes, of those that survived until its tests do, too. Survivors of which
tools/mutation-equivalent.toml says why they change nothing don't count.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Plugins of pytest that no test of a formula needs take a second.
os.environ |= {"HF_HUB_OFFLINE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "src"), str(ROOT / "tests")]

from mutation_tests import LONGEST, Survey, run_tests, survey  # noqa: E402
from mutations import Mutant, mutants_of, mutated  # noqa: E402

_MEMORY = 12 << 30  # bytes of a process


class Found:
    """What was found so far, one JSON line a mutant; the last line of a mutant counts."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "found.jsonl"
        self.rows: dict[tuple[str, str], dict[str, Any]] = {}
        if self._file.exists():
            for line in self._file.read_text().splitlines():
                row = json.loads(line)
                self.rows[row["module"], row["mutant"]] = row

    def add(self, **row: Any) -> None:
        """Write a row down."""
        self.rows[row["module"], row["mutant"]] = row
        with self._file.open("a") as out:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")

    def known(self, module: str, mutant: str, source: str, tests: str) -> bool:
        """Whether asking again would give the same."""
        row = self.rows.get((module, mutant))
        return row is not None and row["source"] == source and (row["noticed"] or row["tests"] == tests)


def main() -> None:
    """Read the command line, try the mutants, print what survived and the scores."""
    wanted = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    wanted.add_argument("what", nargs="*", help="groups or modules of tools/mutation.toml (all of them)")
    wanted.add_argument("--sample", type=int, default=40, help="mutants a module, 0 for all (40)")
    wanted.add_argument("--seed", type=int, default=0, help="of the sample (0)")
    wanted.add_argument("--jobs", type=int, default=1, help="mutants at a time (1)")
    wanted.add_argument("--out", type=Path, default=ROOT / "runs" / "mutation", help="what was found")
    wanted.add_argument("--report", action="store_true", help="run nothing, print what was found")
    asked = wanted.parse_args()
    groups = tomllib.loads((ROOT / "tools" / "mutation.toml").read_text())
    if unknown := set(asked.what) - {name for group in groups for name in (group, *groups[group])}:
        wanted.error(f"{', '.join(sorted(unknown))}: no group or module of tools/mutation.toml")
    found, sampled = Found(asked.out), {}
    for group, modules in groups.items():
        for module, tests in modules.items():
            if asked.what and group not in asked.what and module not in asked.what:
                continue
            every = mutants_of(_file(module).read_text())
            random.Random(asked.seed).shuffle(every)
            sampled[module] = every[: asked.sample or None]
            if not asked.report:
                _try(module, sampled[module], tests, found, asked.jobs)
    report({g: {m: sampled[m] for m in modules if m in sampled} for g, modules in groups.items()}, found)


def _file(module: str) -> Path:
    return ROOT / "src" / Path(*module.split(".")).with_suffix(".py")


def _try(module: str, mutants: Sequence[Mutant], tests: Sequence[str], found: Found, jobs: int) -> None:
    source = _file(module).read_text()
    marks = {"source": _hash(source), "tests": _hash("".join((ROOT / one).read_text() for one in tests))}
    left = [one for one in mutants if not found.known(module, one.name, **marks)]
    if not left:
        return
    print(f"{module}: {len(left)} mutants", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        seen = survey_of(module, tests, Path(scratch))
        _warm_up(seen.modules)
        running: dict[int, tuple[Mutant, float, float]] = {}

        def finish(mutant: Mutant, code: int, took: float) -> None:
            row = {"module": module, "mutant": mutant.name, "line": mutant.lines[0], "noticed": code != 0}
            by = {0: "", 1: "test", 2: "error"}.get(code, "time or memory")
            found.add(**row, by=by, seconds=round(took, 1), **marks)
            if code == 0:
                print(f"  survived {_where(module, mutant.lines[0])}: {mutant.name}", flush=True)

        while left or running:
            while left and len(running) < jobs:
                mutant = left.pop(0)
                if not (chosen := seen.chosen(mutant)):
                    finish(mutant, 0, 0)
                    continue
                limit = 10 + 4 * seen.seconds(chosen)
                folder = Path(scratch) / f"mutant{len(left)}"
                work = _mutant_run(module, mutated(source, mutant), chosen, folder, limit)
                running[_fork(work)] = mutant, time.monotonic(), limit
            if running:
                pid, status = _wait(running)
                mutant, began, _ = running.pop(pid)
                finish(mutant, os.waitstatus_to_exitcode(status), time.monotonic() - began)


def _where(module: str, line: int) -> str:
    return f"{_file(module).relative_to(ROOT)}:{line}"


def survey_of(module: str, tests: Sequence[str], scratch: Path) -> Survey:
    """Which tests execute which lines of a module, and for how long."""
    file, said = scratch / "survey.json", scratch / "survey.log"

    def look() -> Survey:
        _, status = os.waitpid(_fork(lambda: survey(_file(module), tests, file), said), 0)
        if status or not file.exists():
            print(said.read_text(), file=sys.stderr)
            raise SystemExit(f"{module}: without any change one of its tests fails: {' '.join(tests)}")
        return Survey.of(json.loads(file.read_text()))

    seen = look()
    # Again where some took long: the first time kernels may have been compiled.
    return seen if max(seen.cost.values()) <= LONGEST else look()


def _mutant_run(
    module: str, source: str, tests: Sequence[str], folder: Path, limit: float
) -> Callable[[], int]:
    def work() -> int:
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit) + 5))
        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
        folder.mkdir()
        changed = folder / _file(module).name
        changed.write_text(source)
        return run_tests(tests, changed={module: changed})

    return work


def _fork(work: Callable[[], int], said: Path = Path(os.devnull)) -> int:
    """Do the work in a process of its own, which prints into a file; returns the process's number."""
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    try:
        os.setpgid(0, 0)
        os.chdir(ROOT)
        into = os.open(said, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.dup2(into, 1)
        os.dup2(into, 2)
        os._exit(work())
    except BaseException:
        os._exit(2)


def _wait(running: dict[int, tuple[Mutant, float, float]]) -> tuple[int, int]:
    """The first process that ends; those that take far longer than their time are ended."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid:
            return pid, status
        for other, (_, began, limit) in running.items():
            if time.monotonic() - began > 60 + 10 * limit:  # of a busy machine's clock
                os.killpg(other, signal.SIGKILL)
        time.sleep(0.05)


def _warm_up(names: Sequence[str]) -> None:
    """Import what all of the forks would: what tests import from elsewhere."""
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def report(groups: dict[str, dict[str, list[Mutant]]], found: Found) -> None:
    """Print what survived, and how much was noticed with 95 % intervals, of what was sampled."""
    from candor.core.statistics import wilson  # noqa: PLC0415

    why = tomllib.loads((ROOT / "tools" / "mutation-equivalent.toml").read_text())
    lines = ["", f"{'':40} mutants  tried  equivalent  noticed  score"]
    for group, modules in groups.items():
        total = [0, 0, 0, 0]
        for module, mutants in modules.items():
            rows = {one.name: found.rows.get((module, one.name)) for one in mutants}
            tried = {name: row for name, row in rows.items() if row is not None}
            silent = {name for name, row in tried.items() if not row["noticed"]}
            equal = silent & set(why.get(module, {}))
            for name in sorted(silent - equal, key=lambda name: tried[name]["line"]):
                print(f"{_where(module, tried[name]['line'])}: {name}")
            every = len(mutants_of(_file(module).read_text()))
            counts = [every, len(tried), len(equal), len(tried) - len(silent)]
            total = [a + b for a, b in zip(total, counts, strict=True)]
            lines.append(_line(f"  {module}", counts, wilson))
        if modules:
            lines.append(_line(group, total, wilson))
    print("\n".join(lines))
    print(f"\nTests over {LONGEST} s of computing time are not asked.")


def _line(name: str, counts: Sequence[int], wilson: Callable[..., Any]) -> str:
    every, tried, equal, noticed = counts
    share = wilson(noticed, tried - equal)
    score = "" if share.value is None else f"{share.value:.0%} ({share.low:.0%}-{share.high:.0%})"
    return f"{name:40} {every:7}  {tried:5}  {equal:10}  {noticed:7}  {score}"


if __name__ == "__main__":
    main()
