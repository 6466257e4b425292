"""Bandits: the three-arm case, random families, and √χ² at the theory's λ against KL with hindsight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candor.core.progress import Bar
from candor.core.statistics import bootstrap, wilson
from candor.rewards.exact import optimum
from candor.rewards.exact.setting import Floats, Setting

Random = np.random.Generator

# Under the names by which tables and figures show them: what a proxy's owner could do.
METHODS: dict[str, Callable[[Setting], Floats]] = {
    "none": optimum.greedy,
    "chi2": optimum.chi2_optimum,
    "max-min": optimum.max_min_optimum,
    "kl, hindsight": optimum.kl_in_hindsight,
    "chi2, hindsight": optimum.chi2_in_hindsight,
}


def three_arms() -> Setting:
    """Two plain arms and a rare harmful one that the proxy likes best: r = .73, λ = .38."""
    return Setting.of([0.495, 0.495, 0.01], [0, 1, 3], [0, 1, -1])


def curves(setting: Setting, points: int = 60) -> dict[str, list[dict[str, float]]]:
    """Proxy and true reward along the regularisation, for `chi2` (by λ) and `kl` (by β), strong to weak."""
    strengths = np.geomspace(30, 0.02, points)
    found: dict[str, list[dict[str, float]]] = {"chi2": [], "kl": []}
    for strength, ratio_N in zip(strengths, optimum.chi2_family(setting, strengths), strict=True):
        stands = setting.standing(ratio_N)
        # The λ whose optimum this is.
        weight = strength * np.sqrt(stands.chi2) * setting.sd_proxy
        found["chi2"].append({"weight": float(weight), **stands.as_dict()})
    betas = strengths * setting.sd_proxy
    for beta, ratio_N in zip(betas, optimum.kl_family(setting, betas), strict=True):
        found["kl"].append({"weight": float(beta), **setting.standing(ratio_N).as_dict()})
    return found


def _plain(random: Random) -> Setting:
    arms = 10
    true = random.normal(size=arms)
    return Setting.of(random.dirichlet(np.ones(arms)), true + random.normal(size=arms), true)


def _heavy(random: Random) -> Setting:
    arms = 10
    true = random.normal(size=arms)
    return Setting.of(random.dirichlet(np.ones(arms)), true + random.standard_t(1.5, size=arms), true)


def _rare_harm(random: Random) -> Setting:
    arms, share = 10, 10 ** random.uniform(-3, -1.5)
    weight = np.append(random.dirichlet(np.ones(arms - 1)) * (1 - share), share)
    true = random.normal(size=arms)
    proxy = true + 0.5 * random.normal(size=arms)
    true[-1], proxy[-1] = true[:-1].min() - random.exponential(2), proxy[:-1].max() + random.exponential(2)
    return Setting.of(weight, proxy, true)


def _nothing_hacked(random: Random) -> Setting:
    """The proxy ranks the arms as the true reward does, on another scale."""
    arms = 10
    true = random.normal(size=arms)
    return Setting.of(random.dirichlet(np.ones(arms)), np.exp(random.uniform(0.2, 2) * true), true)


def _prompts(random: Random) -> Setting:
    prompts, arms = 4, 6
    weight_PA = random.dirichlet(np.ones(arms), size=prompts) * random.dirichlet(np.ones(prompts))[:, None]
    true_PA = random.normal(size=(prompts, arms)) + 2 * random.normal(size=(prompts, 1))
    proxy_PA = true_PA + random.normal(size=(prompts, arms)) + 2 * random.normal(size=(prompts, 1))
    return Setting.of(weight_PA, proxy_PA, true_PA, np.repeat(np.arange(prompts), arms))


FAMILIES: dict[str, tuple[Callable[[Random], Setting], str]] = {
    "plain": (_plain, "ten arms, proxy = true + normal noise"),
    "heavy tails": (_heavy, "ten arms, noise of Student's t with 1.5 degrees of freedom"),
    "rare harm": (_rare_harm, "one arm of 0.1 to 3 % is the worst, and the proxy likes it best"),
    "nothing hacked": (_nothing_hacked, "the proxy ranks arms as the true reward does"),
    "prompts": (_prompts, "four prompts of six arms, their means shifted at random"),
}


def draw(family: str, count: int, seed: int) -> list[Setting]:
    """Random settings of a family with r > 0: others are no r-correlated proxies and are drawn again."""
    random = np.random.default_rng([seed, list(FAMILIES).index(family)])
    found: list[Setting] = []
    while len(found) < count:
        setting = FAMILIES[family][0](random)
        if setting.r > 0.01:
            found.append(setting)
    return found


@dataclass(frozen=True)
class Comparison:
    """What methods do to the true reward in many settings of one family.

    Attributes:
        family: its name.
        gain: true gain in σ by method, [settings] each.
        bounds_held: in how many of settings × methods true gain ≥ max-min bound ≥ theorem's bound.
        proxies: r of each setting.
    """

    family: str
    gain: dict[str, NDArray[np.float64]]
    bounds_held: int
    proxies: NDArray[np.float64]

    def summary(self, seed: int) -> dict[str, Any]:
        """Plain numbers: shares with Wilson intervals, mean gains with bootstrap intervals."""
        n = len(self.proxies)
        chi2, kl = self.gain["chi2"], self.gain["kl, hindsight"]
        return {
            "family": self.family,
            "what": FAMILIES[self.family][1],
            "settings": n,
            "mean_r": float(self.proxies.mean()),
            "hacked_without": wilson(int((self.gain["none"] < -1e-9).sum()), n).as_dict(),
            "chi2_above_reference": int((chi2 > 0).sum()),
            "max_min_above_reference": int((self.gain["max-min"] > 0).sum()),
            "chi2_at_least_kl": wilson(int((chi2 >= kl - 1e-9).sum()), n).as_dict(),
            "bounds_held": self.bounds_held,
            "bounds_looked_at": n * len(self.gain),
            "true_gain": {
                method: bootstrap(lambda column: float(column.mean()), column, seed=seed).as_dict()
                for method, column in self.gain.items()
            },
            "worst_true_gain": {method: float(column.min()) for method, column in self.gain.items()},
        }


def compare(family: str, count: int, seed: int) -> Comparison:
    """Every method on `count` random settings of a family."""
    gain: dict[str, list[float]] = {method: [] for method in METHODS}
    held, settings = 0, draw(family, count, seed)
    for setting in settings:
        for method, solve in METHODS.items():
            stands = setting.standing(solve(setting))
            gain[method].append(stands.true_gain)
            # Rounding: the root of chi2 - gain² is exact to 1e-8 of sqrt(chi2) where the two are equal.
            room = 1e-7 * (1 + np.sqrt(stands.chi2) / setting.r)
            held += stands.true_gain >= stands.max_min - room and stands.max_min >= stands.theorem - room
    columns = {method: np.array(column) for method, column in gain.items()}
    return Comparison(family, columns, int(held), np.array([setting.r for setting in settings]))


def bandit_lab(bar: Bar | None = None, *, cases: int = 200, seed: int = 0) -> dict[str, Any]:
    """The three-arm case with each method's policy, its curves, and every family's summary.

    Args:
        bar: counts families.
        cases: settings of each family.
        seed: of what is drawn.
    """
    setting = three_arms()
    methods = {"reference": np.ones(3)} | {name: solve(setting) for name, solve in METHODS.items()}
    families = []
    for family in FAMILIES:
        families.append(compare(family, cases, seed).summary(seed))
        if bar is not None:
            bar.advance(note=family)
    return {
        "seed": seed,
        "three_arms": {
            "r": setting.r,
            "sd_proxy": setting.sd_proxy,
            "sd_true": setting.sd_true,
            "weight_of_theory": setting.weight_of_theory,
            "methods": {
                name: {"policy": (ratio * setting.weight_N).tolist(), **setting.standing(ratio).as_dict()}
                for name, ratio in methods.items()
            },
            "curves": curves(setting),
        },
        "families": families,
    }
