"""The prompts that a policy answers, with no answer to check: a task and a way for the RL loop."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from candor.core.errors import InputError
from candor.core.files import read_json_lines, read_text
from candor.data.rows import text_field
from candor.engine.protocol import Message, Prompt
from candor.rl.problem import Problem

_ROLES = ("system", "user", "assistant")
_FIELDS = ("prompt", "question")


class PromptSet:
    """Prompts by id; a `Task` whose problems are prompts, and a `Way` that gives them as they are.

    Args:
        prompts: text or messages by id.
        chat: ask texts by messages, too: each becomes the user's.
        name: what the set is called.
    """

    def __init__(self, prompts: dict[str, Prompt], *, chat: bool = False, name: str = "prompts") -> None:
        self.name, self._chat = name, chat
        self._prompts = prompts
        self._problems = [Problem(id=key, question=_shown(prompt)) for key, prompt in prompts.items()]

    def __len__(self) -> int:
        return len(self._problems)

    def problems(self, count: int, seed: int) -> list[Problem]:
        """So many of them in an order of the seed's; all where there are no more."""
        return random.Random(seed).sample(self._problems, min(count, len(self._problems)))

    def right(self, problem: Problem, answer: str) -> bool:
        """Nothing is known to be right."""
        return False

    def prompt(self, problem: Problem, shown: Sequence[Problem] = ()) -> Prompt:
        """What the model is given, and a reward model too."""
        found = self._prompts[problem.id]
        if self._chat and isinstance(found, str):
            return [Message(role="user", content=found)]
        return found

    def written(self, problem: Problem) -> str:
        """No completion is perfect."""
        return problem.answer

    def read(self, completion: str) -> str | None:
        """The completion itself; None if it is empty."""
        return completion or None


def _shown(prompt: Prompt) -> str:
    if isinstance(prompt, str):
        return prompt
    return "\n".join(f"{turn['role']}: {turn['content']}" for turn in prompt)  # type: ignore[index,call-overload]


def read_prompts(path: Path) -> dict[str, Prompt]:
    """Prompts of a file, by id: `.txt` has one a line; JSON Lines have `prompt` (a text, or messages).

    `question` or `messages` are taken for `prompt`, and `id` is the prompt itself where it is missing. The
    same prompt twice counts once.

    Raises:
        InputError: there are none, or a row has something else; it names file, line and field.
    """
    if path.suffix == ".txt":
        lines = (line.strip() for line in read_text(path).split("\n"))
        found: dict[str, Prompt] = {line: line for line in lines if line}
    else:
        found = {}
        for line, row in read_json_lines(path):
            prompt = _prompt_of(row, path, line)
            key = text_field(row, "id", path, line) or _shown(prompt)
            if found.setdefault(key, prompt) != prompt:
                raise InputError(
                    f"two different prompts have the id {key!r}",
                    path=path, line=line, field="id", fix="give each an id of its own, or leave ids out",
                )  # fmt: skip
    if not found:
        raise InputError(
            "there are no prompts in it",
            path=path,
            fix='write one a line: {"prompt": "Why is the sky blue?"}',
        )
    return found


def _prompt_of(row: dict[str, Any], path: Path, line: int) -> Prompt:
    turns = row.get("messages", row.get("prompt"))
    if isinstance(turns, list):
        return [_turn(turn, path, line) for turn in _ending_open(turns, path, line)]
    field = next((name for name in _FIELDS if name in row), _FIELDS[0])
    found = text_field(row, field, path, line, required=True)
    if not (found or "").strip():
        raise InputError(
            "is empty", path=path, line=line, field=field, fix="write a prompt, or leave the row out"
        )
    return found or ""


def _ending_open(turns: list[Any], path: Path, line: int) -> list[Any]:
    """Messages up to the reply that is asked for."""
    last = turns[-1] if turns else None
    if isinstance(last, dict) and last.get("role") == "assistant":
        turns = turns[:-1]
    if not turns:
        raise InputError(
            "there is no message to answer", path=path, line=line, field="messages",
            fix='write at least {"role": "user", "content": "…"}',
        )  # fmt: skip
    return turns


def _turn(turn: Any, path: Path, line: int) -> Message:
    role = turn.get("role") if isinstance(turn, dict) else None
    if role not in _ROLES or not isinstance(turn.get("content"), str):
        raise InputError(
            f"expected {{role, content}} with a role of {', '.join(_ROLES)}, found {turn!r:.80}",
            path=path, line=line, field="messages", fix="write each message with both, as texts",
        )  # fmt: skip
    return Message(role=role, content=turn["content"])
