"""The documentation says what is there: its links lead somewhere, and its commands can be typed."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from textwrap import dedent

import pytest

from candor import __version__
from command_result import Result
from doc_commands import PAGES, ROOT, codes, commands, missing_in, page_id, problem_of

NAMED_FILE = re.compile(r"\b(?:recipes|benchmarks|tests|src|tools)/[\w/.-]*\.(?:toml|py)\b")
FENCED = re.compile(r"^```[a-z]*\n(.*?)^```", re.M | re.S)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def settings_of(words: Sequence[str]) -> list[str]:
    """The keys that a command sets with `--set`."""
    given = [after for word, after in pairwise(words) if word == "--set"]
    return [setting.partition("=")[0] for setting in given]


def imports(text: str) -> Iterator[tuple[str, str]]:
    """(module, name) of everything of ours that a page's Python programs import."""
    for code in codes(text):
        if "from candor" in code.text:
            for node in ast.walk(ast.parse(dedent(code.text))):
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
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", text_of(page), re.M)}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCED.sub("", text_of(page))
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
    found = {str(one): problem_of(one.words) for one in commands(text_of(page))}
    assert {command: problem for command, problem in found.items() if problem} == {}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_to_copy_lack_nothing(page: Path) -> None:
    copied = [one for one in commands(text_of(page)) if one.block and one.whole]
    assert {str(one): lacks for one in copied if (lacks := missing_in(one.words))} == {}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_programs_are_python_and_import_what_there_is(page: Path) -> None:
    found = set(imports(text_of(page)))
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
        key for page in PAGES for command in commands(text_of(page)) for key in settings_of(command.words)
    }
    assert len(used) > 10
    assert sorted(used - known - tables - {"KEY"}) == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_files_of_the_repository_that_are_named_are_there(page: Path) -> None:
    named = set(NAMED_FILE.findall(text_of(page)))
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_changelog_and_citation_are_of_this_version() -> None:
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_commands_are_found_in_all_places_and_wrong_ones_are_told() -> None:
    text = (
        "Say `candor nothing`, or\n\n    torchrun --nproc-per-node 2 --no-python candor rl \\\n"
        "        --taks addition:2 --out runs/rl   # a comment\n\n```\n$ candor knowledge run --out\n```\n"
        "and `candor think evaluate --model M\n--out runs/think`, or `candor recipe show > file`.\n\n"
        "    candor reward train …\n"
    )
    found = list(commands(text))
    assert [(one.words[0], one.line, one.block) for one in found] == [
        ("nothing", 1, False), ("rl", 3, True), ("knowledge", 7, True), ("think", 9, False),
        ("recipe", 10, False), ("reward", 12, True),
    ]  # fmt: skip
    problems = {one.words[0]: str(problem_of(one.words)) for one in found}
    assert "--out" in problems["knowledge"]
    assert "--taks" in problems["rl"]
    assert problems["nothing"] == "there is no verb 'nothing'"
    assert {problems[verb] for verb in ("think", "recipe", "reward")} == {"None"}
    assert found[1].launcher == ("torchrun", "--nproc-per-node", "2")
    assert found[4].words == ("recipe", "show")
    assert [one.whole for one in found] == [True] * 5 + [False]
    assert (missing_in(("reward", "train")), missing_in(("think",))) == (["out"], ["verb"])
    texts = [text_of(page) for page in PAGES]
    assert sum(len(list(commands(text))) for text in texts) > 60
    assert sum(len(list(imports(text))) for text in texts) > 10
