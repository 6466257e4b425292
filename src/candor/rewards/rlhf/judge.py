"""What became of proxy and truth: replies of a policy beside those of its reference to the same prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candor.core.statistics import bootstrap, paired_difference
from candor.rewards.foresight import Completions, foresee
from candor.rewards.replies import Replies, Writer
from candor.rewards.rlhf.arms import Trusted
from candor.rewards.rlhf.selection import best_of_weights, choose_n, pessimistic_weights
from candor.rl import divergence
from candor.rl.problem import Problem

Floats = NDArray[np.float64]
_SHOWN = 4  # prompts, and replies to each, that are kept to read


def judged(
    reference: Writer,
    policy: Writer,
    problems: Sequence[Problem],
    samples: int,
    trusted: Trusted,
    gold: Callable[[Replies], Floats],
    *,
    seed: int,
) -> dict[str, Any]:
    """Both models' replies, rewarded and compared, paired by prompt.

    Args:
        reference, policy: the models.
        problems: prompts that nothing was learned from.
        samples: replies to each.
        trusted: the proxy with its calibration, in whose deviations gains are given.
        gold: the true reward of replies, [prompts, samples].
        seed: of both draws.

    Returns:
        Plain numbers and estimates: gold before and after with its change, the proxy's change, both in
        standard deviations under the reference, KL, χ², the share of effective samples, a few replies; and
        the change of gold that the labelled replies of the reference foresee (`foresight`).
    """
    drawn = {"before": reference.draw(problems, samples, seed=seed)}
    drawn["after"] = policy.draw(problems, samples, seed=seed)
    ratios = {name: policy.logprobs(one) - reference.logprobs(one) for name, one in drawn.items()}
    true = {name: gold(one).mean(axis=1) for name, one in drawn.items()}
    rewards = {name: one.table(trusted.proxy.of(*one.flat())) for name, one in drawn.items()}
    proxy = {name: one.mean(axis=1) for name, one in rewards.items()}
    labelled = trusted.labelled.drawn
    known = policy.logprobs(labelled) - reference.logprobs(labelled)
    sides = [
        Completions(values.ravel(), [problem.id for problem in one.flat()[0]], ratio)
        for values, one, ratio in (
            (trusted.rewards, labelled, known),
            *((rewards[name], drawn[name], ratios[name]) for name in ("before", "after")),
        )
    ]
    foreseen = foresee(trusted.calibration, sides[0], trusted.labelled.gold, *sides[1:])
    return {
        **_changes(trusted, proxy, true),
        "foreseen": foreseen.as_dict(),
        "kl": divergence.kl(ratios["after"]),
        "chi2": divergence.chi2_pooled(ratios["after"], ratios["before"]),
        "effective": divergence.effective_samples(ratios["before"]) / ratios["before"].size,
        "samples": [
            {"prompt": problem.question, "before": before[:_SHOWN], "after": after[:_SHOWN]}
            for problem, before, after in zip(
                drawn["after"].problems[:_SHOWN], drawn["before"].texts, drawn["after"].texts, strict=False
            )
        ],
    }


def selected(
    reference: Writer,
    problems: Sequence[Problem],
    samples: int,
    trusted: Trusted,
    gold: Callable[[Replies], Floats],
    *,
    how: str,
    seed: int,
) -> dict[str, Any]:
    """The same of a choice among the reference's own replies (`selection`), with nothing trained.

    Args:
        reference, problems, trusted, gold, seed: as for `judged`.
        samples: replies to each prompt, among which is chosen.
        how: `best-of`, with n by the lower limit of r; `pessimism`, with λ at it.
    """
    drawn, known = reference.draw(problems, samples, seed=seed), trusted.calibration
    rewards, true = drawn.table(trusted.proxy.of(*drawn.flat())), gold(drawn)
    if how == "best-of":
        choice = choose_n(rewards, known.r_low)
        weights, chi2, kl = best_of_weights(rewards, choice.n), choice.chi2, choice.kl
    else:
        choice, weights = None, pessimistic_weights(rewards, known.weight_high)
        ratio = weights * samples
        chi2 = float((ratio**2).mean() - 1)
        kl = float((ratio * np.log(np.maximum(ratio, np.finfo(float).tiny))).mean())
    likeliest = np.argsort(-weights, axis=1)[:, :_SHOWN]
    return {
        **_changes(
            trusted,
            {"before": rewards.mean(axis=1), "after": (weights * rewards).sum(axis=1)},
            {"before": true.mean(axis=1), "after": (weights * true).sum(axis=1)},
        ),
        "kl": kl,
        "chi2": chi2,
        "effective": 1 / (1 + chi2),
        "n": None if choice is None else choice.n,
        "samples": [
            {"prompt": problem.question, "before": texts[:_SHOWN], "after": [texts[i] for i in best]}
            for problem, texts, best in zip(drawn.problems[:_SHOWN], drawn.texts, likeliest, strict=False)
        ],
    }


def _changes(trusted: Trusted, proxy: dict[str, Floats], true: dict[str, Floats]) -> dict[str, Any]:
    """What became of both rewards, from their means by prompt."""
    gain, truth = (paired_difference(found["after"], found["before"]) for found in (proxy, true))
    known = trusted.calibration
    return {
        "gold": bootstrap(lambda some: float(np.mean(some)), true["after"]).as_dict(),
        "gold_before": float(true["before"].mean()),
        "gold_change": truth.as_dict(),
        "proxy_change": gain.as_dict(),
        "proxy_gain": (gain.value or 0.0) / known.sd_proxy_overall,
        "true_gain": (truth.value or 0.0) / known.sd_gold_overall,
    }
