"""What each regulariser does in the tomato garden, everything solved exactly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from candor.core.progress import Bar
from candor.rewards.exact import occupancies
from candor.rewards.exact.actions import action_chi2_optimum, action_penalised
from candor.rewards.exact.process import Floats, Process
from candor.rewards.exact.setting import Setting
from candor.rewards.exact.tomato import REFERENCE_RETURN, Garden, reference_policy, tomato_garden

# Strengths of the sweeps in the proxy's standard deviations, from hardly a change to hardly a penalty.
_SWEEPS = {"chi2": (10.0, 0.02), "kl": (30.0, 0.1), "action chi2": (3e4, 1.0), "action kl": (3e4, 1.0)}
SWEEP_POINTS = 40
# Of other references, to see what hangs on it. Beyond 8.5 the bucket is hardly visited, r is 1 to nine
# digits, and λ too small to solve for.
REFERENCE_RETURNS = (5.6, 6.5, 7.5, 8.5)


@dataclass(frozen=True)
class Lab:
    """The garden with a reference policy."""

    garden: Garden
    reference_SA: Floats

    @classmethod
    def of(cls, true_return: float = REFERENCE_RETURN) -> Lab:
        """With the reference that has this true return an episode."""
        garden = tomato_garden()
        return cls(garden, reference_policy(garden.process, true_return))

    @property
    def process(self) -> Process:
        """Its states and moves."""
        return self.garden.process

    @cached_property
    def measure(self) -> Floats:
        """μ₀."""
        return self.process.occupancy(self.reference_SA)

    @cached_property
    def setting(self) -> Setting:
        """μ₀ with both rewards."""
        return Setting.of(self.measure, self.process.proxy_SA, self.process.true_SA)

    @cached_property
    def deltas(self) -> Floats:
        """The proxy in its standard deviations."""
        return self.setting.delta.reshape(self.measure.shape)

    def row(self, policy_SA: Floats, **more: Any) -> dict[str, Any]:
        """Where a policy stands, with its returns of an episode in the published units."""
        occupancy_SA = self.process.occupancy(policy_SA)
        return {
            "true_return": self.process.episode(policy_SA, self.process.true_SA),
            "proxy_return": self.process.episode(policy_SA, self.process.proxy_SA),
            "on_bucket": self.garden.share_on_bucket(occupancy_SA),
            **self.setting.standing((occupancy_SA / self.measure).ravel()).as_dict(),
            **more,
        }

    def sweep(self, kind: str, points: int = SWEEP_POINTS) -> list[dict[str, Any]]:
        """One regulariser from strong to weak; `strength` is c in proxy units, `gap` as of its solver."""
        sd = self.setting.sd_proxy
        strengths = np.geomspace(*_SWEEPS[kind], points)
        if kind.startswith("action "):
            found = []
            for strength in strengths * sd:
                solved = action_penalised(
                    self.process,
                    self.reference_SA,
                    self.process.proxy_SA,
                    kind.removeprefix("action "),
                    strength,
                )
                found.append(self.row(solved.policy_SA, strength=float(strength), gap=solved.residual))
            return found
        divergence = occupancies.Chi2() if kind == "chi2" else occupancies.Kl()
        solutions = occupancies.frontier(self.process, self.measure, self.deltas, divergence, strengths)
        return [self.row(s.policy_SA, strength=s.strength * sd, gap=s.gap * sd) for s in solutions]

    def theory(self) -> dict[str, dict[str, Any]]:
        """√χ² at σ̃ · sqrt(1 - r²), max-min, and the same λ with the χ² of action distributions."""
        setting, sd = self.setting, self.setting.sd_proxy
        w = setting.weight_of_theory / sd
        chi2 = occupancies.chi2_optimum(self.process, self.measure, self.deltas, w)
        max_min = occupancies.max_min_optimum(self.process, self.measure, self.deltas, setting.r)
        action = action_chi2_optimum(
            self.process, self.reference_SA, self.process.proxy_SA, setting.weight_of_theory
        )
        return {
            "chi2, theory": self.row(chi2.policy_SA, strength=chi2.strength * sd, gap=chi2.gap * sd),
            "max-min, theory": self.row(
                max_min.policy_SA, strength=max_min.strength * sd, gap=max_min.gap * sd
            ),
            "action chi2, theory": self.row(action.policy_SA, gap=action.residual),
        }

    def facts(self) -> dict[str, float | int]:
        """The garden and its proxy in numbers."""
        setting = self.setting
        return {
            "states": self.process.states,
            "discount": self.process.discount,
            "horizon": self.process.horizon,
            "r": setting.r,
            "sd_true": setting.sd_true,
            "sd_proxy": setting.sd_proxy,
            "weight_of_theory": setting.weight_of_theory,
            "needed_kappa": float(np.sqrt(1 - setting.r**2)),
            "largest_kappa": occupancies.largest_kappa(self.process, self.measure, self.deltas),
        }


def tomato_lab(
    bar: Bar | None = None, *, true_return: float = REFERENCE_RETURN, quick: bool = False
) -> dict[str, Any]:
    """Facts, `methods` by name, `sweeps` by regulariser, and what other references would change.

    Args:
        bar: counts `STEPS`.
        true_return: of the reference, an episode.
        quick: coarse sweeps, and no other references.
    """
    lab = Lab.of(true_return)
    process = lab.process

    def done(note: str) -> None:
        if bar is not None:
            bar.advance(note=note)

    methods = {
        "reference": lab.row(lab.reference_SA),
        "none": lab.row(process.best_policy(process.proxy_SA)),
        **lab.theory(),
    }
    done("theory")
    sweeps = {}
    for kind in _SWEEPS:
        sweeps[kind] = lab.sweep(kind, 12 if quick else SWEEP_POINTS)
        methods[f"{kind}, hindsight"] = max(sweeps[kind], key=lambda row: row["true_return"])
        done(kind)
    methods["best possible"] = lab.row(process.best_policy(process.true_SA))
    others = []
    for other in () if quick else REFERENCE_RETURNS:
        others.append(_of_another(other))
        done(f"reference {other}")
    return {"facts": lab.facts(), "methods": methods, "sweeps": sweeps, "other_references": others}


STEPS = 1 + len(_SWEEPS) + len(REFERENCE_RETURNS)  # of the bar


def _of_another(true_return: float) -> dict[str, Any]:
    """What the theory's λ does beside a better or worse reference, and KL's best."""
    lab = Lab.of(true_return)
    theory = lab.theory()
    kl = max(row["true_return"] for row in lab.sweep("kl"))
    return {
        "reference": true_return,
        **lab.facts(),
        "chi2": theory["chi2, theory"]["true_return"],
        "max_min": theory["max-min, theory"]["true_return"],
        "action_chi2": theory["action chi2, theory"]["true_return"],
        "kl_hindsight": kl,
        "gap": max(row["gap"] for row in theory.values()),
    }
