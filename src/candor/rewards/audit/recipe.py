"""Every setting of an audit."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from candor.core.errors import InputError
from candor.core.recipe import Settings


class DrawSettings(Settings):
    """How a log is made where there is none."""

    policy: str | None = Field(
        default=None, description="The model that was trained: checkpoint folder, hub id, .gguf file."
    )
    reference: str | None = Field(default=None, description="The model that it began as; the same tokenizer.")
    proxy: str | None = Field(
        default=None,
        description="What it was trained on: the folder of a reward model, or path.py:function, a program of "
        "your own, which is run.",
    )
    gold: str | None = Field(default=None, description="The true reward, if it can be computed: likewise.")
    gold_on: Literal["both", "reference"] = Field(
        default="both", description="Whose completions get gold rewards; the reference's alone can certify."
    )
    prompts: str | None = Field(default=None, description="A .txt file, one a line, or .jsonl with `prompt`.")
    samples: int = Field(default=4, ge=1, description="Completions of each model for each prompt.")
    max_tokens: int = Field(default=128, ge=1, description="Longest completion; as in training.")
    chat: bool | None = Field(
        default=None, description="Ask by messages; unset: if the reference has a chat template."
    )
    template: str | None = Field(
        default=None,
        description="Chat template: `plain`, `chatml`, a Jinja file; unset: the reference's own.",
    )
    dtype: Literal["bfloat16", "float32"] = Field(default="bfloat16", description="Arithmetic type.")


class AuditRecipe(Settings):
    """Judge a policy by a log, or draw the log first."""

    kind: Literal["audit"] = "audit"
    seed: int = Field(default=0, ge=0, description="Fixes draws and bootstraps.")
    log: str | None = Field(default=None, description="A log, .jsonl or .jsonl.gz; unset: drawn.")
    draw: DrawSettings = DrawSettings()

    def need_one_source(self) -> None:
        """See that there is either a log or all that one is drawn from.

        Raises:
            InputError: neither, or both.
        """
        names = ("policy", "reference", "proxy", "prompts")
        given = [name for name in names if getattr(self.draw, name)]
        if self.log is not None and given:
            raise InputError(
                f"there is a log and a {given[0]} to draw one with",
                field=f"draw.{given[0]}",
                fix="give one of them: candor audit LOG, or candor audit --policy … without a log",
            )
        if self.log is None and len(given) < len(names):
            missing = [f"--{name}" for name in names if name not in given]
            raise InputError(
                f"no log, and to draw one it lacks {', '.join(missing)}",
                field="log",
                fix="candor audit LOG, or candor audit --policy P --reference R --proxy RM --prompts FILE",
            )
