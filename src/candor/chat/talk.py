"""A conversation with a model, a turn at a time, and what it really reads of it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any

from candor.core.errors import CandorError
from candor.engine.flow import Room
from candor.engine.local import LocalEngine
from candor.engine.prompts import encode_chat
from candor.engine.protocol import Message, Sampling
from candor.engine.rows import Request

_PREFILL = 2048  # prompt tokens of one pass


@dataclass
class Talk:
    """A conversation under way.

    Args:
        engine: with a chat template.
        sampling: how replies are drawn; `max_tokens` is the longest reply.
        system: a first message that stands before all others, or "".

    Attributes:
        turns: what was said, the system message aside.
        cut: whether the last reply was ended by its length.
        full: whether that was because the model can't read more, not by the sampling's longest reply.
    """

    engine: LocalEngine
    sampling: Sampling
    system: str = ""
    turns: list[Message] = field(default_factory=list)
    cut: bool = False
    full: bool = False

    @property
    def messages(self) -> list[Message]:
        """All that the model is given."""
        return [*([Message(role="system", content=self.system)] if self.system else []), *self.turns]

    def say(self, text: str) -> Generator[str, None, None]:
        """Say something; yields the reply as it is written, whole characters at a time.

        What was said and the reply are kept once the reply is whole, or when the iterator is closed in
        between: then as far as it came.

        Raises:
            CandorError: the conversation has grown too long for the model.
        """
        said = Message(role="user", content=text)
        _, ids = self._encoded([*self.messages, said], open_turn=True)
        room = self.engine.context - len(ids)
        if room < 1:
            raise CandorError(
                f"the conversation has {len(ids):,} tokens, and the model reads {self.engine.context:,}",
                fix="/undo a turn, or begin again with /new",
            )
        # Another draw each turn; the same conversation with the same seed is the same.
        sampling = replace(
            self.sampling,
            max_tokens=min(self.sampling.max_tokens, room),
            seed=self.sampling.seed + len(self.turns),
        )
        request = Request(ids, [sampling], watched=True)
        flow = self.engine.flow(Room(rows=1, prefill_tokens=_PREFILL))
        flow.submit(request)
        try:
            while flow.busy:
                for row in flow.step():
                    assert row.growing is not None
                    if piece := row.growing.take():
                        yield piece
        finally:
            (row,) = request.rows or [None]
            reply = "" if row is None or row.growing is None else row.growing.text
            self.cut = row is not None and row.finish == "length"
            self.full = self.cut and sampling.max_tokens == room
            if reply.strip():
                self.turns += [said, Message(role="assistant", content=reply.strip())]

    def undo(self) -> bool:
        """Take the last question and its reply back; whether there was one."""
        if not self.turns:
            return False
        del self.turns[-2:]
        return True

    def read(self) -> tuple[str, list[tuple[int, str, bool]]]:
        """What the model reads before it would speak again.

        Returns:
            The text as the template writes it, and each token: its id, its text, whether it is a special one.
        """
        text, ids = self._encoded(self.messages, open_turn=True)
        table = self.engine.text
        return text, [(token, table.shown(token), table.special(token)) for token in ids]

    def _encoded(self, messages: list[Message], *, open_turn: bool) -> tuple[str, list[int]]:
        plain: list[dict[str, Any]] = [dict(message) for message in messages]
        return encode_chat(self.engine.tokenizer, plain, open_turn=open_turn)
