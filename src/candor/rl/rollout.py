"""Completions of problems by the policy, drawn through an engine that shares its weights."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from candor.core.errors import CandorError
from candor.engine.prompts import encode_prompt
from candor.engine.protocol import Completion, Generation, Prompt, Sampling
from candor.rl.problem import Problem, Task, Way
from candor.rl.reward import Sample, Scorer, sample_of
from candor.tools import Tool
from candor.train.distributed import Group
from candor.train.policy import Trajectory

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

Floats = NDArray[np.float64]


class Drawer(Protocol):
    """As much of an engine as rollouts need (`LocalEngine`, `VllmEngine`)."""

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling, *, first: int = 0) -> list[Generation]:
        """See `LocalEngine.generate`."""
        ...


@dataclass(frozen=True)
class Rollouts:
    """What was drawn for some problems: everything of all processes as arrays, texts of this one's only.

    All arrays are [prompts, samples]. `mine` are the prompts that this process drew; `samples`,
    `trajectories` and `logprobs` (under the engine, at temperature 1) are theirs, a list for each prompt.
    """

    problems: list[Problem]
    mine: slice
    samples: list[list[Sample]]
    trajectories: list[list[Trajectory]]
    logprobs: list[list[tuple[float, ...]]]
    rewards: Floats
    right: Floats  # 1 or 0
    tokens: Floats  # of the completion, inserted ones included
    drawn: Floats  # of these, drawn by the policy
    truncated: Floats
    reasoned: Floats
    surprise: Floats  # sum of -log p over drawn tokens
    seconds: float


class Roller:
    """Draws and judges completions, each process its share of the problems.

    Args:
        engine: shares its weights with the policy, or gets them by `refresh`.
        tokenizer: the policy's.
        task, way: set the problems and ask for them.
        reward: of each completion.
        shown: solved problems in front of each.
        slack: a completion with more tokens than the right answer and these counts as reasoning, unless the
            way has a predicate `reasons(problem, completion)`.
        stop: strings that end a completion, those of the way aside.
        group: the processes.
        refresh: called before completions are drawn after an update.
    """

    def __init__(
        self,
        engine: Drawer,
        tokenizer: PreTrainedTokenizerBase,
        task: Task,
        way: Way,
        reward: Scorer,
        *,
        shown: Sequence[Problem] = (),
        slack: int = 4,
        stop: Sequence[str] = (),
        group: Group | None = None,
        refresh: Callable[[], None] | None = None,
    ) -> None:
        self._engine, self._tokenizer, self._task, self._way = engine, tokenizer, task, way
        self._reward, self._shown, self._slack = reward, tuple(shown), slack
        self._stop = tuple(dict.fromkeys([*stop, *getattr(way, "stop", ())]))
        self._tools: tuple[Tool, ...] = tuple(getattr(way, "tools", ()))
        self._reasons: Callable[[Problem, str], bool] | None = getattr(way, "reasons", None)
        self._group = group or Group()
        self._refresh, self._stale = refresh, False

    def on(self, engine: Drawer) -> Roller:
        """The same on another engine, whose model stays as it is."""
        other = copy.copy(self)
        other._engine, other._refresh, other._stale = engine, None, False
        return other

    def changed(self) -> None:
        """Say that the policy has changed."""
        self._stale = True

    def draw(
        self, problems: Sequence[Problem], samples: int, *, max_tokens: int, temperature: float, seed: int
    ) -> Rollouts:
        """Complete each problem so many times, the same for the same seed and however many processes.

        Raises:
            CandorError: a prompt does not fit the model's context with its completion, or a reward is not a
                finite number.
        """
        began = time.monotonic()
        if self._stale and self._refresh is not None:
            self._refresh()
        self._stale = False
        mine = share(len(problems), self._group)
        own = list(problems[mine])
        prompts = [encode_prompt(self._tokenizer, self._way.prompt(one, self._shown)) for one in own]
        sampling = Sampling(
            max_tokens=max_tokens,
            temperature=temperature,
            n=samples,
            seed=seed,
            stop=self._stop,
            tools=self._tools,
        )
        drawn = self._engine.generate(prompts, sampling, first=mine.start) if own else []
        table = np.zeros((7, len(problems), samples))
        found: tuple[list, list, list] = ([], [], [])  # samples, trajectories, log-probabilities
        answers = self._answer_tokens(own)
        for place, (problem, ids, generation, usual) in enumerate(
            zip(own, prompts, drawn, answers, strict=True)
        ):
            seen, ways, logs = [], [], []
            for number, one in enumerate(generation.completions):
                sample, own_flags, row = self._judged(problem, one, usual, max_tokens)
                table[1:, mine.start + place, number] = row
                seen.append(sample)
                ways.append(Trajectory(tuple(ids), one.token_ids, own_flags))
                logs.append(one.logprobs)
            for into, value in zip(found, (seen, ways, logs), strict=True):
                into.append(value)
        rewards = np.reshape(
            self._reward.score([one for seen in found[0] for one in seen]), (len(own), samples)
        )
        if not np.isfinite(rewards).all():
            raise CandorError(
                f"the reward {self._reward.name} is not a finite number for some completion",
                fix="look at what it gives for an empty and for a long completion",
            )
        table[0, mine] = rewards
        table = self._group.totals(table)
        return Rollouts(list(problems), mine, *found, *table, seconds=time.monotonic() - began)

    def _judged(
        self, problem: Problem, one: Completion, usual: int, limit: int
    ) -> tuple[Sample, tuple[bool, ...], tuple[float, ...]]:
        """A completion as rewards see it, which tokens are its own, and the table's row without the reward.

        Args:
            problem: what was asked.
            one: what came.
            usual: tokens of the right answer.
            limit: the most tokens allowed.
        """
        size, truncated, flags = len(one.token_ids), one.finish_reason == "length", own_tokens(one)
        sample = sample_of(
            self._task, self._way, problem, one.text, tokens=size, limit=limit, truncated=truncated
        )
        known = self._reasons and self._reasons(problem, one.text)
        reasoned = size > usual + self._slack if known is None else known
        surprise = -sum(value for value, flag in zip(one.logprobs, flags, strict=True) if flag)
        row = (sample.right, size, sum(flags), truncated, reasoned, surprise)
        return sample, flags, row

    def _answer_tokens(self, problems: Sequence[Problem]) -> list[int]:
        """Tokens of each right answer, without any that the tokenizer puts around a text."""
        if self._reasons is not None or not problems:
            return [0] * len(problems)
        answers = [one.answer for one in problems]
        return [len(ids) for ids in self._tokenizer(answers, add_special_tokens=False)["input_ids"]]  # type: ignore[arg-type]


def own_tokens(completion: Completion) -> tuple[bool, ...]:
    """For each token whether the policy drew it; others were inserted by a tool."""
    inserted = completion.inserted
    return tuple(not one for one in inserted) if inserted else (True,) * len(completion.token_ids)


def share(count: int, group: Group) -> slice:
    """This process's part of so many prompts: a run of them, so that their indices are a range."""
    return slice(count * group.rank // group.size, count * (group.rank + 1) // group.size)


def weight_pusher(engine: Any, model: torch.nn.Module) -> Callable[[], None]:
    """What gives an engine with a copy of its own (vLLM) the policy's weights.

    Raises:
        CandorError: the engine can't take any.
    """
    if not hasattr(engine, "update_weights"):
        raise CandorError(
            f"{type(engine).__name__} can't take new weights, so it can't draw from a policy that learns",
            fix="use the engine local or vllm",
        )

    return lambda: engine.update_weights(model.state_dict())
