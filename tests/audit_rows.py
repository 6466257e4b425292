"""Logs of audits as their lines."""

from __future__ import annotations

from typing import Any

import numpy as np

from candor.rewards.audit.simulate import bandits, logged

Row = dict[str, Any]


def rows_of(seed: int = 0, prompts: int = 40, samples: int = 4, **how: Any) -> list[Row]:
    """A log of bandits as its lines."""
    random = np.random.default_rng(seed)
    log = logged(bandits("wide", prompts, 0.4, random), random, samples=samples, **how)
    rows = []
    for i in range(len(log.proxy)):
        own, other = log.logp_own[i], log.log_ratio[i]
        policy, reference = (own, own - other) if log.policy[i] else (own + other, own)
        rows.append(
            {
                "prompt": f"prompt {log.prompt[i]}",
                "source": "policy" if log.policy[i] else "reference",
                "proxy": log.proxy[i],
                "gold": None if np.isnan(log.gold[i]) else log.gold[i],
                "logp_policy": min(policy, 0.0),
                "logp_reference": min(reference, 0.0),
                "completion": log.text[i],
            }
        )
    return rows
