"""Every setting of asking a model in several ways."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from candor.core.recipe import Settings


class ThinkModelSettings(Settings):
    """Which model is asked."""

    name: str = Field(default="smollm2", description="Checkpoint folder, hub id, .gguf file, or smollm2.")
    template: str | None = Field(
        default=None, description="Chat template: a Jinja file, or unset for the model's own."
    )
    raw: bool = Field(
        default=False,
        description="Ask by text that the model goes on with, as base models without a template always are.",
    )
    dtype: Literal["bfloat16", "float32", "float16"] = Field(
        default="bfloat16", description="Arithmetic type."
    )
    trust_remote_code: bool = Field(default=False, description="Run code that comes with the checkpoint.")


class AskSettings(Settings):
    """What is asked, and how."""

    tasks: tuple[str, ...] = Field(
        default=("addition:1-9", "decimals", "letters", "words"),
        min_length=1,
        description="addition:1-9, subtraction:3, multiplication:2, decimals, letters, words, gym:NAME "
        "(reasoning-gym), or files in GSM8K's format (.jsonl, .jsonl.gz).",
    )
    ways: tuple[str, ...] = Field(
        default=("direct", "reversed", "steps", "explain", "scratchpad"),
        min_length=1,
        description="Ways of asking; each is compared with direct on the same problems.",
    )
    problems: int = Field(default=64, ge=1, description="Problems of each task.")
    shown: int = Field(
        default=4, ge=0, description="Solved problems that stand before each, asked in the same way."
    )

    @field_validator("tasks", "ways")
    @classmethod
    def _once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if doubled := [name for place, name in enumerate(names) if name in names[:place]]:
            raise ValueError(f"'{doubled[0]}' is named twice")
        return names


class AnswerSettings(Settings):
    """How answers are written."""

    max_tokens: int = Field(default=256, ge=1, description="Longest completion.")
    temperature: float = Field(default=0.0, ge=0, description="0 is greedy.")
    budgets: tuple[int, ...] = Field(
        default=(4, 8, 16, 32, 64, 128, 256),
        description="Completions are cut after so many tokens and, where they gave no answer yet, made to "
        "answer; none measures no curve.",
    )
    forced_tokens: int = Field(default=12, ge=1, description="Longest answer of a completion that was cut.")

    @field_validator("budgets")
    @classmethod
    def _rising(cls, budgets: tuple[int, ...]) -> tuple[int, ...]:
        if any(budget < 1 for budget in budgets) or sorted(set(budgets)) != list(budgets):
            raise ValueError("budgets have to be whole numbers that rise, such as 4, 16, 64")
        return budgets


class ThinkRecipe(Settings):
    """Ask one model the same problems in several ways."""

    kind: Literal["think"] = "think"
    seed: int = Field(default=0, ge=0, description="Fixes the problems, the examples and the draws.")
    model: ThinkModelSettings = ThinkModelSettings()
    ask: AskSettings = AskSettings()
    answer: AnswerSettings = AnswerSettings()
