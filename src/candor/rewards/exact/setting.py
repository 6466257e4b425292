"""A reference distribution with a true and a proxy reward, and where any other distribution stands beside it.

The items are a bandit's arms (of one prompt or several), the (state, action) pairs of a process, or all
completions of a small language model: the same formulas hold for all of them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from candor.core.errors import InputError
from candor.rewards import bound

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Standing:
    """Where a policy stands. Gains and bounds are in standard deviations under the reference.

    Attributes:
        proxy, true: expected rewards, in their own units.
        gain, true_gain: of the proxy in σ̃, of the true reward in σ.
        chi2, kl: χ² and KL (nats) of the policy from the reference.
        theorem, max_min: what the true gain is at least.
        kappa: gain / sqrt(chi2).
        certified: whether kappa is above sqrt(1 - r²).
    """

    proxy: float
    true: float
    gain: float
    true_gain: float
    chi2: float
    kl: float
    theorem: float
    max_min: float
    kappa: float
    certified: bool

    @property
    def hacked(self) -> bool:
        """More proxy and less true reward than the reference."""
        return self.gain > 0 > self.true_gain

    def as_dict(self) -> dict[str, float | bool]:
        """Plain numbers for JSON."""
        return {**asdict(self), "hacked": self.hacked}


@dataclass(frozen=True)
class Setting:
    """Items with their probability under the reference and their rewards.

    r, σ and σ̃ are taken within prompts: no policy changes which prompts are asked, so rewards may have their
    prompt's mean subtracted without any gain changing, and the bounds hold for what is left.

    Attributes:
        weight_N: probability of each item under the reference (of prompt and completion together), sum 1.
        proxy_N, true_N: rewards.
        prompt_N: which prompt each belongs to, from 0.
    """

    weight_N: Floats
    proxy_N: Floats
    true_N: Floats
    prompt_N: NDArray[np.int64]

    @classmethod
    def of(
        cls, weight: ArrayLike, proxy: ArrayLike, true: ArrayLike, prompts: ArrayLike | None = None
    ) -> Setting:
        """A setting from plain numbers, checked.

        Raises:
            InputError: probabilities that are not positive or don't sum to 1, rewards that are no numbers, a
                reward that never varies within a prompt, or columns of different lengths.
        """
        columns = [np.asarray(column, dtype=np.float64).ravel() for column in (weight, proxy, true)]
        labels = np.zeros(len(columns[0]), int) if prompts is None else np.asarray(prompts).ravel()
        if len({len(column) for column in (*columns, labels)}) != 1:
            raise InputError(
                "reference, proxy, true and prompts differ in length", fix="give one of each an arm"
            )
        if not all(np.isfinite(column).all() for column in columns):
            raise InputError("a probability or a reward is no finite number", fix="leave such arms out")
        if (columns[0] <= 0).any() or abs(columns[0].sum() - 1) > 1e-9:
            raise InputError(
                "the reference has to give every arm a positive probability, and they have to sum to 1",
                field="reference",
                fix="leave out arms that it never plays: no divergence from it is finite on them",
            )
        numbered = np.unique(labels, return_inverse=True)[1].astype(np.int64)
        found = cls(columns[0], columns[1], columns[2], numbered)
        for name, sd in (("proxy", found.sd_proxy), ("true", found.sd_true)):
            if not sd > 1e-12:
                raise InputError(
                    "never varies within a prompt, so nothing can be said of its correlation",
                    field=name,
                    fix="give rewards that differ between completions",
                )
        return found

    @cached_property
    def prompt_weight(self) -> Floats:
        """How likely each prompt is, [prompts]."""
        return np.bincount(self.prompt_N, self.weight_N).astype(np.float64)

    def within(self, values_N: Floats) -> Floats:
        """Values minus their prompt's mean under the reference, [items]."""
        mean_P = np.bincount(self.prompt_N, self.weight_N * values_N) / self.prompt_weight
        return values_N - mean_P[self.prompt_N]

    @cached_property
    def sd_proxy(self) -> float:
        """σ̃."""
        return float(np.sqrt(self.weight_N @ self.within(self.proxy_N) ** 2))

    @cached_property
    def sd_true(self) -> float:
        """σ."""
        return float(np.sqrt(self.weight_N @ self.within(self.true_N) ** 2))

    @cached_property
    def delta(self) -> Floats:
        """δ: the proxy with mean 0 in each prompt and standard deviation 1."""
        return self.within(self.proxy_N) / self.sd_proxy

    @cached_property
    def r(self) -> float:
        """The correlation of proxy and true reward, in [-1, 1]."""
        return float(np.clip(self.weight_N @ (self.delta * self.within(self.true_N)) / self.sd_true, -1, 1))

    @property
    def weight_of_theory(self) -> float:
        """λ = σ̃ · sqrt(1 - r²), in proxy units."""
        return bound.chi2_weight(self.sd_proxy, self.r)

    def standing(self, ratio_N: Floats) -> Standing:
        """Where the policy with these ratios to the reference stands, [items] -> numbers."""
        measure_N = self.weight_N * ratio_N
        gain = float(measure_N @ self.delta)
        chi2 = float(self.weight_N @ (ratio_N - 1) ** 2)
        logs_N = np.log(np.where(ratio_N > 0, ratio_N, 1.0))
        kappa = float(bound.kappa(gain, chi2))
        return Standing(
            proxy=float(measure_N @ self.proxy_N),
            true=float(measure_N @ self.true_N),
            gain=gain,
            true_gain=float(measure_N @ self.within(self.true_N)) / self.sd_true,
            chi2=chi2,
            kl=float(measure_N @ logs_N),
            theorem=float(bound.theorem_bound(gain, chi2, self.r)),
            max_min=float(bound.max_min_bound(gain, chi2, self.r)),
            kappa=kappa,
            certified=kappa > float(bound.needed_kappa(self.r)),
        )

    def worst_true_reward(self, ratio_N: Floats) -> Floats:
        """A true reward with this r for which the policy gains no more than `max_min_bound`, [items].

        r·δ minus sqrt(1 - r²) times what of the policy's change is not along δ, normalised: in σ, mean 0. A
        policy that changes along δ only has no such direction, and its gain is r · gain whatever the rest is.
        """
        change_N = ratio_N - 1
        across_N = self.within(change_N - (self.weight_N @ (change_N * self.delta)) * self.delta)
        size = float(np.sqrt(self.weight_N @ across_N**2))
        across_N = across_N / size if size > 1e-12 else np.zeros_like(across_N)
        return self.r * self.delta - np.sqrt(1 - self.r**2) * across_N
