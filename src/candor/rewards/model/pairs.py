"""What a reward model learns from: two completions of a prompt, one of them better, or one with a label."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from candor.core.errors import CandorError
from candor.engine.protocol import Prompt


@dataclass(frozen=True)
class Pair:
    """Two completions of one prompt.

    Attributes:
        prompt: raw text that is continued, or messages that are answered.
        chosen, rejected: what comes after it; without an end token.
        weight: scales the pair's loss.
        margin: by how much `chosen` is to be ahead (Touvron et al. 2023), in units of the reward.
        group: a name to tell results apart by.
        unit: what is held out together, where that is more than the prompt: all of one thing, say.
    """

    prompt: Prompt
    chosen: str
    rejected: str
    weight: float = 1.0
    margin: float = 0.0
    group: str = ""
    unit: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """Its completions, the better one first."""
        return self.chosen, self.rejected


@dataclass(frozen=True)
class Labelled:
    """One completion of a prompt, and whether it is good."""

    prompt: Prompt
    completion: str
    label: bool
    weight: float = 1.0
    group: str = ""
    unit: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """Its completion."""
        return (self.completion,)


Preference = Pair | Labelled
Preferences = Sequence[Pair] | Sequence[Labelled]
AnyPreference = TypeVar("AnyPreference", Pair, Labelled)


def prompt_key(prompt: Prompt) -> str:
    """The same text for the same prompt, and another one for any other."""
    if isinstance(prompt, str):
        return json.dumps(prompt, ensure_ascii=False)
    parts = [part if isinstance(part, int) else [part["role"], part["content"]] for part in prompt]
    return json.dumps(parts, ensure_ascii=False)


def unit_of(one: Preference) -> str:
    """What is held out together, and is one draw in intervals."""
    return one.unit or prompt_key(one.prompt)


def check_kind(preferences: Preferences) -> bool:
    """Whether these are pairs (True) or labelled completions (False).

    Raises:
        CandorError: there are none, or some of both.
    """
    kinds = {type(one) for one in preferences}
    if len(kinds) != 1:
        found = "pairs and labelled completions" if kinds else "nothing"
        raise CandorError(
            f"a reward model can't learn from {found}",
            fix="give pairs (chosen, rejected) or labelled completions (completion, label): one of the two",
        )
    return kinds == {Pair}


def need_something_to_tell(preferences: Preferences) -> None:
    """See that something can be learned from what is to be learned from.

    Raises:
        CandorError: every weight is 0, or all labels are the same.
    """
    if not any(one.weight > 0 for one in preferences):
        raise CandorError(
            f"all {len(preferences):,} rows to learn from have the weight 0",
            fix="give some a weight above 0, or leave `weight` out",
        )
    labels = {one.label for one in preferences if isinstance(one, Labelled) and one.weight > 0}
    if len(labels) == 1:
        raise CandorError(
            f"all {len(preferences):,} completions to learn from are labelled {str(*labels).lower()}: there "
            "is nothing to tell good from bad by",
            fix="give completions of both kinds, best of the same prompts",
        )


def split_by_prompt(
    preferences: Sequence[AnyPreference], held_out: float, seed: int = 0
) -> tuple[list[AnyPreference], list[AnyPreference]]:
    """Those to learn from and those to measure on; no prompt (nor larger unit) is in both.

    Which prompts are held out depends on their texts and the seed, not on the order of rows.

    Args:
        preferences: all of them.
        held_out: share of the prompts.
        seed: another one holds out others.

    Raises:
        CandorError: there is only one prompt.
    """
    drawn = {key: hashlib.sha256(f"{seed}:{key}".encode()).digest() for key in _keys(preferences)}
    if len(drawn) < 2:
        raise CandorError(
            "all rows have the same prompt, so none can be held out to measure on",
            fix="give data of several prompts",
        )
    count = min(max(1, round(held_out * len(drawn))), len(drawn) - 1)
    chosen = set(sorted(drawn, key=lambda key: drawn[key])[:count])
    parts: tuple[list[AnyPreference], list[AnyPreference]] = ([], [])
    for one, key in zip(preferences, _keys(preferences), strict=True):
        parts[key in chosen].append(one)
    return parts


@dataclass(frozen=True)
class Repeats:
    """What `without_repeats` met.

    Attributes:
        same: pairs whose completions are the same text: left out.
        empty: rows with a completion of nothing but blanks: left out.
        repeated: rows that say what an earlier one says: left out.
        contradicting: rows that say the opposite of another one: kept, as they are what people disagree on.
    """

    same: int = 0
    empty: int = 0
    repeated: int = 0
    contradicting: int = 0

    def words(self) -> list[str]:
        """What there is to say of them."""
        texts = {
            "same": "{} pairs left out: chosen and rejected are the same text",
            "empty": "{} rows left out: a completion is empty",
            "repeated": "{} rows left out: they repeat an earlier one",
            "contradicting": "{} rows contradict another one (the same texts, the other way round) and stay",
        }
        return [text.format(f"{n:,}") for name, text in texts.items() if (n := getattr(self, name))]


def without_repeats(preferences: Sequence[AnyPreference]) -> tuple[list[AnyPreference], Repeats]:
    """Leave out what can't teach anything, and count it."""
    kept: list[AnyPreference] = []
    counts = Repeats()
    seen: set[tuple[str, ...]] = set()
    for one in preferences:
        said, opposite = _said(one)
        if not all(text.strip() for text in one.texts):
            counts = replace(counts, empty=counts.empty + 1)
        elif said == opposite:
            counts = replace(counts, same=counts.same + 1)
        elif said in seen:
            counts = replace(counts, repeated=counts.repeated + 1)
        else:
            counts = replace(counts, contradicting=counts.contradicting + (opposite in seen))
            seen.add(said)
            kept.append(one)
    return kept, counts


def _said(one: Preference) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a row says, and what would be the opposite."""
    key = prompt_key(one.prompt)
    if isinstance(one, Pair):
        return (key, one.chosen, one.rejected), (key, one.rejected, one.chosen)
    return (key, one.completion, str(one.label)), (key, one.completion, str(not one.label))


def _keys(preferences: Sequence[Preference]) -> list[str]:
    return [unit_of(one) for one in preferences]
