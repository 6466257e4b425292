"""Logs of audits as their lines."""

from __future__ import annotations

from typing import Any

import numpy as np

from candor.rewards.audit.simulate import bandits, entries, logged

Row = dict[str, Any]


def rows_of(seed: int = 0, prompts: int = 40, samples: int = 4, **how: Any) -> list[Row]:
    """A log of bandits."""
    random = np.random.default_rng(seed)
    log = logged(bandits("wide", prompts, 0.4, random), random, samples=samples, **how)
    names = ("prompt", "source", "proxy", "gold", "logp_policy", "logp_reference", "completion")
    return [one.model_dump(include=set(names)) for one in entries(log)]
