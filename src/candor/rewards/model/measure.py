"""How good a reward model is on preferences that it did not learn from, beside what is trivial.

All intervals are clustered by what was held out together (a prompt, or more).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from candor.core.statistics import (
    Estimate,
    auroc,
    brier,
    expected_calibration_error,
    paired_difference,
    proportion,
    reliability_bins,
)
from candor.model.probe import sigmoid
from candor.rewards.model.ensemble import Combination, combined
from candor.rewards.model.pairs import Labelled, Pair, prompt_key, unit_of

Floats = NDArray[np.float64]


def ranked(ahead: ArrayLike) -> Floats:
    """1 where the better one is ahead, ½ where both are alike, 0 else, [n]."""
    return (np.sign(np.asarray(ahead, dtype=np.float64)) + 1) / 2


def pair_metrics(pairs: Sequence[Pair], ahead: Floats, baselines: dict[str, Floats]) -> dict[str, Any]:
    """Accuracy and calibration of pairs.

    Args:
        pairs: [n].
        ahead: reward of `chosen` less that of `rejected`, [n].
        baselines: by name, what others put `chosen` ahead by, [n].
    """
    units, right = [unit_of(one) for one in pairs], ranked(ahead)
    longer = lengths_ahead(pairs)
    found: dict[str, Any] = {
        "accuracy": proportion(right, units).as_dict(),
        **calibration(sigmoid(np.abs(ahead)), right, np.logaddexp(0, -ahead), units),
        "baselines": {
            name: {
                "accuracy": proportion(ranked(theirs), units).as_dict(),
                "ahead_of_it": paired_difference(right, ranked(theirs), units).as_dict(),
            }
            for name, theirs in {"longer": longer, **baselines}.items()
        },
        "where_better_is_longer": _accuracy_where(longer > 0, right, units),
        "where_better_is_shorter": _accuracy_where(longer < 0, right, units),
    }
    groups = list(dict.fromkeys(one.group for one in pairs if one.group))
    if groups:
        found["groups"] = by_group(pairs, ahead)
    return found


def label_metrics(told: Sequence[Labelled], rewards: Floats, baselines: dict[str, Floats]) -> dict[str, Any]:
    """Accuracy and calibration of labelled completions.

    Args:
        told: [n].
        rewards: log-odds that each is good, [n].
        baselines: by name, other scores of the same completions, [n].
    """
    units = [unit_of(one) for one in told]
    good = np.array([one.label for one in told], dtype=np.float64)
    signed = np.where(good > 0, rewards, -rewards)
    baselines = {"longer": np.array([len(one.completion) for one in told], dtype=np.float64), **baselines}
    ahead, drawn = ahead_within_prompts(told, rewards)
    return {
        "accuracy": proportion(ranked(ahead), drawn).as_dict(),  # of good and bad ones of the same prompt
        "labelled_right": proportion(ranked(signed), units).as_dict(),
        "auroc": auroc(rewards, good, units).as_dict(),
        "good": float(good.mean()) if len(good) else None,
        **calibration(sigmoid(rewards), good, np.logaddexp(0, -signed), units),
        "baselines": {
            name: {
                "accuracy": proportion(ranked(ahead_within_prompts(told, theirs)[0]), drawn).as_dict(),
                "ahead_of_it": paired_difference(
                    ranked(ahead), ranked(ahead_within_prompts(told, theirs)[0]), drawn
                ).as_dict(),
                "auroc": auroc(theirs, good, units).as_dict(),
            }
            for name, theirs in baselines.items()
        },
    }


def calibration(confidence: ArrayLike, right: Floats, losses: Floats, units: Sequence[str]) -> dict[str, Any]:
    """What stated confidence is worth.

    Of pairs it is σ(|difference|), that the one ahead is the better one, and lies above ½; of labels it is
    σ(reward), that a completion is good. Brier score and log loss of a pair are the same from either side.
    """
    return {
        "log_loss": paired_difference(losses, np.zeros(len(losses)), units).as_dict(),
        "brier": brier(confidence, right, units).as_dict(),
        "ece": expected_calibration_error(confidence, right, units).as_dict(),
        "reliability": reliability_bins(confidence, right),
    }


def ensemble_metrics(
    pairs: Sequence[Pair], ahead_MN: Floats, rewards_MTN: Floats, caution: float
) -> dict[str, Any]:
    """Whether members agree, and what their combinations are worth.

    Args:
        pairs: [n].
        ahead_MN: what each member puts `chosen` ahead by, [members, n].
        rewards_MTN: each member's rewards of both texts, [members, 2, n].
        caution: c of the combination by uncertainty.
    """
    units = [unit_of(one) for one in pairs]
    signs = np.sign(ahead_MN)
    alike = np.mean([signs[a] == signs[b] for a, b in combinations(range(len(signs)), 2)], axis=0)
    one_mind = np.abs(signs.sum(axis=0)) == len(signs)
    found: dict[str, Any] = {}
    for how in get_args(Combination):
        chosen, rejected = (combined(rewards_MTN[:, side], how, caution=caution) for side in (0, 1))
        found[how] = proportion(ranked(chosen - rejected), units).as_dict()
    right = ranked(ahead_MN.mean(axis=0))
    return {
        "members": [proportion(ranked(row), units).as_dict() for row in ahead_MN],
        "combinations": found,
        "agreement": proportion(alike, units).as_dict(),
        "of_one_mind": _accuracy_where(one_mind, right, units),
        "of_two_minds": _accuracy_where(~one_mind, right, units),
    }


def by_group(pairs: Sequence[Pair], ahead: Floats) -> dict[str, dict[str, Any]]:
    """Accuracy of the pairs of each group, in the order in which they come."""
    right, units = ranked(ahead), [unit_of(one) for one in pairs]
    names = np.array([one.group for one in pairs])
    return {
        name: _accuracy_where(names == name, right, units) for name in dict.fromkeys(names.tolist()) if name
    }


def lengths_ahead(pairs: Sequence[Pair]) -> Floats:
    """Characters that `chosen` has more than `rejected`, [n]."""
    return np.array([len(one.chosen) - len(one.rejected) for one in pairs], dtype=np.float64)


def ahead_within_prompts(told: Sequence[Labelled], scores: Floats) -> tuple[Floats, list[str]]:
    """What each good completion is ahead of each bad one of its prompt by, and these prompts' units."""
    groups: dict[str, list[int]] = {}
    for place, one in enumerate(told):
        groups.setdefault(prompt_key(one.prompt), []).append(place)
    ahead, units = [], []
    for places in groups.values():
        good, bad = ([i for i in places if told[i].label == label] for label in (True, False))
        for a, b in product(good, bad):
            ahead.append(scores[a] - scores[b])
            units.append(unit_of(told[a]))
    return np.array(ahead, dtype=np.float64), units


def _accuracy_where(where: NDArray[np.bool_], right: Floats, units: Sequence[str]) -> dict[str, Any]:
    chosen: Estimate = proportion(
        right[where], [unit for unit, here in zip(units, where, strict=True) if here]
    )
    return chosen.as_dict()
