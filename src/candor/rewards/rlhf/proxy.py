"""A learned reward as the RL loop takes it, with what may be done to it first.

    none   as the reward model says
    par    the mean over the reference's completions of the same prompt of sigmoid(reward - theirs): at most
           1, so that no completion is worth everything (Fu et al. 2025, "Preference as Reward")
    clip   cut to the range that the reference's completions have but for one in a hundred on either side

A transform makes another proxy, with another correlation and deviation: calibrate what it gives, not what it
is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from candor.core.errors import CandorError, InputError
from candor.engine.protocol import Prompt
from candor.rewards.model import load_reward, need_rewards
from candor.rl.problem import Problem, Way
from candor.rl.reward import Sample, Scorer, Weighted, registered, rewards_of

Floats = NDArray[np.float64]
Transform = Literal["none", "par", "clip"]
_CUT = 1.0  # per cent, on either side


class Scoring(Protocol):
    """`RewardModel`, `EnsembleReward`, or anything that scores completions of prompts."""

    def score(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> Floats:
        """The reward of each completion, [n]."""
        ...


@dataclass(frozen=True)
class ReferenceRewards:
    """Rewards of the reference's completions as the reward model says, by the prompt's id."""

    by_prompt: Mapping[str, Floats]

    def quantiles(self) -> tuple[float, float]:
        """Where all but one in a hundred on either side are."""
        low, high = np.percentile(np.concatenate(list(self.by_prompt.values())), [_CUT, 100 - _CUT])
        return float(low), float(high)


class Proxy:
    """What a policy is rewarded by; a `Scorer` of the RL loop.

    Args:
        model: scores completions.
        way: gives the prompt of a problem.
        transform: see the module.
        reference: what `par` and `clip` go by.
        name: for reports.
    """

    def __init__(
        self,
        model: Scoring,
        way: Way,
        *,
        transform: Transform = "none",
        reference: ReferenceRewards | None = None,
        name: str = "reward model",
    ) -> None:
        if transform != "none" and reference is None:
            raise ValueError(f"{transform} needs rewards of the reference's completions")
        self._model, self._way, self._transform, self._reference = model, way, transform, reference
        self._range = reference.quantiles() if transform == "clip" and reference else None
        self.name = name if transform == "none" else f"{name}, {transform}"

    def score(self, samples: Sequence[Sample]) -> list[float]:
        """The reward of each sample; raises as the model, and `CandorError` as `of`."""
        return self.of([one.problem for one in samples], [one.completion for one in samples]).tolist()

    def of(self, problems: Sequence[Problem], completions: Sequence[str]) -> Floats:
        """The reward of each completion, [n].

        Raises:
            CandorError: with `par`, the reference has no completion of a prompt.
        """
        raw = self.raw(problems, completions)
        if self._range is not None:
            return np.clip(raw, *self._range)
        if self._transform == "none" or self._reference is None:
            return raw
        found = np.zeros(len(raw))
        for place, (problem, reward) in enumerate(zip(problems, raw, strict=True)):
            others = self._reference.by_prompt.get(problem.id)
            if others is None:
                raise CandorError(
                    f"par has no completion of the reference to compare with for {problem.id!r}",
                    fix="draw some for every prompt first",
                )
            found[place] = expit(reward - others).mean()
        return found

    def of_reference(self) -> tuple[Floats, list[str]] | None:
        """Rewards of the reference's completions and the prompt of each, [m] both, if they are this model's.

        None with `par`, which compares a completion with these very ones.
        """
        if self._transform == "par" or self._reference is None:
            return None
        found = self._reference.by_prompt
        rewards = np.concatenate(list(found.values()))
        names = [name for name, values in found.items() for _ in values]
        return (rewards if self._range is None else np.clip(rewards, *self._range)), names

    def raw(self, problems: Sequence[Problem], completions: Sequence[str]) -> Floats:
        """As the model says, without the transform, [n]."""
        prompts = [self._way.prompt(one) for one in problems]
        return np.asarray(self._model.score(prompts, completions), dtype=np.float64)


# Fields of a completion that only a task with right answers has.
_OF_TASKS = {"right", "answer"}


def function_of(spec: str) -> Weighted | None:
    """A reward by a function, None where the spec names a reward model.

    Args:
        spec: `path.py:function`, a registered reward, or a reward model's folder or hub id.

    Raises:
        InputError: it is neither, or the function asks for what only a task with right answers knows.
    """
    if Path(spec).is_dir() or ("/" in spec.partition(".py:")[0] and ".py:" not in spec):
        return None
    if ".py:" not in spec and not registered(spec):
        raise InputError(
            f"there is no reward model in a folder '{spec}', and no reward by that name",
            field="reward",
            fix="name a reward model's folder (candor reward train), a hub id with its owner, or "
            "path.py:function",
        )
    function = rewards_of([spec])
    if wanted := _OF_TASKS & {name for reward, _ in function.parts for name in reward.needs}:
        raise InputError(
            f"the reward '{spec}' asks for {', '.join(sorted(wanted))}, and prompts have no right answers",
            field="reward",
            fix="write a function of problem, completion, tokens, limit, truncated, or name a reward model",
        )
    return function


def need_scorer(spec: str) -> None:
    """See that a spec names something, before long work; raises as `scorer_of`."""
    if function_of(spec) is None:
        need_rewards(spec)


def scorer_of(spec: str, way: Way) -> Scorer:
    """Whatever a spec names, as a scorer of samples; raises as `function_of` and `load_reward`."""
    return function_of(spec) or Proxy(load_reward(spec), way, name=spec)
