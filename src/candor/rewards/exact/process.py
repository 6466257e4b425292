"""A finite decision process with deterministic moves: occupancy measures and returns, solved exactly.

    μ_π(s, a) = (1 - γ) Σ_t γᵗ P(s_t = s, a_t = a)        J(π, R) = Σ μ_π(s, a) R(s, a)

μ_π is a distribution over states and actions, and all that bounds true reward by proxy reward holds for it
as it does for a bandit's arms. Which measures are some policy's is a set of linear equations, the Bellman
flow: Σ_a μ(s, a) = (1 - γ) 1{s = start} + γ Σ μ(s', a') over all (s', a') that lead to s.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Process:
    """States that are numbers from 0, the start; every action leads to one next state.

    Attributes:
        next_SA: [states, actions], where an action leads.
        true_SA, proxy_SA: rewards R and R̃ of an action.
        discount: γ in (0, 1).
        horizon: steps of an episode, for returns in the units that were published.
    """

    next_SA: NDArray[np.int64]
    true_SA: Floats
    proxy_SA: Floats
    discount: float
    horizon: int

    @property
    def states(self) -> int:
        """How many there are."""
        return len(self.next_SA)

    @cached_property
    def uniform(self) -> Floats:
        """The policy that picks each action equally often."""
        return np.full(self.next_SA.shape, 1 / self.next_SA.shape[1])

    @cached_property
    def lookahead(self) -> sparse.csr_matrix:
        """γ V(next) - V(s) as a matrix on V, [states · actions, states]; transposed, the Bellman flow."""
        states, actions = self.next_SA.shape
        rows = np.arange(states * actions)
        ones = np.ones(len(rows))
        ahead = sparse.csr_matrix((ones, (rows, self.next_SA.ravel())), shape=(len(rows), states))
        here = sparse.csr_matrix((ones, (rows, rows // actions)), shape=(len(rows), states))
        return (self.discount * ahead - here).tocsr()

    def occupancy(self, policy_SA: Floats) -> Floats:
        """μ_π, [states, actions], by one sparse solve."""
        start = np.zeros(self.states)
        start[0] = 1 - self.discount
        state_S = splu(self._solved(policy_SA)).solve(start, trans="T")
        # Rounding leaves -1e-20 where a policy never comes.
        return np.maximum(state_S, 0.0)[:, None] * policy_SA

    def values(self, policy_SA: Floats, reward_SA: Floats) -> Floats:
        """V(s) = E[Σ γᵗ reward], [states]."""
        return splu(self._solved(policy_SA)).solve((policy_SA * reward_SA).sum(axis=1))

    def action_values(self, value_S: Floats, reward_SA: Floats) -> Floats:
        """reward(s, a) + γ V(next), [states, actions]."""
        return reward_SA + self.discount * value_S[self.next_SA]

    def episode(self, policy_SA: Floats, reward_SA: Floats) -> float:
        """The expected undiscounted return of one episode, summed step by step."""
        state_S = np.zeros(self.states)
        state_S[0] = 1.0
        total = 0.0
        for _ in range(self.horizon):
            mass_SA = state_S[:, None] * policy_SA
            total += float((mass_SA * reward_SA).sum())
            state_S = np.bincount(self.next_SA.ravel(), mass_SA.ravel(), self.states)
        return total

    def best_policy(self, reward_SA: Floats) -> Floats:
        """A deterministic optimal policy, by policy iteration (Howard 1960); it stops by itself."""
        policy_SA, actions = self.uniform, self.next_SA.shape[1]
        while True:
            found_SA = self.action_values(self.values(policy_SA, reward_SA), reward_SA)
            best_S = found_SA.argmax(axis=1)
            # An action as good as the best one is kept: else two of them could take turns for ever.
            kept_S = policy_SA.argmax(axis=1)
            rows = np.arange(self.states)
            ties_S = found_SA[rows, kept_S] >= found_SA[rows, best_S] - 1e-12
            chosen_SA = np.eye(actions)[np.where(ties_S, kept_S, best_S)]
            if (chosen_SA == policy_SA).all():
                return chosen_SA
            policy_SA = chosen_SA

    def _solved(self, policy_SA: Floats) -> sparse.csc_matrix:
        """I - γ P_π, [states, states]."""
        states, actions = self.next_SA.shape
        here = np.repeat(np.arange(states), actions)
        moves = sparse.csc_matrix((policy_SA.ravel(), (here, self.next_SA.ravel())), shape=(states, states))
        return (sparse.identity(states, format="csc") - self.discount * moves).tocsc()


def policy_of(occupancy_SA: Floats, fallback_SA: Floats) -> Floats:
    """π(a|s) = μ(s, a) / Σ_a μ(s, a), [states, actions]; `fallback_SA` in states that are never visited."""
    state_S1 = occupancy_SA.sum(axis=1, keepdims=True)
    safe_S1 = np.where(state_S1 > 0, state_S1, 1.0)
    return np.where(state_S1 > 0, occupancy_SA / safe_S1, fallback_SA)
