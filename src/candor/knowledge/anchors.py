"""What tuning is to leave alone: text of the model's own making, on which its expectations are kept.

Learning to refuse spreads: short requests of other kinds get refused, and ordinary prose becomes less
likely. Data to hold a model in place need not come from anywhere. Given the opening of a user's turn, an
instruction-tuned model writes the turn (Xu et al. 2024, Magpie); given a list of short requests, it goes on
with the list (Wang et al. 2023, Self-Instruct); given a few words, it writes prose. On all of them tuning
minimises the divergence from what the untuned model expects (`train.loss.divergence`), which is 0 at the
start and does not pull the model anywhere, as imitating the sampled words would.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from candor.core.draws import draw
from candor.core.errors import CandorError
from candor.data.conversations import PLACEHOLDER, Example, render
from candor.engine.protocol import Engine, Generation, Message, Sampling
from candor.knowledge import ability
from candor.knowledge.build import conversation

_TURN_TOKENS, _PROSE_TOKENS = 40, 96
# Whether to refuse is decided by a reply's first words, so many short replies hold more than a few long ones.
_REPLY_TOKENS = 12
# Shares of turns opened by the template alone, of short requests from lists, and (the rest) of prose.
_TURNS, _REQUESTS = 0.2, 0.65
# Not all turns end in time, and some are alike: so many are begun for each that is needed.
_SPARE = 2.0
# Lists of short requests: how many stand there, the longest one, and how often each list is gone on with.
_LISTED, _LONGEST_LISTED, _PER_LIST = 8, 110, 16

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
    turns, requests = round(count * _TURNS), round(count * _REQUESTS)
    try:
        asked = _user_turns(engine, tokenizer, turns, seed, template) + _requests(engine, requests, seed)
        prose = _prose(engine, count - turns - requests, seed)
    except CandorError:  # a server that only chats
        return []
    prompts: list[list[Message]] = [[{"role": "user", "content": turn}] for turn in asked]
    replies = engine.generate(prompts, Sampling(max_tokens=_REPLY_TOKENS)) if prompts else []
    rows: list[dict[str, Any]] = []
    for number, (prompt, reply) in enumerate(zip(prompts, replies, strict=True)):
        answer = reply.completions[0].text.strip()
        if answer:
            rows.append(conversation(prompt, answer, f"turn-{number:03d}", "keep"))
    return rows + [{"id": f"prose-{number:03d}", "text": text} for number, text in enumerate(prose)]


def prose_example(text: str, tokenizer: Any) -> Example | None:
    """The text, every token of it to be kept as expected as it was; None if it has fewer than two."""
    ids = tuple(tokenizer(text).input_ids)
    return Example(ids, (False,) + (True,) * (len(ids) - 1), keep=True) if len(ids) > 1 else None


def _user_turns(engine: Engine, tokenizer: Any, count: int, seed: int, template: str | None) -> list[str]:
    """What the model thinks that users say."""
    if not count:
        return []
    opened = render([{"role": "user", "content": PLACEHOLDER}], tokenizer, template)
    before, _, after = opened.partition(PLACEHOLDER)
    if tokenizer.bos_token and tokenizer("x").input_ids[0] == tokenizer.bos_token_id:
        before = before.removeprefix(tokenizer.bos_token)  # raw text gets one of its own
    sampling = Sampling(
        max_tokens=_TURN_TOKENS,
        temperature=1.0,
        n=round(count * _SPARE),
        seed=seed,
        stop=tuple(text for text in (after.strip(),) if text),
    )
    return _lines(engine.generate([before], sampling), count)


def _requests(engine: Engine, count: int, seed: int) -> list[str]:
    """Short requests, as further lines of lists of the packaged ones."""
    known = [text for text in ability.rehearsal() if len(text) <= _LONGEST_LISTED and "\n" not in text]
    lists = [
        sorted(known, key=lambda text: draw(f"{seed}:{number}:{text}"))[:_LISTED]
        for number in range(-(-round(count * _SPARE) // _PER_LIST))
    ]
    prompts = [
        "Different things that people ask an assistant to do:\n"
        + "".join(f"- {text}\n" for text in listed)
        + "-"
        for listed in lists
    ]
    sampling = Sampling(
        max_tokens=_TURN_TOKENS, temperature=1.0, top_p=0.95, n=_PER_LIST, seed=seed, stop=("\n",)
    )
    return _lines(engine.generate(prompts, sampling), count) if prompts else []


def _lines(results: Sequence[Generation], count: int) -> list[str]:
    """Completions that ended by themselves within a line, no two alike."""
    texts = [c.text.strip() for result in results for c in result.completions if c.finish_reason == "stop"]
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
