"""What holds the policy near the model that it began as: something taken from rewards.

A regulariser sees the log-probabilities of all of a step's completions at once, so that it may be of the
whole distribution (√χ²) as well as of each completion (KL).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Regularizer(Protocol):
    """Shapes rewards by how far the policy has gone from the reference."""

    def penalty(self, policy_NT: Floats, reference_NT: Floats, own_NT: NDArray[np.bool_]) -> Floats:
        """What is taken from each completion's reward.

        Args:
            policy_NT: [completions, tokens], log-probability of each drawn token under the policy that drew
                it; 0 where there is none.
            reference_NT: the same under the reference.
            own_NT: where the policy drew a token.

        Returns:
            [completions].
        """
        ...


@dataclass(frozen=True)
class KlPenalty:
    """coefficient · KL(policy ‖ reference), estimated on the drawn tokens (Schulman 2020).

    `k1` is the log-ratio itself: unbiased, and as a part of the reward its gradient is that of KL. `k3` is
    r - 1 - log r with r = reference / policy: never negative and of less variance, but as a part of the
    reward its gradient is another one (Tang and Munos 2025).
    """

    coefficient: float
    estimator: Literal["k1", "k3"] = "k1"

    def penalty(self, policy_NT: Floats, reference_NT: Floats, own_NT: NDArray[np.bool_]) -> Floats:
        """See `Regularizer`."""
        return self.coefficient * divergence(policy_NT, reference_NT, own_NT, self.estimator).sum(axis=1)


def divergence(
    policy_NT: Floats,
    reference_NT: Floats,
    own_NT: NDArray[np.bool_],
    estimator: Literal["k1", "k3"] = "k3",
) -> Floats:
    """An estimate of KL(policy ‖ reference) at each drawn token, in nats; 0 elsewhere."""
    gap = np.where(own_NT, reference_NT - policy_NT, 0.0)
    return -gap if estimator == "k1" else np.expm1(gap) - gap
