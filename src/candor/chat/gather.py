"""The data of a chat tuning: conversations from every source, encoded once, and divided into two sides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor.chat.check import refused, too_long
from candor.chat.mix import Mix, MixCounter
from candor.chat.recipe import ChatRecipe, ChatSource
from candor.core.draws import draw
from candor.core.errors import CandorError
from candor.core.progress import Reporter
from candor.data.chat_files import Tally, hub_conversations, read_conversations
from candor.data.chat_rows import Where
from candor.data.conversations import Conversation, encode_turns
from candor.data.embedded_chats import embedded_chats
from candor.data.encoded import Encoded
from candor.data.long_chats import Pieces, encode_pieces
from candor.tools import Tool

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SIDES = ("train", "validation")


@dataclass(frozen=True)
class Side:
    """Conversations as rows to write, and the examples that they became."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    encoded: Encoded = field(default_factory=lambda: Encoded([], []))


@dataclass(frozen=True)
class Gathered:
    """Both sides, what they are made of, and what was left out."""

    sides: dict[str, Side]
    mix: Mix
    tally: Tally


def gather(
    recipe: ChatRecipe,
    tokenizer: PreTrainedTokenizerBase,
    *,
    context: int,
    tools: Sequence[Tool] = (),
    reporter: Reporter,
    on_file: Callable[[str, Path], None],
) -> Gathered:
    """Read all sources in their order, leave out what can't be learned from, and hold some out.

    Args:
        recipe: its `data`, and its seed.
        tokenizer: with a chat template.
        context: the most tokens that the model reads.
        tools: whose results are read and not learned.
        reporter: shows progress.
        on_file: is given the name and the path of each file.

    Raises:
        CandorError: a row is no conversation, or is too long, and neither may be left out; or a side of the
            division has nothing.
    """
    settings = recipe.data
    limit = min(settings.max_tokens, context)
    mix, tally = MixCounter(limit), Tally()
    sides = {name: Side() for name in SIDES}
    with reporter.bar("reading conversations", None) as bar:
        for source in settings.sources:
            mix.source(source.name, source.weight)
            if not source.weight:
                continue
            if source.path is not None:
                on_file(source.name, source.path)
            for document, where, conversation in _conversations(recipe, source, tally):
                bar.advance()
                try:
                    found = _encoded(recipe, conversation, tokenizer, limit, tools)
                except CandorError as error:
                    problem = refused(error, where)
                    if not settings.skip_invalid:
                        raise problem from error
                    tally.leave_out(problem.reason, problem)
                    continue
                longest = max((len(example.token_ids) for example in found.examples), default=0)
                if settings.long == "refuse" and longest > limit:
                    raise too_long(longest, limit, where)
                if not mix.add(source.name, conversation, found):
                    continue
                side = sides[side_of(document, recipe)]
                for example in found.examples:
                    side.encoded.examples.append(replace(example, weight=example.weight * source.weight))
                    side.encoded.rows.append(len(side.rows))
                row = conversation.model_dump(mode="json")
                side.rows.append(
                    {**row, "source": source.name, "weight": conversation.weight * source.weight}
                )
    gathered = Gathered(sides, mix.mix(), tally)
    if not all(side.rows for side in sides.values()):
        raise _too_few(gathered, recipe, limit)
    return gathered


def side_of(document: str, recipe: ChatRecipe) -> str:
    """Where a conversation belongs, drawn by what it is about."""
    place = draw(f"chat split:{recipe.seed}:{document}")
    return "validation" if place < recipe.data.validation else "train"


def _encoded(
    recipe: ChatRecipe,
    conversation: Conversation,
    tokenizer: PreTrainedTokenizerBase,
    limit: int,
    tools: Sequence[Tool],
) -> Pieces:
    if recipe.data.long == "split":
        return encode_pieces(conversation, tokenizer, max_tokens=limit, tools=tools)
    return Pieces(tuple(encode_turns(conversation, tokenizer, tools=tools)))


def _conversations(
    recipe: ChatRecipe, source: ChatSource, tally: Tally
) -> Iterator[tuple[str, Where, Conversation]]:
    """Yield (what it is about, where, conversation): what is about the same is held out together."""
    skip, layout = recipe.data.skip_invalid, source.layout or "auto"
    if source.embedded is not None:
        chats = embedded_chats(source.embedded, source.conversations, recipe.seed)
        for number, (name, conversation) in enumerate(chats, start=1):
            about = "/".join(name.split("/")[:2])  # of facts: the entity
            yield about, Where(source.name, number), conversation
        return
    if source.path is not None:
        found = read_conversations(source.path, layout=layout, tally=tally, skip_invalid=skip)
    else:
        assert source.hub is not None
        found = hub_conversations(
            source.hub,
            config=source.config,
            split=source.split,
            revision=source.revision,
            layout=layout,
            tally=tally,
            skip_invalid=skip,
        )
    for number, (where, conversation) in enumerate(found):
        if source.conversations is not None and number >= source.conversations:
            return
        # By what is said: the same conversation is never on both sides.
        yield repr([(turn.role, turn.content) for turn in conversation.messages]), where, conversation


def _too_few(gathered: Gathered, recipe: ChatRecipe, limit: int) -> CandorError:
    """What to tell when a side of the division has nothing."""
    settings, long = recipe.data, gathered.mix.total.too_long
    train, held_out = (len(gathered.sides[side].rows) for side in SIDES)
    longer = f"; {long:,} have more than {limit:,} tokens" if long else ""
    if train:
        share = f"data.validation is {settings.validation:g}"
        wrong = f"none of {train:,} conversations was held out ({share}{longer})"
        fix = "give more conversations, or hold out more of them: --set data.validation=0.2"
    elif held_out:
        wrong = f"all {held_out:,} conversations were held out, so there is nothing to learn from{longer}"
        fix = "give more conversations, or hold out fewer of them: lower data.validation"
    else:
        wrong, fix = f"there are no conversations to learn from{longer}", "give others, or more"
    if long and settings.long != "split":
        fix += "; or cut them into pieces: --set data.long=split"
    if long and limit == settings.max_tokens:
        fix += "; or raise data.max_tokens"
    return CandorError(wrong, fix=fix)
