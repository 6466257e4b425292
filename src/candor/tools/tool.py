"""What a tool is: four marks and a function from text to text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from candor.core.errors import CandorError


@runtime_checkable
class Tool(Protocol):
    """Something that a model calls by writing text between two marks.

    A tool is a frozen dataclass with these five texts and `run`; `calculator.Calculator` is one. Marks are
    ordinary text, or the names of special tokens that the model's vocabulary has.
    """

    @property
    def name(self) -> str:
        """As a user names it: `calculator`."""
        ...

    @property
    def opening(self) -> str:
        """What the model writes before a call's text."""
        ...

    @property
    def closing(self) -> str:
        """What it writes behind it; the result is inserted here."""
        ...

    @property
    def result_opening(self) -> str:
        """What is inserted before the result."""
        ...

    @property
    def result_closing(self) -> str:
        """What is inserted behind it."""
        ...

    def run(self, text: str) -> str:
        """The result for a call's text, in plain text.

        Never raises, whatever the text is: what is wrong with it is a result too, for the model to read
        ("error: division by zero"). Has to be quick: the whole batch waits for it.
        """
        ...


@dataclass(frozen=True)
class ToolLimits:
    """How much one completion may have of its tools.

    What goes beyond them gets an error as its result, so that the model never has to invent one.

    Attributes:
        calls: that are run; later ones are answered "error: too many calls".
        characters: of one call; longer ones are answered "error: call too long".
        tokens: of one inserted result, its marks included; one with more is replaced by "error: result too
            long".

    Raises:
        CandorError: one is less than 1.
    """

    calls: int = 16
    characters: int = 256
    tokens: int = 96

    def __post_init__(self) -> None:
        for name in ("calls", "characters", "tokens"):
            if getattr(self, name) < 1:
                raise CandorError(
                    f"{name} of the tools is {getattr(self, name)}", fix="it must be at least 1"
                )


def marks_of(tool: Tool) -> tuple[str, str, str, str]:
    """A tool's marks, in the order in which they are written."""
    return tool.opening, tool.closing, tool.result_opening, tool.result_closing


def inserted_text(tool: Tool, result: str) -> str:
    """What stands behind a call's closing mark."""
    return f"{tool.result_opening}{result}{tool.result_closing}"


def check_tools(tools: Sequence[Tool]) -> None:
    """See that calls of these tools can be told from text and from each other.

    Raises:
        CandorError: a mark is empty, a tool's two marks are the same, or two tools share an opening or a
            closing mark.
    """
    for tool in tools:
        if not (tool.opening and tool.closing and tool.result_closing) or tool.opening == tool.closing:
            raise CandorError(
                f"the tool '{tool.name}' has marks that can't be told apart: {tool.opening!r}, "
                f"{tool.closing!r}, {tool.result_closing!r}",
                fix="give it an opening and another closing mark, and a mark that closes results",
            )
    marks = [mark for tool in tools for mark in (tool.opening, tool.closing)]
    if shared := {mark for mark in marks if marks.count(mark) > 1}:
        raise CandorError(f"two tools have the same mark {min(shared)!r}", fix="give each tool its own")


def result_spans(text: str, tools: Sequence[Tool]) -> list[tuple[int, int]]:
    """Where results stand in a text: [start, end) of each, marks included, in order.

    A result is what stands in its marks right behind a call; blanks between the two belong to the result, as
    nobody writes them.

    Raises:
        CandorError: a result's mark is opened behind a call and never closed.
    """
    found = []
    for tool in tools:
        opened = re.compile(re.escape(tool.closing) + r"(\s*)" + re.escape(tool.result_opening))
        for match in opened.finditer(text):
            if text.find(tool.opening, 0, match.start()) < 0:
                continue
            end = text.find(tool.result_closing, match.end())
            if end < 0:
                raise CandorError(
                    f"the result behind a call of the {tool.name} is never closed: "
                    f"{text[match.start() : match.start() + 60]!r}",
                    fix=f"write {tool.result_closing} behind it",
                )
            found.append((match.start(1), end + len(tool.result_closing)))
    return sorted(found)
