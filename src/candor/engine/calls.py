"""Calls of tools in a completion that is being written, and what is inserted behind each."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from candor.engine.text import TokenText
from candor.tools.tool import Tool, ToolLimits, inserted_text, marks_of


class Calls:
    """Reads one completion's tokens for calls.

    A call is what stands between a tool's closing mark and the last of its opening marks before it. The
    result's tokens wait in `forced` and go into the completion one a step, behind the token that closed the
    call. They depend on the completion alone, and so does all that follows.

    Args:
        text: the tokenizer's.
        tools: at least one.
        limits: of this completion.
        before: the prompt's last tokens, so that the first token's text has its space, if any.

    Attributes:
        forced: tokens that come next, instead of drawn ones.
        inserted: for each token so far, whether it was forced.
        shown: the marks that are control tokens, which a completion's text leaves out otherwise.
    """

    def __init__(
        self, text: TokenText, tools: Sequence[Tool], limits: ToolLimits, before: Sequence[int] = ()
    ) -> None:
        self.forced: deque[int] = deque()
        self.inserted: list[bool] = []
        self.shown = text.control_tokens([mark for tool in tools for mark in marks_of(tool)])
        self._table, self._tools, self._limits = text, tools, limits
        self._stream = text.stream(skip_special=False, before=before)
        self._text = ""  # what was drawn since the last insertion
        self._searched = 0  # of it, where the search for closing marks goes on
        self._longest = max(len(tool.closing) for tool in tools)
        self._made = 0

    def take_forced(self) -> bool:
        """Whether the newest token is the next of the forced ones, which is then done with."""
        forced = bool(self.forced)
        self.inserted.append(forced)
        if forced:
            # The stream has to see it, and what is read for calls must not: a result never makes a call.
            self._stream.push(self.forced.popleft())
        return forced

    def read(self, token: int) -> None:
        """Take a drawn token; if it closes a call, the result is in `forced` afterwards."""
        piece = self._stream.push(token)
        begin = max(self._searched, len(self._text) - self._longest + 1)
        self._text += piece
        while not self.forced and (found := self._next_closing(begin)):
            place, tool = found
            begin = self._searched = place + len(tool.closing)
            opened = self._text.rfind(tool.opening, 0, place)
            if opened >= 0:
                call, behind = self._text[opened + len(tool.opening) : place], self._text[begin:]
                self.forced.extend(self._result(tool, call, behind))
                self._text, self._searched = "", 0

    def _next_closing(self, begin: int) -> tuple[int, Tool] | None:
        found = [
            (place, tool) for tool in self._tools if (place := self._text.find(tool.closing, begin)) >= 0
        ]
        return min(found, key=lambda pair: pair[0], default=None)

    def _result(self, tool: Tool, call: str, behind: str) -> list[int]:
        """The tokens to insert.

        Args:
            tool: that was called.
            call: its text.
            behind: text that came with the last token of the closing mark. If the result begins with it (in
                many vocabularies "><" is one token), the rest is inserted.
        """
        if len(call) > self._limits.characters:
            result = "error: call too long"
        elif self._made >= self._limits.calls:
            result = "error: too many calls"
        else:
            self._made += 1
            result = tool.run(call)
        tokens = self._tokens(tool, result, behind)
        if len(tokens) > self._limits.tokens:
            return self._tokens(tool, "error: result too long", behind)
        return tokens

    def _tokens(self, tool: Tool, result: str, behind: str) -> list[int]:
        text = inserted_text(tool, result)
        return self._table.encode(text.removeprefix(behind), after=tool.closing + behind)
