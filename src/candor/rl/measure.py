"""What a policy can do on problems that it never learned from, and whether RL can start from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candor.core.errors import CandorError
from candor.core.statistics import Estimate, bootstrap, paired_difference, proportion
from candor.rl.problem import Problem
from candor.rl.rollout import Roller

Floats = NDArray[np.float64]

# Draws are the same before and after, and others than those of any step.
_EVALUATION_SEED, _CHECK_SEED = 2_000_000_011, 2_000_000_033
# With fewer problems than this share solved by any of eight tries, nearly all groups would teach nothing.
_LEAST_SOLVED = 0.03
_TRIES = 8


def pass_at_k(right_PS: Floats, k: int) -> Floats:
    """The chance that one of k completions is right, of each problem: 1 - C(n-c, k) / C(n, k).

    Unbiased, of n ≥ k completions of which c are right (Chen et al. 2021, "Evaluating Large Language Models
    Trained on Code").

    Args:
        right_PS: [problems, n], 1 or 0.
        k: at most n.

    Returns:
        [problems].

    Raises:
        ValueError: k is more than n.
    """
    n = right_PS.shape[1]
    if not 1 <= k <= n:
        raise ValueError(f"pass@{k} needs {k} completions of each problem, there are {n}")
    wrong = n - right_PS.sum(axis=1)
    # Π over the k draws of (wrong ones left / ones left): never large numbers.
    places = np.arange(k)
    return 1 - np.clip((wrong[:, None] - places) / (n - places), 0, None).prod(axis=1)


def ks_of(n: int) -> list[int]:
    """1, 2, 4, … up to n."""
    return [1 << power for power in range(n.bit_length()) if 1 << power <= n]


@dataclass(frozen=True)
class Held:
    """How a policy did on the held-out problems, after so many steps."""

    step: int
    reward: Floats  # [problems, samples], drawn as in training
    right: Floats  # [problems, samples]
    greedy: Floats  # [problems], the likeliest completion
    tokens: Floats  # [problems, samples]
    reasoned: Floats  # [problems, samples]
    greedy_tokens: Floats  # [problems]

    def summary(self) -> dict[str, Any]:
        """Estimates with intervals, over problems."""
        problems = np.repeat(np.arange(len(self.right)), self.right.shape[1])
        return {
            "step": self.step,
            "reward": _mean(self.reward.mean(axis=1)).as_dict(),
            "accuracy": proportion(self.right.ravel(), problems).as_dict(),
            "greedy_accuracy": proportion(self.greedy).as_dict(),
            "tokens": _mean(self.tokens.mean(axis=1)).as_dict(),
            "longest": int(self.tokens.max()),
            "greedy_tokens": _mean(self.greedy_tokens).as_dict(),
            "reasoned": proportion(self.reasoned.ravel(), problems).as_dict(),
            "pass": {str(k): _mean(pass_at_k(self.right, k)).as_dict() for k in ks_of(self.right.shape[1])},
        }

    def since(self, before: Held) -> dict[str, Any]:
        """What has changed, paired by problem."""

        def change(after: Floats, then: Floats) -> dict[str, Any]:
            return paired_difference(after, then).as_dict()

        return {
            "reward": change(self.reward.mean(axis=1), before.reward.mean(axis=1)),
            "accuracy": change(self.right.mean(axis=1), before.right.mean(axis=1)),
            "greedy_accuracy": change(self.greedy, before.greedy),
            "tokens": change(self.tokens.mean(axis=1), before.tokens.mean(axis=1)),
            "reasoned": change(self.reasoned.mean(axis=1), before.reasoned.mean(axis=1)),
            "pass": {
                str(k): change(pass_at_k(self.right, k), pass_at_k(before.right, k))
                for k in ks_of(self.right.shape[1])
            },
        }

    def as_json(self) -> dict[str, Any]:
        """Everything as plain numbers."""
        return {name: value if name == "step" else value.tolist() for name, value in vars(self).items()}

    @classmethod
    def of(cls, value: dict[str, Any]) -> Held:
        """The way back from `as_json`."""
        arrays = {name: np.array(found, np.float64) for name, found in value.items() if name != "step"}
        return cls(step=int(value["step"]), **arrays)


def _mean(values: Floats) -> Estimate:
    return bootstrap(lambda some: float(np.mean(some)), values)


def measured(
    roller: Roller,
    problems: Sequence[Problem],
    *,
    samples: int,
    max_tokens: int,
    temperature: float,
    seed: int,
    step: int,
) -> Held:
    """Ask the held-out problems: drawn as in training, and greedily."""
    seed = _EVALUATION_SEED + seed
    drawn = roller.draw(problems, samples, max_tokens=max_tokens, temperature=temperature, seed=seed)
    greedy = roller.draw(problems, 1, max_tokens=max_tokens, temperature=0.0, seed=seed)
    return Held(
        step=step,
        reward=drawn.rewards,
        right=drawn.right,
        greedy=greedy.right[:, 0],
        tokens=drawn.tokens,
        reasoned=drawn.reasoned,
        greedy_tokens=greedy.tokens[:, 0],
    )


@dataclass(frozen=True)
class Start:
    """What a policy can do before it learns: [problems, 8]."""

    right: Floats

    @property
    def pass_1(self) -> float:
        """The share of right completions."""
        return float(self.right.mean())

    @property
    def pass_8(self) -> float:
        """The share of problems that one of eight completions solves."""
        return float(self.right.max(axis=1).mean())

    def need_success(self) -> None:
        """See that there is something to learn from.

        Raises:
            CandorError: no try, or hardly any, is right.
        """
        if self.pass_8 >= _LEAST_SOLVED:
            return
        raise CandorError(
            f"RL can't start from here: of {len(self.right)} problems asked {_TRIES} times each, "
            f"{int(self.right.max(axis=1).sum())} were solved even once (pass@1 {self.pass_1:.1%}, "
            f"pass@{_TRIES} {self.pass_8:.1%}), so there is nothing to make likelier",
            fix="do this first: SFT on solved examples (candor chat tune), an easier task, solved "
            "problems in the prompt (--shots 4), or more tokens to answer in (--max-tokens); --force starts "
            "all the same",
        )


def start_of(
    roller: Roller,
    problems: Sequence[Problem],
    *,
    max_tokens: int,
    temperature: float,
    seed: int,
) -> Start:
    """Ask each problem eight times."""
    seed = _CHECK_SEED + seed
    found = roller.draw(problems, _TRIES, max_tokens=max_tokens, temperature=temperature, seed=seed)
    return Start(found.right)
