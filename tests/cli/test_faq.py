"""The FAQ is about Candor as it is: its messages are in the code, and its programs run."""

from __future__ import annotations

import ast
import re
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from candor.reasoning import tasks, ways
from candor.rl.problem import Problem
from candor.rl.reward import Sample, rewards_of
from command_result import Result, assert_told

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/faq.md").read_text(encoding="utf-8")
MESSAGES = [row.replace("\\|", "|") for row in re.findall(r"^\| `(.+?)` \|", TEXT, re.M)]
# What may be different each time, in the page and in the code.
ANYTHING = "…"


def texts_of(source: Path) -> Iterator[str]:
    """Every text of a module; what an f-string fills in is `ANYTHING`."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else ANYTHING for part in node.values)
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.fixture(scope="module")
def told() -> set[str]:
    return {text for source in (ROOT / "src/candor").rglob("*.py") for text in texts_of(source)}


@pytest.mark.parametrize("message", MESSAGES)
def test_message_is_one_of_candors(told: set[str], message: str) -> None:
    # What stands before the first of the message's own words may be added elsewhere: a path, a model's name.
    own = [part.strip(" :") for part in message.split(ANYTHING) if re.search(r"\w{2}", part)]
    assert own, message
    within = re.compile(".*".join(map(re.escape, own)), re.S)
    assert any(within.search(text) for text in told)


def test_the_page_has_the_failures_of_every_stage() -> None:
    assert len(MESSAGES) > 50
    after = TEXT[TEXT.index("## Failures") :]
    assert all(f"\n### {stage}\n" in after for stage in ("Models", "Chat", "Knowledge", "Rewards", "Serving"))


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with the page's programs, each under the name in its first line."""
    for block in re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S):
        name = re.match(r"# (\w+\.py)", block)
        assert name, block
        (tmp_path / name[1]).write_text(block, encoding="utf-8")
    return tmp_path


def sample(completion: str, tokens: int, *, right: bool) -> Sample:
    return Sample(Problem(id="1", question="?"), completion, None, right, tokens, 10, truncated=False)


def test_rewards_of_the_page_prefer_what_they_say(programs: Path) -> None:
    brief = rewards_of([f"{programs}/brief.py:brief"])
    found = brief.score([sample("a", 1, right=True), sample("a", 9, right=True), sample("a", 1, right=False)])
    assert found == pytest.approx([0.95, 0.55, 0.0])
    twenty = rewards_of([f"{programs}/short_replies.py:twenty_words"])
    assert twenty.score([sample("word " * 20, 1, right=True), sample("", 1, right=True)]) == [1.0, 0.0]


@pytest.mark.parametrize(
    ("program", "words", "known"),
    [
        ("colours.py", ("--tasks", "colours,nothing", "--ways", "direct"), "colours, and files"),
        ("politely.py", ("--ways", "politely,nothing"), "free, politely"),
    ],
)
def test_programs_of_the_page_are_commands_that_know_one_thing_more(
    candor: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    programs: Path,
    program: str,
    words: tuple[str, ...],
    known: str,
) -> None:
    monkeypatch.setattr(tasks, "_FAMILIES", dict(tasks._FAMILIES))
    monkeypatch.setattr(ways, "_MAKERS", dict(ways._MAKERS))
    runpy.run_path(str(programs / program))
    result = candor("think", "evaluate", "--model", "none", "--out", "out", *words)
    assert_told(result, "by the name 'nothing'", known)
