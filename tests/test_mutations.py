"""The tool that changes formulas to see whether tests notice: what it changes, and who is asked."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from mutation_tests import LONGEST, Survey  # noqa: E402
from mutations import Mutant, mutants_of, mutated  # noqa: E402

SOURCE = '''
"""Two numbers."""

LIMIT = 3

@dataclass(frozen=True)
class Pair:
    a: int = 0

    def both(self, b: float, *, seed: int = 7, scale: float = 2.0) -> float | None:
        if b < LIMIT and not self.done:
            raise ValueError(f"{b + 1} is too few")
        return max(self.a, -b) * scale + 1e-9

@kernel
def apart(x):
    return x - 1
'''


def changes(source: str) -> set[str]:
    return {one.name.partition(": ")[2] for one in mutants_of(source)}


def test_each_mutant_is_one_change_and_has_a_name_of_its_own():
    mutants = mutants_of(SOURCE)
    plain = ast.unparse(ast.parse(SOURCE))
    changed = [mutated(SOURCE, one) for one in mutants]
    assert len({one.name for one in mutants}) == len(mutants) == len(set(changed))
    for text in changed:
        lines = [(a, b) for a, b in zip(plain.splitlines(), text.splitlines(), strict=True) if a != b]
        assert len(lines) == 1


def test_operators_numbers_signs_and_conditions_are_changed():
    assert changes(SOURCE) == {
        "LIMIT = 3 → LIMIT = 4",
        "a: int = 0 → a: int = 1",
        "self, b: float, *, seed: int=7, scale: float=2.0 → self, b: float, *, seed: int=7, scale: float=3.0",
        "b < LIMIT and (not self.done) → b < LIMIT or not self.done",
        "b < LIMIT and (not self.done) → b <= LIMIT and (not self.done)",
        "b < LIMIT and (not self.done) → b >= LIMIT and (not self.done)",
        "b < LIMIT and (not self.done) → b < LIMIT and (not not self.done)",
        "max(self.a, -b) * scale + 1e-09 → max(self.a, -b) * scale - 1e-09",
        "max(self.a, -b) * scale → max(self.a, -b) / scale",
        "max(self.a, -b) * scale → min(self.a, -b) * scale",
        "max(self.a, -b) * scale → max(self.a, +b) * scale",
        "return x - 1 → return x + 1",
        "return x - 1 → return x - 2",
    }


def test_names_stay_where_lines_move():
    moved = SOURCE.replace('"""Two numbers."""', '"""Two\n\nnumbers."""\n\n# and a comment')
    assert [one.name for one in mutants_of(moved)] == [one.name for one in mutants_of(SOURCE)]


def test_whoever_executes_a_line_is_asked_first_and_whoever_may_depend_on_it_then():
    seen = Survey(
        cost={
            "a::slow": 5,
            "a::quick": 1,
            "a::other": 0.1,
            "b::one": 0.5,
            "c::one": 0.1,
            "c::long": LONGEST + 1,
        },
        lines={
            "a::slow": frozenset({3}),
            "a::quick": frozenset({2, 3}),
            "b::one": frozenset({3}),
            "c::long": frozenset({3}),
        },
        imported=frozenset({1}),
    )

    def asked(*lines: int, everywhere: bool = False) -> list[str]:
        return seen.chosen(Mutant("", (0, 0), (lines[0], lines[-1]), everywhere))

    assert asked(3, 4) == ["b::one", "a::quick", "a::slow", "a::other"]
    assert asked(2) == ["a::quick", "a::other", "a::slow"]
    assert asked(9) == []
    everyone = {"a::slow", "a::quick", "a::other", "b::one", "c::one"}
    assert set(asked(1)) == set(asked(9, everywhere=True)) == everyone


@pytest.mark.slow
def test_it_finds_a_mutant_that_is_noticed_and_leaves_no_file_changed(tmp_path: Path):
    files = [path for folder in ("src", "tests") for path in sorted((ROOT / folder).rglob("*.py"))]
    before = [path.read_bytes() for path in files]
    command = [
        sys.executable,
        str(ROOT / "tools" / "mutate.py"),
        "candor.knowledge.boundary",
        "--sample",
        "2",
    ]
    done = subprocess.run([*command, "--out", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (
        "candor.knowledge.boundary" in done.stdout and len((tmp_path / "found.jsonl").open().readlines()) == 2
    )
    assert [path.read_bytes() for path in files] == before
    again = subprocess.run([*command, "--out", str(tmp_path)], capture_output=True, text=True, check=False)
    assert "2 mutants" in done.stdout and "2 mutants" not in again.stdout
