"""What a chat data set is made of, source by source: turns, lengths, what is learned, what comes twice.

    counter = MixCounter(max_tokens=1024)
    for conversation in ...:
        counter.add("sgd", conversation, encode_pieces(conversation, tokenizer, max_tokens=1024))
    print(mix_table(counter.mix()))

It reads a stream: of each conversation no more than two hashes are kept.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from itertools import accumulate
from typing import Any, Literal

from candor.data.conversations import Conversation
from candor.data.long_chats import Pieces

# Assistant turns of a conversation: (name, the fewest).
_BANDS = (("8+", 8), ("4-7", 4), ("2-3", 2), ("1", 1))
# A recogniser guesses at any text; with fewer letters than this it is hardly ever right.
_LETTERS_TO_TELL = 20
_CHARACTERS_TO_READ = 1000
_SHORT = "too short to tell"

Recognised = Literal["yes", "not installed", "not asked"]


@dataclass(frozen=True)
class SourceMix:
    """One source, or all together.

    Attributes:
        name: of the source.
        weight: its weight, or 1 for all together.
        conversations: those that are kept.
        too_long: left out; counted nowhere else.
        split: cut into pieces that fit, and `pieces` into how many.
        lost_turns: assistant turns of those kept that are left out, because they don't fit even alone.
        assistant_turns: the mean of a conversation, and `by_assistant_turns` how many have so many.
        unanswered: conversations that end in turns after the last assistant turn.
        tokens: that are read of all conversations; of one on average, the median, the 95th percentile and the
            longest. What several pieces of one begin with is read with each.
        supervised: tokens that are learned.
        share_of_loss: of all supervised tokens by weight, the source's times the conversation's.
        duplicates: conversations that are an earlier one word for word.
        same_opening: conversations whose first user turn is that of an earlier one.
        languages: conversations by ISO 639-1 code; empty if nothing could recognise them.
    """

    name: str
    weight: float
    conversations: int
    too_long: int
    split: int
    pieces: int
    lost_turns: int
    assistant_turns: float
    by_assistant_turns: dict[str, int]
    unanswered: int
    tokens: int
    tokens_mean: float
    tokens_p50: int
    tokens_p95: int
    tokens_max: int
    supervised: int
    share_of_loss: float
    duplicates: int
    same_opening: int
    languages: dict[str, int]

    @property
    def supervised_share(self) -> float:
        """Of all tokens, those that are learned."""
        return self.supervised / self.tokens if self.tokens else 0.0


@dataclass(frozen=True)
class Mix:
    """All sources in the order in which they came, and the whole."""

    sources: tuple[SourceMix, ...]
    total: SourceMix
    max_tokens: int | None
    recognised: Recognised

    def told(self) -> list[str]:
        """What became of those that are too long, in a line each."""
        whole, limit = self.total, f"more than {self.max_tokens:,} tokens"
        lines = []
        if whole.split:
            lines.append(f"cut between turns, {limit}: {whole.split:,}, into {whole.pieces:,} pieces")
        if whole.lost_turns:
            lines.append(f"replies left out, {limit} even alone: {whole.lost_turns:,}")
        if whole.too_long:
            lines.append(f"left out, {limit}: {whole.too_long:,}")
        return lines

    def as_json(self) -> dict[str, Any]:
        """Plain values, with the shares that follow from the counts."""
        return {
            "max_tokens": self.max_tokens,
            "languages_recognised": self.recognised,
            "sources": [_as_json(source) for source in self.sources],
            "total": _as_json(self.total),
        }


def _as_json(source: SourceMix) -> dict[str, Any]:
    return {**asdict(source), "supervised_share": source.supervised_share}


@dataclass
class _Counts:
    weight: float = 1.0
    too_long: int = 0
    split: int = 0
    pieces: int = 0
    lost_turns: int = 0
    unanswered: int = 0
    supervised: int = 0
    weighted: float = 0.0
    duplicates: int = 0
    same_opening: int = 0
    turns: Counter[int] = field(default_factory=Counter)  # conversations by assistant turns
    lengths: Counter[int] = field(default_factory=Counter)  # conversations by tokens
    languages: Counter[str] = field(default_factory=Counter)


class MixCounter:
    """Counts conversations as they pass.

    Args:
        max_tokens: conversations with more are counted as left out.
        languages: recognise languages, if py3langid is installed.
    """

    def __init__(self, max_tokens: int | None = None, *, languages: bool = True) -> None:
        self._max_tokens = max_tokens
        self._recogniser = _recogniser() if languages else None
        self._recognised: Recognised = "not asked"
        if languages:
            self._recognised = "not installed" if self._recogniser is None else "yes"
        self._total = _Counts()
        self._sources: dict[str, _Counts] = {}
        # In which sources a text was seen, as bits: one entry a text serves the sources and the whole.
        self._seen: tuple[dict[bytes, int], dict[bytes, int]] = ({}, {})

    def source(self, name: str, weight: float = 1.0) -> None:
        """Announce a source, which then has a place and a weight even if nothing comes from it."""
        self._sources.setdefault(name, _Counts()).weight = weight

    def add(self, name: str, conversation: Conversation, pieces: Pieces) -> bool:
        """Count a conversation of a source, and the examples that it became.

        Returns:
            False if it is too long: one of the examples is, or there is none.
        """
        self._sources.setdefault(name, _Counts())
        both = (self._sources[name], self._total)
        lengths = [len(example.token_ids) for example in pieces.examples]
        if not lengths or (self._max_tokens is not None and max(lengths) > self._max_tokens):
            for counts in both:
                counts.too_long += 1
            return False
        turns = sum(turn.role == "assistant" for turn in conversation.messages)
        supervised = sum(sum(example.supervised) for example in pieces.examples)
        again = self._again(name, conversation)
        language = self._language(conversation)
        for counts, (duplicate, same_opening) in zip(both, again, strict=True):
            counts.turns[turns] += 1
            counts.lengths[sum(lengths)] += 1
            counts.split += pieces.cut
            counts.pieces += len(lengths) if pieces.cut else 0
            counts.lost_turns += pieces.lost
            counts.unanswered += conversation.messages[-1].role != "assistant"
            counts.supervised += supervised
            counts.weighted += supervised * conversation.weight * self._sources[name].weight
            counts.duplicates += duplicate
            counts.same_opening += same_opening
            if language is not None:
                counts.languages[language] += 1
        return True

    def mix(self) -> Mix:
        """What was counted so far."""
        whole = self._total.weighted
        sources = tuple(_source_mix(name, counts, whole) for name, counts in self._sources.items())
        return Mix(sources, _source_mix("all", self._total, whole), self._max_tokens, self._recognised)

    def _again(self, name: str, conversation: Conversation) -> list[tuple[bool, bool]]:
        """Whether the conversation, and its opening, were there before: in this source, and in any."""
        bit = 1 << list(self._sources).index(name)
        opening = next((turn for turn in conversation.messages if turn.role == "user"), None)
        found = []
        for seen, turns in zip(self._seen, (conversation.messages, (opening,)), strict=True):
            digest = blake2b(digest_size=8)
            for turn in turns:
                if turn is not None:
                    # Lengths keep two turns apart from one that says both.
                    digest.update(f"{turn.role} {len(turn.content)} {turn.content}".encode())
            before = seen.get(digest.digest(), 0)
            seen[digest.digest()] = before | bit
            found.append((bool(before & bit), bool(before)))
        return list(zip(*found, strict=True))

    def _language(self, conversation: Conversation) -> str | None:
        if self._recogniser is None:
            return None
        text = ""
        for turn in conversation.messages:
            if turn.role in ("user", "assistant") and len(text) < _CHARACTERS_TO_READ:
                text += f"{turn.content[:_CHARACTERS_TO_READ]}\n"
        if sum(map(str.isalpha, text)) < _LETTERS_TO_TELL:
            return _SHORT
        return str(self._recogniser.classify(text)[0])


def _recogniser() -> Any:
    try:
        import py3langid  # noqa: PLC0415  (an optional extra)
    except ImportError:
        return None
    return py3langid


def _source_mix(name: str, counts: _Counts, whole: float) -> SourceMix:
    conversations, tokens = counts.turns.total(), sum(n * times for n, times in counts.lengths.items())
    bands = dict.fromkeys((band for band, _ in reversed(_BANDS)), 0)
    for turns, times in counts.turns.items():
        bands[next(band for band, fewest in _BANDS if turns >= fewest)] += times
    return SourceMix(
        name=name,
        weight=counts.weight,
        conversations=conversations,
        too_long=counts.too_long,
        split=counts.split,
        pieces=counts.pieces,
        lost_turns=counts.lost_turns,
        assistant_turns=_mean(counts.turns),
        by_assistant_turns=bands,
        unanswered=counts.unanswered,
        tokens=tokens,
        tokens_mean=_mean(counts.lengths),
        tokens_p50=_percentile(counts.lengths, 0.5),
        tokens_p95=_percentile(counts.lengths, 0.95),
        tokens_max=max(counts.lengths, default=0),
        supervised=counts.supervised,
        share_of_loss=counts.weighted / whole if whole else 0.0,
        duplicates=counts.duplicates,
        same_opening=counts.same_opening,
        languages=dict(counts.languages.most_common()),
    )


def _mean(counts: Counter[int]) -> float:
    return sum(value * times for value, times in counts.items()) / max(1, counts.total())


def _percentile(counts: Counter[int], share: float) -> int:
    """The smallest value that at least this share of all do not exceed; 0 of none."""
    values = sorted(counts)
    below = accumulate(counts[value] for value in values)
    return next((v for v, n in zip(values, below, strict=True) if n >= share * counts.total()), 0)
