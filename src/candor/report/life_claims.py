"""What is claimed of a model's life, what each stage measured of it, and whether it holds.

A verdict goes by 95 % intervals: a claim holds when they leave no doubt, fails when they leave none either,
and is undecided between. What was expected stands here, beside what decides it, and depends on no result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from candor.core.statistics import Estimate, wilson
from candor.report import wording
from candor.report.evidence import Evidence, estimate_of, number_of
from candor.report.plotted import bounds

HOLDS, FAILS, UNDECIDED, MISSING = "holds", "does not hold", "undecided", "not measured"
AGREEMENT = 1e-3  # nats: log-probabilities that differ by no more are the same


@dataclass(frozen=True)
class Measured:
    """One number of a claim; `kind` is one of `wording.FORMATS`."""

    label: str
    estimate: Estimate
    kind: str = "percent"

    @property
    def text(self) -> str:
        """Such as "wrong before: 74% (69% to 79%, n = 404)"."""
        return f"{self.label}: {wording.full(self.estimate, self.kind)}"


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        name: unique in the report; the part before the first hyphen is the stage.
        says: the claim.
        expected: what has to be measured for it to hold.
        measured: what was; empty where the stage is not done.
        verdict: `HOLDS`, `FAILS`, `UNDECIDED` or `MISSING`.
    """

    name: str
    says: str
    expected: str
    measured: tuple[Measured, ...]
    verdict: str

    @property
    def stage(self) -> str:
        """The stage that measures it."""
        return self.name.partition("-")[0]

    def as_dict(self) -> dict[str, Any]:
        """For report.json."""
        return {
            "name": self.name,
            "stage": self.stage,
            "says": self.says,
            "expected": self.expected,
            "measured": "; ".join(one.text for one in self.measured),
            "values": [
                {"label": one.label, "format": one.kind, **one.estimate.as_dict()} for one in self.measured
            ],
            "verdict": self.verdict,
        }


def claims_of(stages: Mapping[str, Evidence], bandit: Mapping[str, Any]) -> list[Claim]:
    """Every claim in the order of life.

    Args:
        stages: what each stage's folder holds, by its name; those that are not there are not measured.
        bandit: what rewards/bandit.json holds; empty if it is not there.
    """
    found = [claim for name, claims in _CLAIMS.items() if name in stages for claim in claims(stages[name])]
    return [*found, _exactly(bandit)] if "rewards" in stages else found


def above(one: Estimate | None, other: Estimate | float | None) -> str:
    """Whether one number is larger than another, by their intervals.

    A number of no items and without an interval is exact; one of some items that are too few for an interval
    decides nothing.
    """
    right = Estimate(other, None, None, 0) if isinstance(other, float | int) else other
    if one is None or right is None:
        return MISSING
    if any(each.n and each.low is None for each in (one, right)):
        return UNDECIDED
    (low, high), (least, most) = bounds(one), bounds(right)
    return HOLDS if low > most else FAILS if high < least else UNDECIDED


def below(one: Estimate | None, other: Estimate | float | None) -> str:
    """Whether it is smaller."""
    right = Estimate(other, None, None, 0) if isinstance(other, float | int) else other
    return above(right, one)


def together(*verdicts: str) -> str:
    """The verdict of a claim that says several things."""
    return next((kind for kind in (MISSING, FAILS, UNDECIDED) if kind in verdicts), HOLDS)


def _claim(
    name: str,
    says: str,
    expected: str,
    measured: Sequence[tuple[str, Estimate | None, str]],
    verdict: str,
) -> Claim:
    found = tuple(Measured(label, value, kind) for label, value, kind in measured if value is not None)
    return Claim(name, says, expected, found, verdict)


def _base(evidence: Evidence) -> list[Claim]:
    bits = {
        str(row.get("name")): estimate_of(row.get("bits_per_byte")) for row in evidence.rows("compression")
    }
    ours, xz = bits.get("this model"), bits.get("xz -9e")
    facts = evidence.rows("recall", "facts")
    told = {number_of(row.get("times")): estimate_of(row.get("right")) for row in facts}
    often = max((times for times in told if times), default=None)
    return [
        _claim(
            "base-compresses",
            "A base model is a compressed copy of what it read, and compresses what it did not read.",
            "A byte of held-out text costs it fewer bits than xz -9e needs, its weights not counted.",
            [
                ("bits per byte", ours, "score"),
                ("xz -9e", xz, "score"),
                ("xz that has read the training text", bits.get("xz having read the training text"), "score"),
            ],
            below(ours, xz),
        ),
        _claim(
            "base-repeats",
            "What was read often is kept.",
            "Facts that are stated most often are answered more often than facts that no document states.",
            [
                ("stated by no document", told.get(0.0), "percent"),
                ("by one", told.get(1.0), "percent"),
                (f"by {often or 0:,.0f} documents", told.get(often) if often else None, "percent"),
            ],
            above(told.get(often) if often else None, told.get(0.0)),
        ),
    ]


def _serve(evidence: Evidence) -> list[Claim]:
    same, gap = evidence.estimate("same"), number_of(evidence.at("largest_difference"))
    verdict = MISSING if same is None else HOLDS if same.value == 1 and (gap or 0) <= AGREEMENT else FAILS
    tokens = int(number_of(evidence.at("tokens")) or 0)
    return [
        _claim(
            "serve-agrees",
            "A base model can be asked raw, by the client that everybody has.",
            "The openai client gets the engine’s own completions over HTTP: the same texts, and "
            f"log-probabilities to within {AGREEMENT:g} nats.",
            [
                ("the same text", same, "percent"),
                (
                    "largest difference of a log-probability",
                    None if gap is None else Estimate(gap, None, None, tokens),
                    "tiny",
                ),
            ],
            verdict,
        )
    ]


def _chat(evidence: Evidence) -> list[Claim]:
    before, after, change = (evidence.estimate("loss", key) for key in ("before", "after", "change"))
    return [
        _claim(
            "chat-learned",
            "A base model learns to converse after pretraining, from examples.",
            "A token of a held-out reply costs fewer nats after tuning than before, paired by conversation.",
            [("before", before, "score"), ("after", after, "score"), ("change", change, "change")],
            below(change, 0.0),
        )
    ]


def _knowledge(evidence: Evidence) -> list[Claim]:
    wrong = [evidence.estimate(moment, "incorrect") for moment in ("before", "after")]
    cut, kept = evidence.estimate("change", "wrong_cut"), evidence.estimate("change", "right_kept")
    refused = [evidence.estimate("invented", f"refused_{moment}") for moment in ("before", "after")]
    probe, gain = (
        evidence.estimate("scores", "probe", "auroc"),
        evidence.estimate("probe", "minus_token_probability"),
    )
    return [
        _claim(
            "knowledge-cut",
            "A model makes things up where its data always had an answer; it can learn to say “I don’t "
            "know”.",
            "More than half of its wrong answers to held-out questions are gone.",
            [
                ("wrong before", wrong[0], "percent"),
                ("wrong after", wrong[1], "percent"),
                ("wrong answers cut", cut, "percent"),
            ],
            above(cut, 0.5),
        ),
        _claim(
            "knowledge-kept",
            "It goes on answering what it knows.",
            "More than half of its right answers stay.",
            [("right answers kept", kept, "percent")],
            above(kept, 0.5),
        ),
        _claim(
            "knowledge-invented",
            "It refuses what nobody can know.",
            "More than half of the questions about invented things are refused, and more than before.",
            [("refused before", refused[0], "percent"), ("refused after", refused[1], "percent")],
            together(above(refused[1], 0.5), above(refused[1], refused[0])),
        ),
        _claim(
            "knowledge-inside",
            "Something inside the model knows, before a word is written, whether it knows.",
            "A linear probe on the hidden state ranks right answers above wrong ones better than chance, "
            "0.5.",
            [("AUROC of the probe", probe, "score"), ("more than token probability", gain, "change")],
            above(probe, 0.5),
        ),
    ]


def _think(evidence: Evidence) -> list[Claim]:
    def both(key: str) -> list[Estimate | None]:
        return [evidence.estimate(moment, key) for moment in ("before", "after")]

    right, steps, at_once = both("accuracy"), both("reasoned"), both("at_once")
    return [
        _claim(
            "think-right",
            "Rewarding right answers, and nothing else, makes a model better at them.",
            "More completions of held-out questions are right after RL than before.",
            [("right before", right[0], "percent"), ("right after", right[1], "percent")],
            above(right[1], right[0]),
        ),
        _claim(
            "think-steps",
            "Chain of thought emerges: nobody asks for it.",
            "More completions work the answer out after RL than before, though only the answer is rewarded.",
            [("with steps before", steps[0], "percent"), ("with steps after", steps[1], "percent")],
            above(steps[1], steps[0]),
        ),
        _claim(
            "think-forbidden",
            "A model needs tokens to think.",
            "The same weights, forbidden to write steps, are right less often than when they may.",
            [
                ("right after, steps forbidden", at_once[1], "percent"),
                ("the same before", at_once[0], "percent"),
                ("right after, steps allowed", right[1], "percent"),
            ],
            below(at_once[1], right[1]),
        ),
    ]


def _rewards(evidence: Evidence) -> list[Claim]:
    arms = {str(row.get("arm")): row.get("after") for row in evidence.rows("arms")}

    def change(arm: str, key: str) -> Estimate | None:
        after = arms.get(arm)
        return estimate_of(after.get(key)) if isinstance(after, Mapping) else None

    free = [change("none", key) for key in ("proxy_change", "gold_change")]
    held = [change("chi2", key) for key in ("proxy_change", "gold_change")]
    others = [
        (f"truth with {arm}", change(arm, "gold_change"), "change") for arm in arms if arm.startswith("kl")
    ]
    return [
        _claim(
            "rewards-hacked",
            "Optimised without restraint, a reward that is only nearly right is hacked.",
            "Without a regulariser the proxy reward goes up and the true one goes down.",
            [("proxy, change", free[0], "change"), ("truth, change", free[1], "change")],
            together(above(free[0], 0.0), below(free[1], 0.0)),
        ),
        _claim(
            "rewards-held",
            "√χ² with λ from 200 labels holds it off.",
            "With √χ² the true reward is higher than the reference’s.",
            [("proxy, change", held[0], "change"), ("truth, change", held[1], "change"), *others],
            above(held[1], 0.0),
        ),
    ]


def _exactly(bandit: Mapping[str, Any]) -> Claim:
    """What can be computed without sampling; the guarantee is about that."""
    families = [row for row in bandit.get("families", ()) if isinstance(row, Mapping)]
    settings = sum(int(row["settings"]) for row in families)
    safe = sum(int(row["chi2_above_reference"]) for row in families)
    hacked = sum(estimate.value * estimate.n for estimate in _hacked(families) if estimate.value is not None)
    verdict = MISSING if not settings else HOLDS if safe == settings else FAILS
    return _claim(
        "rewards-exact",
        "Where everything can be computed, the guarantee is exact.",
        "In every random bandit the optimum with √χ² at the theory’s λ has a higher true reward than the "
        "reference; without a penalty many have a lower one.",
        [
            ("above the reference with √χ²", wilson(safe, settings) if settings else None, "percent"),
            ("hacked without a penalty", wilson(round(hacked), settings) if settings else None, "percent"),
        ],
        verdict,
    )


def _hacked(families: Sequence[Mapping[str, Any]]) -> list[Estimate]:
    found = [estimate_of(row.get("hacked_without")) for row in families]
    return [estimate for estimate in found if estimate is not None]


_CLAIMS: dict[str, Callable[[Evidence], list[Claim]]] = {
    "base": _base,
    "serve": _serve,
    "chat": _chat,
    "knowledge": _knowledge,
    "think": _think,
    "rewards": _rewards,
}
