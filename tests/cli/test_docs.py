"""The documentation says what is there: its links lead somewhere, and its commands can be typed."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from typer.main import get_command

from candor import __version__
from candor.cli.app import app
from command_result import Result

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
FENCED = re.compile(r"^```[a-z]*\n(.*?)^```", re.M | re.S)
INDENTED = re.compile(r"(?:^(?: {4}|\t).*\n?)+", re.M)
# A command of ours at the beginning of a line, or started by another program.
COMMAND = re.compile(r"^\s*(?:\$ )?(?:torchrun .*--no-python )?(candor .*)$")
NAMED_FILE = re.compile(r"\b(?:recipes|benchmarks|tests|src|tools)/[\w/.-]*\.(?:toml|py)\b")


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(text: str) -> Iterator[str]:
    """Code blocks, and code within a line, each as lines without the breaks that a backslash joins."""
    for block in FENCED.findall(text):
        yield block.replace("\\\n", " ")
    rest = FENCED.sub("", text)
    for block in INDENTED.findall(rest):
        yield block.replace("\\\n", " ")
    yield from re.findall(r"`([^`\n]+)`", INDENTED.sub("", rest))


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command of ours, without what stands for something left out."""
    for block in blocks(text):
        for line in block.splitlines():
            if found := COMMAND.match(line):
                words = shlex.split(found[1].replace("…", " "), comments=True)[1:]
                yield [word for word in words if word not in {"...", "VERB"}]


@cache
def candor_command() -> Any:
    return get_command(app)


def problem_of(words: list[str]) -> str | None:
    """What click has against a command, without running it; None where it can be typed."""
    command = candor_command()
    context = command.context_class(command, info_name="candor")
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        verb, *words = words
        if verb not in command.commands:
            return f"there is no verb '{verb}'"
        command = command.commands[verb]
        context = command.context_class(command, info_name=verb, parent=context)
    try:
        command.make_parser(context).parse_args(list(words))
    except Exception as error:  # click has several, and typer brings a click of its own
        return str(getattr(error, "message", error))
    return None


def settings_of(words: list[str]) -> list[str]:
    """The keys that a command sets with `--set`."""
    given = [after for word, after in pairwise(words) if word == "--set"]
    return [setting.partition("=")[0] for setting in given]


def imports(text: str) -> Iterator[tuple[str, str]]:
    """(module, name) of everything of ours that a page's Python programs import."""
    for block in blocks(text):
        if "from candor" in block:
            for node in ast.walk(ast.parse(dedent(block))):
                if isinstance(node, ast.ImportFrom) and str(node.module).startswith("candor"):
                    yield from ((str(node.module), alias.name) for alias in node.names)


def defined_in(module: str) -> set[str]:
    """The names that a module has, without running it: some need packages that are extras."""
    path = ROOT / "src" / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    broken = []
    for target in re.findall(r"\]\(([^()\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_can_be_typed(page: Path) -> None:
    found = {" ".join(words): problem_of(words) for words in commands(page.read_text(encoding="utf-8"))}
    assert {command: problem for command, problem in found.items() if problem} == {}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_programs_are_python_and_import_what_there_is(page: Path) -> None:
    found = set(imports(page.read_text(encoding="utf-8")))
    assert sorted((module, name) for module, name in found if name not in defined_in(module)) == []


def test_settings_in_commands_and_the_reference_are_those_of_the_recipes(
    candor: Callable[..., Result],
) -> None:
    made = candor("recipe", "reference").out
    kept = (ROOT / "docs/reference-recipes.md").read_text(encoding="utf-8")
    assert made == kept, "write it again: candor recipe reference > docs/reference-recipes.md"
    known = set(re.findall(r"^\| `([\w.]+)` \|", made, re.M))
    tables = {key.rpartition(".")[0] for key in known}
    used = {
        key
        for page in PAGES
        for words in commands(page.read_text(encoding="utf-8"))
        for key in settings_of(words)
    }
    assert len(used) > 10
    assert sorted(used - known - tables - {"KEY"}) == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_files_of_the_repository_that_are_named_are_there(page: Path) -> None:
    named = set(NAMED_FILE.findall(page.read_text(encoding="utf-8")))
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_changelog_and_citation_are_of_this_version() -> None:
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_commands_are_found_in_all_places_and_wrong_ones_are_told() -> None:
    text = (
        "Say `candor nothing`, or\n\n    torchrun --nproc-per-node 2 --no-python candor rl \\\n"
        "        --taks addition:2 --out runs/rl   # a comment\n\n```\n$ candor knowledge run --out\n```\n"
        "and `candor think evaluate --model M --out runs/think`.\n"
    )
    problems = {words[0]: str(problem_of(words)) for words in commands(text)}
    assert list(problems) == ["knowledge", "rl", "nothing", "think"]
    assert "--out" in problems["knowledge"]
    assert "--taks" in problems["rl"]
    assert problems["nothing"] == "there is no verb 'nothing'"
    assert problems["think"] == "None"
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    assert sum(len(list(commands(text))) for text in texts) > 60
    assert sum(len(list(imports(text))) for text in texts) > 10
