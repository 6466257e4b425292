"""Conversations, and how they become training examples with loss on the assistant's words only.

Chat templates rarely mark which part of their output the model is to produce, so the spans are derived
here from any template: the conversation is rendered up to each assistant turn, once with the generation
prompt and once with the turn, and the difference is what the model has to write. The tokens before it are
those that a generation prompt gives, so that training and sampling see the same prefix.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from transformers import PreTrainedTokenizerBase

from candor.core.errors import CandorError
from candor.data.types import Row
from candor.tools.tool import Tool, result_spans

# For models without a chat template. No token is trained for the first time: the question is plain text
# and the end token is the one that the model already knows from the end of its documents.
PLAIN_TEMPLATE = (
    "{% for message in messages %}"
    "{% if not loop.first and message['role'] != 'assistant' %}{{ '\\n\\n' }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ 'Question: ' + message['content'] + '\\nAnswer:' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}"
    "{% else %}{{ message['content'] }}{% endif %}"
    "{% endfor %}"
)

# OpenAI's chat markup language, for models that have its two tokens: a turn is a start token, the role as
# plain text, a line break, the words, an end token.
CHATML_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

# Stands for a turn's words while the text that a template puts around them is found.
PLACEHOLDER = "candorplaceholder"


class PrefixError(CandorError):
    """A chat template renders an earlier turn differently once a later one follows."""


class Turn(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["system", "user", "assistant", "tool"]
    content: str


class Conversation(Row):
    """A row of a training set: the `messages` format that TRL, Axolotl and LLaMA-Factory read as it is.

    `weight` scales the loss of every supervised token of the conversation.
    """

    messages: tuple[Turn, ...] = Field(min_length=1)
    weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)


@dataclass(frozen=True)
class Example:
    """A tokenised conversation: `supervised[i]` says whether `token_ids[i]` is to be predicted.

    With `keep`, what is to be learned there is not the token but all that the model expected before
    training, whatever it was: the text is an occasion to stay the same.
    """

    token_ids: tuple[int, ...]
    supervised: tuple[bool, ...]
    weight: float = 1.0
    keep: bool = False

    def __post_init__(self) -> None:
        if len(self.token_ids) != len(self.supervised):
            raise ValueError(f"{len(self.token_ids)} tokens but {len(self.supervised)} supervision flags")


def plain_template(tokenizer: PreTrainedTokenizerBase) -> str:
    """The `PLAIN_TEMPLATE`, opened by the start token if the tokenizer puts one before ordinary text."""
    return _opened(PLAIN_TEMPLATE, tokenizer)


def chatml_template(tokenizer: PreTrainedTokenizerBase) -> str:
    """The `CHATML_TEMPLATE`, opened in the same way."""
    return _opened(CHATML_TEMPLATE, tokenizer)


def _opened(template: str, tokenizer: PreTrainedTokenizerBase) -> str:
    ids = tokenizer("x").input_ids
    starts = tokenizer.bos_token_id is not None and len(ids) > 0 and ids[0] == tokenizer.bos_token_id
    return ("{{ bos_token }}" if starts else "") + template


def encode(
    conversation: Conversation,
    tokenizer: PreTrainedTokenizerBase,
    template: str | None = None,
    *,
    max_tokens: int | None = None,
    last_only: bool = False,
    tools: Sequence[Tool] = (),
) -> Example:
    """Tokenise a conversation and mark what the model has to write.

    Supervised are each assistant turn's content and the end token after it; nothing else. Turns after the
    last assistant turn are left out, as no loss comes from them. Results of tools are read, not learned, and
    have the tokens that the engine inserts: no token reaches over their borders.

    Args:
        conversation: the messages; at least one from the assistant.
        tokenizer: its own chat template is used unless `template` is given.
        template: a Jinja chat template, such as `plain_template(tokenizer)`.
        max_tokens: the most tokens allowed.
        last_only: of the assistant's turns only the last is supervised.
        tools: whose results the assistant's turns may have in them.

    Raises:
        PrefixError: the template is not prefix-stable: an earlier turn is rendered differently once a later
            one follows.
        CandorError: there is no template, it fails on these messages, it writes no end token, the
            conversation has no assistant turn, it is longer than `max_tokens`, or a tool's result is not
            closed.
    """
    *_, (_, example) = growing(conversation, tokenizer, template, last_only=last_only, tools=tools)
    length = len(example.token_ids)
    if max_tokens is not None and length > max_tokens:
        raise CandorError(
            f"a training conversation has {length} tokens, more than the {max_tokens} allowed",
            fix="shorten it or raise the limit: it is not cut, because the answer's end would be lost",
        )
    return example


def growing(
    conversation: Conversation,
    tokenizer: PreTrainedTokenizerBase,
    template: str | None = None,
    *,
    last_only: bool = False,
    tools: Sequence[Tool] = (),
) -> Iterator[tuple[int, Example]]:
    """Yield (messages so far, their example) at each assistant turn; each example begins with the one before.

    Raises:
        CandorError: as `encode`, when it comes to it.
    """
    messages = [turn.model_dump() for turn in conversation.messages]
    places = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    if not places:
        raise CandorError("a training conversation has no assistant turn, so there is nothing to learn from")
    text, ids, supervised = "", [], []
    for place in places[-1:] if last_only else places:
        turns = messages[: place + 1]
        prompt = render(turns[:-1], tokenizer, template, open_turn=True)
        whole = render(turns, tokenizer, template)
        if not prompt.startswith(text) or not whole.startswith(prompt):
            raise PrefixError(
                "the chat template is not prefix-stable: it renders an earlier turn differently once a "
                f"later one follows (found at message {place + 1} of {len(messages)})",
                fix="give one conversation for each assistant turn, or a template that only ever appends",
            )
        end = len(whole) - len(_after_end_token(turns, whole, tokenizer, template))
        for stop, learn in _parts(whole, len(prompt), end, tools):
            ids = _extend(ids, text, whole[:stop], tokenizer)
            text = whole[:stop]
            supervised += [learn] * (len(ids) - len(supervised))
        yield place + 1, Example(tuple(ids), tuple(supervised), conversation.weight)


def _parts(whole: str, begin: int, end: int, tools: Sequence[Tool]) -> Iterator[tuple[int, bool]]:
    """Yield (where a part of a text ends, whether it is learned): what comes before a turn, and the turn."""
    yield begin, False
    for start, stop in result_spans(whole[begin:end], tools) if tools else ():
        yield begin + start, True
        yield begin + stop, False
    yield end, True


def encode_turns(
    conversation: Conversation,
    tokenizer: PreTrainedTokenizerBase,
    template: str | None = None,
    *,
    tools: Sequence[Tool] = (),
) -> list[Example]:
    """Tokenise a conversation for any template: one example, or one for each assistant turn.

    Templates that drop what an earlier reply had (Qwen 3 drops its thoughts) give the model another text at
    each turn, so each turn is an example of its own then, behind what it would be given.

    Raises:
        CandorError: as `encode`.
    """
    try:
        return [encode(conversation, tokenizer, template, tools=tools)]
    except PrefixError:
        ends = [place + 1 for place, turn in enumerate(conversation.messages) if turn.role == "assistant"]
        parts = [conversation.model_copy(update={"messages": conversation.messages[:end]}) for end in ends]
        return [encode(part, tokenizer, template, last_only=True, tools=tools) for part in parts]


def encode_all(
    conversations: Iterable[Conversation],
    tokenizer: PreTrainedTokenizerBase,
    template: str | None = None,
    *,
    max_tokens: int,
    tools: Sequence[Tool] = (),
) -> tuple[list[Example], list[int]]:
    """Encode many conversations; return the examples and the indices of those left out as too long.

    Raises:
        CandorError: every conversation was too long, or one of the errors of `encode`.
    """
    examples, too_long = [], []
    for index, conversation in enumerate(conversations):
        example = encode(conversation, tokenizer, template, tools=tools)
        if len(example.token_ids) > max_tokens:
            too_long.append(index)
        else:
            examples.append(example)
    if too_long and not examples:
        raise CandorError(
            f"all {len(too_long)} training conversations have more than {max_tokens} tokens",
            fix="shorten them or raise the limit",
        )
    return examples, too_long


def render(
    messages: list[dict[str, str]],
    tokenizer: PreTrainedTokenizerBase,
    template: str | None = None,
    *,
    open_turn: bool = False,
) -> str:
    """The text of a conversation; with `open_turn` it ends where the assistant's next words begin."""
    if template is None and tokenizer.chat_template is None:
        raise CandorError(
            "the model has no chat template", fix="choose the plain question-and-answer template, or give one"
        )
    try:
        text = tokenizer.apply_chat_template(
            messages, chat_template=template, tokenize=False, add_generation_prompt=open_turn
        )
    except Exception as error:  # templates are programs, and fail in every way that programs can
        roles = ", ".join(message["role"] for message in messages)
        raise CandorError(
            f"the chat template refused a conversation of {roles} ({type(error).__name__}: {error})",
            fix="give the roles in the order that this template wants, or another --template",
        ) from error
    return str(text)


def lead_of(tokenizer: PreTrainedTokenizerBase, template: str | None = None) -> str:
    """The blanks that a template writes between the generation prompt and an assistant's words.

    Candor's plain template leaves the space behind "Answer:" to the reply, as base models expect it. Replies
    that are scored, not sampled, have to begin with it.

    Raises:
        CandorError: there is no template, or it fails.
    """
    asked = [{"role": "user", "content": "a"}]
    answered = [*asked, {"role": "assistant", "content": PLACEHOLDER}]
    prompt, whole = (
        render(asked, tokenizer, template, open_turn=True),
        render(answered, tokenizer, template),
    )
    between = whole.removeprefix(prompt).partition(PLACEHOLDER)[0]
    return between if whole.startswith(prompt) and between.isspace() else ""


def _after_end_token(
    turns: list[dict[str, str]], whole: str, tokenizer: PreTrainedTokenizerBase, template: str | None
) -> str:
    """What the template writes after the end token of the last turn (often a newline)."""
    stand_in = [*turns[:-1], {**turns[-1], "content": PLACEHOLDER}]
    tail = render(stand_in, tokenizer, template).rpartition(PLACEHOLDER)[2]
    # Added tokens too: some models end a turn with a token that is not declared special.
    ends = {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}  # type: ignore[operator]
    found = [(tail.find(token), -len(token)) for token in ends if token and token in tail]
    if not found or not whole.endswith(tail):
        raise CandorError(
            "the chat template writes no end token after an assistant turn, so the model would not learn "
            "to stop",
            fix="give a template that ends each assistant turn with the model's end token",
        )
    at, length = min(found)
    return tail[at - length :]


def _extend(ids: list[int], old: str, new: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Token ids of `new`, which starts with `old`, keeping the ids that `old` already has.

    The whole text is tokenised at once where that leaves the old tokens alone. Where a token would span
    the border (content that starts with a line break, say) the new part is tokenised by itself, as
    sampling would have it: a prompt's tokens can't change after it was given.
    """
    kept, at = _last_cut(ids, old, tokenizer)
    joint = _ids(new[at:], tokenizer)
    if kept and joint[: len(ids) - kept] != ids[kept:]:
        kept, joint = 0, _ids(new, tokenizer)
    if joint[: len(ids) - kept] == ids[kept:]:
        return ids[:kept] + joint
    return ids + _ids(new[len(old) :], tokenizer)


def _last_cut(ids: list[int], text: str, tokenizer: PreTrainedTokenizerBase) -> tuple[int, int]:
    """The last token, and where it is in the text, before which nothing depends on what follows.

    A text is cut at added tokens before anything else is done with it. Without this a conversation of many
    turns would be tokenised from its beginning for each of them.
    """
    added = tokenizer.added_tokens_decoder
    for place in range(len(ids) - 1, -1, -1):
        if ids[place] in added:
            token = added[ids[place]]
            at = text.rfind(token.content)
            # Else it may have taken blanks around it, or be a word within a word.
            sure = at >= 0 and not (token.lstrip or token.rstrip or token.single_word or token.normalized)
            return (place, at) if sure else (0, 0)
    return 0, 0


def _ids(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False, verbose=False).input_ids)
