"""Rewards: plain functions of what a completion is seen to be.

    @reward
    def brief(right: bool, tokens: int, limit: int) -> float:
        return float(right) * (1 - 0.2 * tokens / limit)

A function asks for what it needs by the names of its parameters (the fields of `Sample`). Several are added
up by weight: `rewards_of(["correct", "brief=0.2"])`.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, cast, overload

from candor.core.errors import CandorError, InputError, did_you_mean
from candor.rl.problem import Problem, Task, Way


@dataclass(frozen=True)
class Sample:
    """What a reward may look at."""

    problem: Problem
    completion: str
    answer: str | None  # as the way reads it
    right: bool  # what the task says of that answer
    tokens: int  # of the completion, its end token included
    limit: int  # the most that it may have
    truncated: bool  # cut at the limit


_SEEN = [field.name for field in fields(Sample)]


@dataclass(frozen=True)
class Reward:
    """A function of some of a sample's fields, with its name."""

    name: str
    function: Callable[..., float]
    needs: tuple[str, ...]

    def __call__(self, sample: Sample) -> float:
        """The sample's reward.

        Raises:
            CandorError: the function failed, or returned no finite number.
        """
        try:
            value = self.function(**{name: getattr(sample, name) for name in self.needs})
        except CandorError:
            raise
        except Exception as error:  # the user's program may fail in any way
            raise CandorError(
                f"the reward '{self.name}' failed for a completion of problem {sample.problem.id} "
                f"({type(error).__name__}: {error}): {sample.completion!r:.80}",
                fix="mend the function, and try it on an empty completion and on one that was cut",
            ) from error
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if not abs(number) < float("inf"):
            raise CandorError(
                f"the reward '{self.name}' returned {value!r} for a completion of problem "
                f"{sample.problem.id}",
                fix="let it return a finite number for every completion",
            )
        return number

    def score(self, samples: Sequence[Sample]) -> list[float]:
        """The reward of each sample."""
        return [self(sample) for sample in samples]


_REGISTRY: dict[str, Reward] = {}


@overload
def reward(function: Callable[..., float], *, name: str | None = None) -> Reward: ...
@overload
def reward(function: None = None, *, name: str | None = None) -> Callable[..., Reward]: ...
def reward(function: Callable[..., float] | None = None, *, name: str | None = None) -> Any:
    """Make a function a reward and keep it under its name.

    Args:
        function: its parameters are named as the fields of `Sample`.
        name: another than the function's own.

    Raises:
        InputError: a parameter without a default is none of these.
    """
    if function is None:
        return lambda given: reward(given, name=name)
    made = as_reward(function, name)
    _REGISTRY[made.name] = made
    return made


def as_reward(function: Callable[..., float] | Reward, name: str | None = None) -> Reward:
    """The same without keeping it."""
    if isinstance(function, Reward):
        return function
    called = name or getattr(function, "__name__", "reward")
    parameters = inspect.signature(function).parameters.values()
    unknown = [p.name for p in parameters if p.name not in _SEEN and p.default is inspect.Parameter.empty]
    if unknown:
        raise InputError(
            f"the reward '{called}' asks for {', '.join(unknown)}, which no completion has",
            field="reward",
            fix=f"name its parameters from {', '.join(_SEEN)}",
        )
    return Reward(called, function, tuple(p.name for p in parameters if p.name in _SEEN))


@reward
def correct(right: bool) -> float:
    """1 for a right answer."""
    return float(right)


@reward
def answered(answer: str | None) -> float:
    """1 where the way reads an answer at all, right or wrong."""
    return float(answer is not None)


@reward
def length(tokens: int, limit: int) -> float:
    """Tokens over the limit, whatever they say: a control."""
    return tokens / limit


def task_reward(task: Task, way: Way) -> Reward:
    """1.0 where the way reads an answer from the completion that the task calls right, else 0.0."""

    def judged(problem: Problem, completion: str) -> float:
        answer = way.read(completion)
        return float(answer is not None and task.right(problem, answer))

    return as_reward(judged, f"{task.name} by {way.name}")


@dataclass(frozen=True)
class Weighted:
    """Rewards added up by weight."""

    parts: tuple[tuple[Reward, float], ...]

    @property
    def name(self) -> str:
        """As a user would write it."""
        return " + ".join(r.name if weight == 1 else f"{weight:g} · {r.name}" for r, weight in self.parts)

    def __call__(self, sample: Sample) -> float:
        """The sample's reward."""
        return sum(weight * part(sample) for part, weight in self.parts)

    def score(self, samples: Sequence[Sample]) -> list[float]:
        """The reward of each sample."""
        return [self(sample) for sample in samples]


AnyReward = Reward | Weighted


class Scorer(Protocol):
    """Rewards many completions at once: a function of each, or a model that reads them together."""

    @property
    def name(self) -> str:
        """What a report calls it."""
        ...

    def score(self, samples: Sequence[Sample]) -> Sequence[float]:
        """A finite reward for each sample."""
        ...


def registered(spec: str) -> bool:
    """Whether a reward is kept under this name, a weight behind `=` aside."""
    return spec.partition("=")[0] in _REGISTRY


def rewards_of(specs: Sequence[str]) -> Weighted:
    """Rewards by name, each with a weight after `=` (1 without).

    A name is that of a registered function, or `path.py:function` for one in a local file. That file is the
    user's own program and is run.

    Raises:
        InputError: there is none by a name, the file can't be run, or a weight is no number.
    """
    return Weighted(tuple(_weighted(spec) for spec in specs))


def _weighted(spec: str) -> tuple[Reward, float]:
    name, given, weight = spec.rpartition("=")
    name = name if given else spec
    try:
        number = float(weight) if given else 1.0
    except ValueError as error:
        raise InputError(
            f"'{weight}' is no weight", field="reward", fix="write NAME=NUMBER, such as correct=1"
        ) from error
    path, colon, function = name.rpartition(":")
    if colon and path.endswith(".py"):
        return _from_file(Path(path), function), number
    if name not in _REGISTRY:
        raise InputError(
            f"there is no reward by the name '{name}'",
            field="reward",
            fix=f"{did_you_mean(name, _REGISTRY)}there are {', '.join(_REGISTRY)}, and path.py:function "
            "for your own",
        )
    return _REGISTRY[name], number


def _from_file(path: Path, function: str) -> Reward:
    if not path.is_file():
        raise InputError("no such file", path=path, fix="check the path in front of the colon")
    spec = importlib.util.spec_from_file_location(f"candor_reward_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's program may fail in any way
        raise InputError(
            f"can't be run ({type(error).__name__}: {error})",
            path=path,
            fix="run it with python to see where",
        ) from error
    found = getattr(module, function, None)
    if not callable(found):
        raise InputError(f"has no function '{function}'", path=path, fix="name one of its functions")
    return as_reward(cast("Callable[..., float]", found), function)


def validate(reward: AnyReward, task: Task, way: Way, n: int = 32, seed: int = 0) -> None:
    """See that what is rewarded is being right, before anything is trained on it.

    Asks for n problems: what the way writes for each has to score 1.0; what it writes for another problem
    whose answer would be wrong here, and nothing at all, have to score 0.0.

    Raises:
        CandorError: one of these scores otherwise; it shows the problem and the completion.
    """
    problems = task.problems(n, seed)
    for place, problem in enumerate(problems):
        _need(reward, task, way, problem, way.written(problem), 1.0)
        _need(reward, task, way, problem, "", 0.0)
        others = (problems[(place + k) % len(problems)] for k in range(1, len(problems)))
        others = (one for one in others if one.answer != problem.answer)
        other = next((one for one in others if not task.right(problem, one.answer)), None)
        if other is not None:
            _need(reward, task, way, problem, way.written(other), 0.0)


def _need(reward: AnyReward, task: Task, way: Way, problem: Problem, text: str, wanted: float) -> None:
    sample = sample_of(task, way, problem, text, tokens=max(1, len(text.split())), limit=1 << 20)
    found = reward(sample)
    if found == wanted:
        return
    what = "a perfect completion" if wanted else "a wrong completion" if text else "an empty completion"
    read = "no answer" if sample.answer is None else f"the answer {sample.answer!r}"
    raise CandorError(
        f"the reward '{reward.name}' gives {what} {found:g} where it has to give {wanted:g}: {text!r} for "
        f"{problem.question!r}, whose answer is {problem.answer!r}; the way '{way.name}' reads {read} from "
        "it",
        fix="mend the reward, or what the way writes or reads, or the task's idea of right",
    )


def sample_of(
    task: Task, way: Way, problem: Problem, text: str, *, tokens: int, limit: int, truncated: bool = False
) -> Sample:
    """A completion as rewards see it."""
    answer = way.read(text)
    right = answer is not None and task.right(problem, answer)
    return Sample(problem, text, answer, right, tokens, limit, truncated)
