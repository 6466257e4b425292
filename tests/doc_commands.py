"""The commands of ours that the documentation shows, in the order of each page."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from typer.main import get_command

from candor.cli.app import app

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
# A command of ours at the beginning of a line, or started by another program.
_COMMAND = re.compile(r"^\s*(?:\$ )?(?:(torchrun .*)--no-python )?(candor .*)$")


@dataclass(frozen=True)
class Code:
    """Code of a page: a block of it, or what stands between backticks within a line."""

    text: str
    line: int
    block: bool


@dataclass(frozen=True)
class Command:
    """A command of ours.

    Attributes:
        words: behind `candor`, without "…" and what a shell does with its output.
        line: of the page.
        block: whether it stands in a block of code, to be typed as it is; else text speaks of it.
        launcher: words of torchrun that start it, if any.
        whole: whether nothing is left out ("…").
    """

    words: tuple[str, ...]
    line: int
    block: bool = True
    launcher: tuple[str, ...] = ()
    whole: bool = True

    def __str__(self) -> str:
        return shlex.join(["candor", *self.words])


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def codes(text: str) -> Iterator[Code]:
    """Code of a page in its order; lines that a backslash joins are one, and so are those of a paragraph."""
    kinds = {"fence": re.compile(r"^```"), "indented": re.compile(r"^(?: {4}|\t)")}
    kind, begun, lines = "text", 1, list[str]()
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        fence = bool(kinds["fence"].match(line))
        if kind == "fence":
            if not fence:
                lines.append(line)
                continue
            yield _block(lines, begun)
            kind, begun, lines = "text", number + 1, []
            continue
        now = "fence" if fence else "indented" if kinds["indented"].match(line) else "text"
        if now != kind or not line.strip():
            yield from [_block(lines, begun)] if kind == "indented" and lines else _within(lines, begun)
            kind, begun, lines = now, number + fence, []
        if not fence:
            lines.append(line)


def _block(lines: list[str], begun: int) -> Code:
    return Code("\n".join(lines).replace("\\\n", " "), begun, block=True)


def _within(lines: list[str], begun: int) -> Iterator[Code]:
    """What stands between backticks, which may go on in the paragraph's next line."""
    text = "\n".join(lines)
    for found in re.finditer(r"`([^`]+)`", text):
        yield Code(found[1].replace("\n", " "), begun + text.count("\n", 0, found.start()), block=False)


def commands(text: str) -> Iterator[Command]:
    """Each command of ours on a page."""
    for code in codes(text):
        for line in code.text.splitlines():
            if found := _COMMAND.match(line):
                words = shlex.split(found[2].replace("…", " … "), comments=True)[1:]
                words = words[: words.index(">")] if ">" in words else words
                whole = [word for word in words if word.strip() not in {"…", "...", "VERB"}]
                launcher = tuple(shlex.split(found[1] or ""))
                yield Command(tuple(whole), code.line, code.block, launcher, len(whole) == len(words))


@cache
def candor_command() -> Any:
    return get_command(app)


def _parsed(words: tuple[str, ...]) -> tuple[Any, dict[str, Any]]:
    """The verb's own command and what its parser read; what click has against the words is raised."""
    command, rest = candor_command(), list(words)
    context = command.context_class(command, info_name="candor")
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        verb, *rest = rest
        if verb not in command.commands:
            raise LookupError(f"there is no verb '{verb}'")
        command = command.commands[verb]
        context = command.context_class(command, info_name=verb, parent=context)
    return command, command.make_parser(context).parse_args(rest)[0]


def problem_of(words: tuple[str, ...]) -> str | None:
    """What click has against a command, without running it; None where it can be typed."""
    try:
        _parsed(words)
    except Exception as error:  # click has several, and typer brings a click of its own
        return str(getattr(error, "message", error))
    return None


def missing_in(words: tuple[str, ...]) -> list[str]:
    """Names of what a verb needs and these words don't give; "verb" where no verb is named."""
    command, given = _parsed(words)
    if given.get("help") or given.get("version"):
        return []
    if hasattr(command, "commands"):
        return ["verb"]
    return [one.name for one in command.params if one.required and not given.get(one.name)]


def verb_of(words: tuple[str, ...]) -> str:
    """The verb, of two words where it is one of several of a kind."""
    command, verbs = candor_command(), list[str]()
    for word in words:
        if not hasattr(command, "commands") or word not in command.commands:
            break
        verbs.append(word)
        command = command.commands[word]
    return " ".join(verbs)
