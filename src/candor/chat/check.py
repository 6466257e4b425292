"""Every conversation of some files, read, encoded and counted: what is wrong with them, and what they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from candor.chat.mix import Mix, MixCounter
from candor.core.errors import CandorError, InputError, printable
from candor.core.progress import Reporter
from candor.data.chat_files import NoConversationsError, Tally, read_conversations
from candor.data.chat_layouts import Layout
from candor.data.chat_rows import RowError, Where
from candor.data.conversations import encode_turns
from candor.data.long_chats import Pieces, encode_pieces

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from candor.tools import Tool


def check_files(
    files: Sequence[Path],
    tokenizer: PreTrainedTokenizerBase,
    *,
    layout: Layout = "auto",
    max_tokens: int | None = None,
    tools: Sequence[Tool] = (),
    split: bool = False,
    samples: int = 3,
    reporter: Reporter | None = None,
) -> tuple[Mix, Tally]:
    """Go through files to their ends, whatever is wrong with them.

    Args:
        files: one source each.
        tokenizer: with a chat template.
        layout: of the rows.
        max_tokens: conversations with more count as problems.
        tools: whose results the assistant's turns may have in them.
        split: cut them into pieces that fit, as tuning does; those of which no reply fits are still problems.
        samples: of how many problems of each kind the message is kept.
        reporter: shows progress.

    Returns:
        The mix of what is in order, and the problems: of rows, of conversations that the template refuses or
        that are too long, and of files that can't be read.
    """
    tally, counter = Tally(samples=samples), MixCounter(max_tokens)
    names = Counter(file.name for file in files)
    with (reporter or Reporter("quiet")).bar("checking conversations", None) as bar:
        for file in files:
            name = printable(file.name if names[file.name] == 1 else file)
            counter.source(name)
            left_out = tally.left_out
            try:
                rows = read_conversations(file, layout=layout, tally=tally, skip_invalid=True)
                for where, conversation in rows:
                    bar.advance()
                    try:
                        found = (
                            encode_pieces(conversation, tokenizer, max_tokens=max_tokens, tools=tools)
                            if split and max_tokens is not None
                            else Pieces(tuple(encode_turns(conversation, tokenizer, tools=tools)))
                        )
                    except CandorError as error:
                        problem = refused(error, where)
                        tally.leave_out(problem.reason, problem)
                        continue
                    if not counter.add(name, conversation, found):
                        longest = max((len(example.token_ids) for example in found.examples), default=None)
                        problem = too_long(longest, max_tokens or 0, where)
                        tally.leave_out(problem.reason, problem)
            except NoConversationsError as error:
                if tally.left_out == left_out:  # else its rows say why
                    tally.leave_out("empty file", error)
            except InputError as error:
                tally.leave_out("unreadable file", error)
    return counter.mix(), tally


def refused(error: CandorError, where: Where) -> RowError:
    """The error of a row that a chat template can't write or learn from."""
    fix = error.fix or "leave the row out, or give a template that takes it"
    return RowError("refused by the chat template", error.message, where, None, fix)


def too_long(tokens: int | None, limit: int, where: Where) -> RowError:
    """The error of a conversation that has more tokens than are allowed; None: each of its replies has."""
    if tokens is None:
        wrong, fix = f"has no reply that fits into {limit:,} tokens", "shorten it or raise the limit"
    else:
        wrong = f"has {tokens:,} tokens, more than the {limit:,} allowed"
        fix = (
            'shorten it or raise the limit, or let tuning cut it between turns (data.long = "split"): it is '
            "not cut elsewhere, because a reply's end would be lost"
        )
    return RowError("too long", wrong, where, None, fix)
