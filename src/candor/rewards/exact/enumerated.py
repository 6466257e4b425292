"""The laboratory of the enumerable language model: gradients, estimators, best-of-n, and training."""

from __future__ import annotations

from typing import Any

import numpy as np

from candor.core.progress import Bar
from candor.rewards.exact import claims, learning, optimum, sequences

ROUNDS = learning.RUNS + 1  # of the bar


def enumerated_lab(bar: Bar | None = None, *, steps: int = learning.STEPS, seed: int = 0) -> dict[str, Any]:
    """All that the verb shows.

    Args:
        bar: counts `ROUNDS`.
        steps: of training.
        seed: of what training draws; the reference is always the same.

    Returns:
        `facts` of the setting, `claims` about gradients at some policy, `estimators` of χ² at three policies,
        `tokens` (χ² beside the sum over tokens), `best_of`, the closed-form optima over *all* distributions
        (`optima`), and `runs`: each arm's history.
    """
    reference = sequences.reference_logits()
    setting = sequences.enumerated_setting(reference)
    of = claims.Objectives(setting, reference)
    some = claims.some_policy(reference)
    told = [claim.as_dict() for claim in claims.gradient_claims(reference, some)]
    if bar is not None:
        bar.advance(note="gradients")
    runs = learning.learn_all(reference, steps=steps, seed=seed, bar=bar)
    policies = {
        "some policy": some,
        "trained with √χ²": runs["chi2"].logits,
        "trained without a penalty": runs["none"].logits,
    }
    return {
        "facts": {
            "completions": len(setting.weight_N),
            "parameters": int(np.prod(sequences.SHAPE)),
            "r": setting.r,
            "sd_proxy": setting.sd_proxy,
            "sd_true": setting.sd_true,
            "weight_of_theory": setting.weight_of_theory,
            "reference_true": setting.standing(np.ones_like(setting.weight_N)).true,
            "reference_proxy": setting.standing(np.ones_like(setting.weight_N)).proxy,
            "samples": learning.SAMPLES,
            "steps": steps,
            "seed": seed,
        },
        "claims": told,
        "estimators": [
            {
                "policy": name,
                "chi2": of.chi2(logits),
                "estimator": row["estimator"],
                "mean": row["mean"],
                "sd": row["sd"],
            }
            for name, logits in policies.items()
            for row in claims.estimators(setting, of.ratio(logits), learning.SAMPLES)
        ],
        "tokens": [
            {"policy": name, "chi2": of.chi2(logits), "by_token": of.chi2_by_token(logits)}
            for name, logits in policies.items()
        ],
        "best_of": claims.best_of_rows(setting),
        "optima": {
            "chi2": setting.standing(optimum.chi2_optimum(setting)).as_dict(),
            "max-min": setting.standing(optimum.max_min_optimum(setting)).as_dict(),
        },
        "runs": {name: learned.history for name, learned in runs.items()},
    }
