"""Any task of the package reasoning-gym (Stojanovski et al. 2025) by name, scored by its own scorer.

pip install "candor-lm[reasoning]"
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from candor.core.errors import CandorError, InputError, did_you_mean
from candor.rl.problem import Problem

_SIZE = 10_000  # problems that a data set can give; they are made when asked for


@dataclass(frozen=True)
class Gym:
    """A task of the package; a problem's id says where it comes from, so that any process can score it."""

    dataset: str

    @classmethod
    def of(cls, name: str | None) -> Gym:
        """The task of a name.

        Raises:
            CandorError: the package is not installed.
            InputError: it has no task by that name; the error names the nearest.
        """
        known = _names()
        if name not in known:
            meant = did_you_mean(f"gym:{name or ''}", [f"gym:{one}" for one in known])
            raise InputError(
                f"reasoning-gym has no task by the name '{name or ''}'",
                field="tasks",
                fix=f"{meant}it has {len(known)}, such as {', '.join(f'gym:{one}' for one in known[:3])}",
            )
        return cls(str(name))

    @property
    def name(self) -> str:
        """As the user named it."""
        return f"gym:{self.dataset}"

    def problems(self, count: int, seed: int) -> list[Problem]:
        """Those of the task's default settings."""
        data = _dataset(self.dataset, seed)
        found: dict[str, Problem] = {}
        for place in range(min(2 * count, _SIZE)):
            if len(found) == count:
                break
            row = data[place]
            answer, question = str(row["answer"] or ""), str(row["question"])
            if not answer.strip() or not question.strip():  # a few have no answer of their own
                continue
            problem = Problem(id=f"{self.dataset}/{seed}/{place}", question=question, answer=answer)
            found.setdefault(question, problem)
        return list(found.values())

    def right(self, problem: Problem, answer: str) -> bool:
        """Whether the package's scorer gives it the full score, with or without what stands behind it."""
        dataset, seed, place = problem.id.rsplit("/", 2)
        data = _dataset(dataset, int(seed))
        row = data[int(place)]
        first = answer.partition("\n\n")[0]
        tries = dict.fromkeys((answer, first, first.partition("\n")[0], answer.rstrip(" .")))
        return any(float(data.score_answer(one, row)) >= 1.0 for one in tries)


def _package() -> Any:
    try:
        import reasoning_gym  # noqa: PLC0415 # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise CandorError(
            f"tasks of the name gym:… need the package reasoning-gym ({error})",
            fix="pip install 'candor-lm[reasoning]'",
        ) from error
    return reasoning_gym


def _names() -> list[str]:
    _package()
    from reasoning_gym.factory import DATASETS  # noqa: PLC0415 # pyright: ignore[reportMissingImports]

    return sorted(DATASETS)


@lru_cache(maxsize=8)
def _dataset(name: str, seed: int) -> Any:
    return _package().create_dataset(name, size=_SIZE, seed=seed)
