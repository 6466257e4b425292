"""How sure a text sounds: hedges, boosters, refusals, and plain assertions.

A lexicon of phrases, matched as whole words in any case (compare Hyland 2005, "Metadiscourse", whose hedges
and boosters these are). A reply is one of four kinds, by the first that fits:

- `refused`: it declines to answer, by the judge's detector (`candor.judge.is_refusal`);
- `hedged`: it has a hedge ("I think", "probably", "not sure"), whatever else it has;
- `boosted`: it has a booster ("definitely", "of course", "clearly") and no hedge;
- `bare`: it says so and nothing about how sure it is. Most confident nonsense is of this kind.

On the labelled examples beside this module (`tone_examples.jsonl`: 74 replies, many with false friends or
unusual wordings), recall is 10 of 10 refused, 21 of 23 hedged, 14 of 15 boosted and 26 of 26 bare; precision
is 10 of 10, 21 of 21, 14 of 14 and 26 of 29: what is missed passes for bare. The sentences are our own, and
some patterns were written with them in view, so expect less on other text.

Limits. "May" with a capital is the month; "may" and "might" are hedges except in questions and asides ("I
might add"); "clearly" after a verb of seeing or saying, "sure" after "make", "certainly!" as a polite opening
are no boosters. Approximations ("about 300") and frequencies ("usually") are about the thing and not about
the speaker's certainty, and don't count. What only quotes or reports a hedge counts all the same, and irony
is not seen. The refusal detector was made for answers to questions: on other text it takes "she could not
speak" for a refusal. Longer texts have more of everything: compare texts of one length.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from candor.chat.tone_lexicon import BOOSTER, HEDGE
from candor.core.files import read_jsonl
from candor.core.statistics import Estimate, bootstrap, proportion
from candor.data.types import NonEmpty, Row
from candor.judge import is_refusal

Kind = Literal["refused", "hedged", "boosted", "bare"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Tone:
    """What was found in one text: the phrases as written, and whether it refuses."""

    hedges: tuple[str, ...]
    boosters: tuple[str, ...]
    refused: bool

    @property
    def kind(self) -> Kind:
        """One of `KINDS`."""
        if self.refused:
            return "refused"
        return "hedged" if self.hedges else "boosted" if self.boosters else "bare"

    @property
    def asserted(self) -> bool:
        """Whether it answers without any hedge: boosted or bare."""
        return not self.refused and not self.hedges


@dataclass(frozen=True)
class ToneOfErrors:
    """Whether tone says anything about correctness. Refusals are left out of all four.

    `wrong_asserted` is the share of wrong answers that were given without any hedge, `right_asserted` the
    same of right answers. A tone worth listening to has a large `difference` (right minus wrong, with an
    interval from a bootstrap); where the two are alike, sounding sure means nothing.
    """

    wrong_asserted: Estimate
    right_asserted: Estimate
    wrong_boosted: Estimate
    difference: Estimate


class ToneExample(Row):
    """A reply with the kind that a reader gives it."""

    text: NonEmpty
    label: Kind


def tone(text: str) -> Tone:
    """Find the hedges and boosters of one text, and whether it refuses."""
    plain = " ".join(text.replace("’", "'").split())
    hedges = list(HEDGE.finditer(plain))
    # "I'm not sure", "pretty certain": what is part of a hedge is no booster too.
    boosters = [
        found
        for found in BOOSTER.finditer(plain)
        if not any(found.start() < hedge.end() and hedge.start() < found.end() for hedge in hedges)
    ]
    return Tone(
        tuple(found.group() for found in hedges),
        tuple(found.group() for found in boosters),
        is_refusal(text),
    )


def tone_of_errors(answered: Iterable[tuple[str, bool]], clusters: ArrayLike | None = None) -> ToneOfErrors:
    """Hold tone against correctness.

    Args:
        answered: each reply, and whether it was right. An answer to a question that has none is wrong.
        clusters: a label for each pair, such as its document.
    """
    pairs = [(tone(reply), bool(right)) for reply, right in answered]
    labels = np.arange(len(pairs)) if clusters is None else np.asarray(clusters)
    given = [i for i, (found, _) in enumerate(pairs) if not found.refused]

    def share(right: bool, test: Sequence[bool]) -> Estimate:
        chosen = [i for i in given if pairs[i][1] == right]
        return proportion([test[i] for i in chosen], labels[chosen] if chosen else None)

    asserted = [found.asserted for found, _ in pairs]
    boosted = [found.kind == "boosted" for found, _ in pairs]
    return ToneOfErrors(
        share(False, asserted),
        share(True, asserted),
        share(False, boosted),
        bootstrap(
            _right_minus_wrong,
            np.array([asserted[i] for i in given], dtype=float),
            np.array([pairs[i][1] for i in given], dtype=bool),
            clusters=labels[given],
        ),
    )


def tone_examples() -> list[ToneExample]:
    """The labelled examples that the lexicon is tested on."""
    with as_file(files("candor.chat") / "tone_examples.jsonl") as path:
        return read_jsonl(path, ToneExample)


def _right_minus_wrong(asserted: np.ndarray, right: np.ndarray) -> float | None:
    if right.all() or not right.any():
        return None
    return float(asserted[right].mean() - asserted[~right].mean())
