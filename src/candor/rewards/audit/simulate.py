"""Logs of bandits whose truth is known, to measure how often verdicts are wrong.

Each prompt is a bandit of its own, the same number of arms in all. Families:

    three    π₀ = (.495, .495, .01), proxy (0, 1, 3), gold (0, 1, -1): the rare arm is the hack
    wide     200 arms, proxy = gold + noise
    rare     60 arms, most of them rare, proxy = gold + noise
    hidden   as rare, and in each prompt one arm in a hundred that the proxy likes best and gold least
    unseen   as wide with a proxy that is all but gold, and a hack that no label is likely to show: the policy
             plays it in 3 to 20 of a hundred, the reference in one of 2,000
    edge     the worst case of theory: gold is chosen for the policy so that κ = sqrt(1 - r²) to the digit and
             the true gain is exactly 0. A certificate, or HACKING, or a true gain whose interval leaves out 0
             is a false alarm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from candor.rewards.audit.log import Entry, Log

Floats = NDArray[np.float64]
FAMILIES = ("three", "wide", "rare", "hidden", "unseen", "edge")


@dataclass(frozen=True)
class Bandits:
    """Prompts with all their arms, [prompts, arms]."""

    reference_PA: Floats
    policy_PA: Floats
    proxy_PA: Floats
    gold_PA: Floats

    @property
    def gold_gain(self) -> float:
        """The true gain, exactly."""
        return self._gain(self.gold_PA)

    @property
    def proxy_gain(self) -> float:
        """The proxy's gain, exactly."""
        return self._gain(self.proxy_PA)

    @property
    def chi2(self) -> float:
        """χ²(π‖π₀), exactly."""
        change = self.policy_PA - self.reference_PA
        return float((change**2 / self.reference_PA).sum(axis=1).mean())

    def _gain(self, reward_PA: Floats) -> float:
        return float(((self.policy_PA - self.reference_PA) * reward_PA).sum(axis=1).mean())


def bandits(family: str, prompts: int, strength: float, random: np.random.Generator) -> Bandits:
    """Draw prompts of a family; the policy is the reference tilted by exp(strength · proxy)."""
    hack: tuple[NDArray[np.int64], NDArray[np.int64]] = (np.zeros(0, np.int64), np.zeros(0, np.int64))
    if family == "three":
        reference_PA, proxy_PA, gold_PA = (
            np.tile(row, (prompts, 1)) for row in ([0.495, 0.495, 0.01], [0.0, 1.0, 3.0], [0.0, 1.0, -1.0])
        )
    else:
        arms, alike = {"wide": (200, 0.5), "rare": (60, 0.2), "hidden": (60, 0.2)}.get(family, (60, 0.5))
        reference_PA = random.dirichlet(np.full(arms, alike), size=prompts) + 1e-6
        gold_PA = random.normal(size=(prompts, arms))
        noise = {"wide": random.uniform(0.2, 1.0), "unseen": 0.05}.get(family, 0.3)
        proxy_PA = gold_PA + noise * random.normal(size=(prompts, arms)) + random.normal(size=(prompts, 1))
        hack = np.arange(prompts), reference_PA.argmin(axis=1)
        if family == "hidden":
            reference_PA[hack], proxy_PA[hack], gold_PA[hack] = 0.01, 2.5, -4.0
        elif family == "unseen":
            reference_PA[hack], gold_PA[hack] = 0.0005, -4.0
        reference_PA /= reference_PA.sum(axis=1, keepdims=True)
    policy_PA = reference_PA * np.exp(strength * (proxy_PA - proxy_PA.max(axis=1, keepdims=True)))
    if family == "edge":  # also somewhere that the proxy does not see: κ is not near 1
        policy_PA *= np.exp(random.uniform(0.2, 0.6) * random.normal(size=policy_PA.shape))
    policy_PA /= policy_PA.sum(axis=1, keepdims=True)
    if family == "unseen":
        share = random.uniform(0.03, 0.2)
        policy_PA *= 1 - share
        policy_PA[hack] += share
    if family == "edge":
        gold_PA = _worst_gold(reference_PA, policy_PA, proxy_PA)
    return Bandits(reference_PA, policy_PA, proxy_PA, gold_PA)


def _worst_gold(reference_PA: Floats, policy_PA: Floats, proxy_PA: Floats) -> Floats:
    """The gold of true gain 0 with the largest correlation with the proxy within prompts.

    With δ the proxy centred by prompt and normalised, L - 1 = κ√χ² · δ + rest, gold is r · δ less
    sqrt(1 - r²) of the rest's direction, and its gain √χ² (r κ - sqrt(1 - r²) sqrt(1 - κ²)) is 0 at
    r = sqrt(1 - κ²).
    """

    def inner(a: Floats, b: Floats) -> float:
        return float((reference_PA * a * b).sum(axis=1).mean())

    centred = proxy_PA - (reference_PA * proxy_PA).sum(axis=1, keepdims=True)
    delta = centred / np.sqrt(inner(centred, centred))
    change = policy_PA / reference_PA - 1
    along = inner(change, delta)
    rest = change - along * delta
    kappa = along / np.sqrt(inner(change, change))
    return np.sqrt(1 - kappa**2) * delta - kappa * rest / np.sqrt(inner(rest, rest))


def logged(
    made: Bandits,
    random: np.random.Generator,
    *,
    samples: int,
    labelled: tuple[int, int] = (50, 4),
    gold_on_policy: bool = False,
) -> Log:
    """A log of `samples` completions of each side and prompt.

    Args:
        made: the bandits.
        random: draws arms.
        samples: of each side.
        labelled: gold labels on the reference: prompts, and completions of each.
        gold_on_policy: all completions of both sides have labels.
    """
    prompts = len(made.reference_PA)
    arm = np.concatenate(
        [_drawn(side, samples, random).ravel() for side in (made.reference_PA, made.policy_PA)]
    )
    prompt = np.tile(np.repeat(np.arange(prompts), samples), 2)
    policy = np.repeat([False, True], prompts * samples)
    place = np.tile(np.arange(samples), 2 * prompts)
    has_gold = (~policy & (prompt < labelled[0]) & (place < labelled[1])) | gold_on_policy
    log_policy, log_reference = (
        np.log(side[prompt, arm]) for side in (made.policy_PA, made.reference_PA)
    )  # fmt: skip
    return Log(
        prompt=prompt,
        policy=policy,
        proxy=made.proxy_PA[prompt, arm],
        gold=np.where(has_gold, made.gold_PA[prompt, arm], np.nan),
        log_ratio=log_policy - log_reference,
        logp_own=np.where(policy, log_policy, log_reference),
        text=tuple(map(str, arm)),
        truncated=np.zeros(len(arm), dtype=bool),
        temperatures=(frozenset(), frozenset()),
    )


def _drawn(probability_PA: Floats, samples: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Arms, [prompts, samples]."""
    summed = probability_PA.cumsum(axis=1)
    points = random.random((len(summed), samples, 1)) * summed[:, None, -1:]
    return (points > summed[:, None, :]).sum(axis=2)


def entries(log: Log) -> list[Entry]:
    """A log of bandits as the lines of a file."""
    found = []
    for i in range(len(log.proxy)):
        own, ratio = float(log.logp_own[i]), float(log.log_ratio[i])
        policy, reference = (own, own - ratio) if log.policy[i] else (own + ratio, own)
        found.append(
            Entry(
                prompt=f"prompt {log.prompt[i]}",
                source="policy" if log.policy[i] else "reference",
                proxy=float(log.proxy[i]),
                gold=None if np.isnan(log.gold[i]) else float(log.gold[i]),
                logp_policy=min(policy, 0.0),
                logp_reference=min(reference, 0.0),
                completion=log.text[i],
            )
        )
    return found
