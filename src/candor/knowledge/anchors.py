"""What tuning is to leave alone: text of the model's own making, on which its expectations are kept.

Learning to refuse spreads: short questions of other kinds get refused, and ordinary prose becomes less
likely. Data to hold a model in place need not come from anywhere: an instruction-tuned model given the
opening of a user's turn writes the turn (Xu et al. 2024, Magpie), and given a few words it writes prose. On
both, tuning minimises the divergence from what the untuned model expects (`train.loss.divergence`), which is
0 at the start and does not pull the model anywhere, as imitating the sampled words would.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from candor.core.errors import CandorError
from candor.data.conversations import Example, render
from candor.engine.protocol import Engine, Message, Sampling

_PLACEHOLDER = "candorplaceholder"
_TURN_TOKENS, _REPLY_TOKENS, _PROSE_TOKENS = 40, 24, 96
# Share of conversations; the rest is prose.
_CONVERSATIONS = 2 / 3
# Not all turns end in time: so many are begun for each that is needed.
_SPARE = 2.0

# Beginnings of texts of many kinds, none of them that of a passage which perplexity is measured on.
_OPENINGS = (
    "The",
    "In 1950,",
    "Once upon a time",
    "To make the dough,",
    "Dear",
    "Chapter 1",
    "According to",
    "A study of",
    "She",
    "def ",
    "We",
    "Most people",
    "When the",
    "Yesterday",
    "How to",
    "One of the",
    "If you",
    "The history of",
    "He said",
    "There are",
    "It was",
    "My",
    "Water",
    "Children",
)


def anchor_rows(
    engine: Engine, tokenizer: Any, count: int, seed: int, template: str | None = None
) -> list[dict[str, Any]]:
    """Conversations and prose by the model itself.

    Args:
        engine: the untuned model.
        tokenizer: its tokenizer, for what comes before a user's words.
        count: how many rows.
        seed: of the sampling.
        template: the chat template's text, or None for the model's own.

    Returns:
        Rows with `messages` or with `text`; fewer than asked for where the model does not write users' turns,
        and none where the engine does not continue raw text.
    """
    wanted = round(count * _CONVERSATIONS)
    try:
        turns = _user_turns(engine, tokenizer, wanted, seed, template)
        prose = _prose(engine, count - wanted, seed)
    except CandorError:  # a server that only chats
        return []
    prompts: list[list[Message]] = [[{"role": "user", "content": turn}] for turn in turns]
    replies = engine.generate(prompts, Sampling(max_tokens=_REPLY_TOKENS)) if prompts else []
    rows: list[dict[str, Any]] = []
    for number, (prompt, reply) in enumerate(zip(prompts, replies, strict=True)):
        answer = reply.completions[0].text.strip()
        if answer:
            messages = [*prompt, {"role": "assistant", "content": answer}]
            rows.append({"id": f"turn-{number:03d}", "messages": messages})
    return rows + [{"id": f"prose-{number:03d}", "text": text} for number, text in enumerate(prose)]


def prose_example(text: str, tokenizer: Any) -> Example | None:
    """The text, every token of it to be kept as expected as it was; None if it has fewer than two."""
    ids = tuple(tokenizer(text).input_ids)
    return Example(ids, (False,) + (True,) * (len(ids) - 1), keep=True) if len(ids) > 1 else None


def _user_turns(engine: Engine, tokenizer: Any, count: int, seed: int, template: str | None) -> list[str]:
    """What the model thinks that users say: single lines, no two alike."""
    if not count:
        return []
    opened = render([{"role": "user", "content": _PLACEHOLDER}], tokenizer, template)
    before, _, after = opened.partition(_PLACEHOLDER)
    if tokenizer.bos_token and tokenizer("x").input_ids[0] == tokenizer.bos_token_id:
        before = before.removeprefix(tokenizer.bos_token)  # raw text gets one of its own
    sampling = Sampling(
        max_tokens=_TURN_TOKENS,
        temperature=1.0,
        n=round(count * _SPARE),
        seed=seed,
        stop=tuple(text for text in (after.strip(),) if text),
    )
    found = engine.generate([before], sampling)[0].completions
    texts = [c.text.strip() for c in found if c.finish_reason == "stop"]
    return list(dict.fromkeys(text for text in texts if text and "\n" not in text))[:count]


def _prose(engine: Engine, count: int, seed: int) -> list[str]:
    """Continuations of the openings, in turn."""
    openings: Sequence[str] = _OPENINGS[:count]
    if not openings:
        return []
    each = -(-count // len(openings))
    sampling = Sampling(max_tokens=_PROSE_TOKENS, temperature=1.0, n=each, seed=seed)
    found = engine.generate(list(openings), sampling)
    texts = [
        opening + completion.text
        for place in range(each)
        for opening, completion in (
            (opening, result.completions[place]) for opening, result in zip(openings, found, strict=True)
        )
    ]
    return texts[:count]
