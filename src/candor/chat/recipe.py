"""Every setting of chat tuning."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from candor.core.recipe import Settings
from candor.data.place import Place
from candor.train.settings import TrainSettings, TuneSettings


class ChatModelSettings(Settings):
    """Which model learns to converse."""

    name: str = Field(default="smollm2", description="Checkpoint folder, hub id, .gguf file, or smollm2.")
    template: str | None = Field(
        default=None,
        description="Chat template: `plain` (base models), `chatml`, a Jinja file, or unset for the model's "
        "own (`candor chat add-tokens` gives it one).",
    )
    trust_remote_code: bool = Field(default=False, description="Run code that comes with the checkpoint.")


class ChatSource(Place):
    """Where conversations come from: one of `path`, `hub` and `embedded`."""

    path: Path | None = Field(
        default=None, description="File of conversations: .jsonl, .jsonl.gz or .parquet."
    )
    embedded: Literal["chitchat", "facts", "facts_dialogue"] | None = Field(
        default=None,
        description="Conversations that come as packages (candor-lm[demo]): people's chats, or single and "
        "connected questions about packaged facts.",
    )
    layout: Literal["messages", "sharegpt", "alpaca", "completion"] | None = Field(
        default=None, description="How rows are written; unset: seen from their fields."
    )
    conversations: int | None = Field(
        default=None, ge=1, description="Take so many conversations and no more."
    )
    weight: float = Field(
        default=1.0, ge=0, description="Scales the loss of the source's conversations; 0 leaves them out."
    )


class ChatDataSettings(Settings):
    """What the model learns from."""

    sources: tuple[ChatSource, ...] = Field(
        default=(
            ChatSource(embedded="chitchat", conversations=400),
            ChatSource(embedded="facts_dialogue", conversations=1000),
            ChatSource(embedded="facts", conversations=1000),
        ),
        min_length=1,
        description="Where conversations come from, in this order.",
    )
    skip_invalid: bool = Field(
        default=False,
        description="Leave out rows that are no conversation, and count them, instead of ending.",
    )
    max_tokens: int = Field(
        default=1024,
        ge=16,
        description="Most tokens of an example; where the model reads fewer at once, that many.",
    )
    long: Literal["split", "drop", "refuse"] = Field(
        default="split",
        description="What becomes of longer conversations. split: pieces that begin at a user's turn, each "
        "with the system message; replies that don't fit even so are left out and counted. drop: left out "
        "whole and counted. refuse: an error that names the first.",
    )
    validation: float = Field(
        default=0.05, gt=0, lt=1, description="Share of the conversations held out, drawn by what they say."
    )
    tools: tuple[Literal["calculator"], ...] = Field(
        default=(),
        description="Tools that the assistant calls in these conversations: their results are read, not "
        "learned, and replies after training may call them.",
    )


class ChatTuneSettings(TuneSettings):
    """How it is trained."""

    rate_power: ClassVar[float] = 2 / 3  # 1e-3 did best of those tried for 4.3 million weights (docs/LOG.md)

    batch_tokens: int = Field(
        default=4096, ge=1, description=TrainSettings.model_fields["batch_tokens"].description
    )
    sharded: bool = Field(default=False, description=TrainSettings.model_fields["sharded"].description)


class ChatEvaluateSettings(Settings):
    """What is measured before and after."""

    conversations: int = Field(
        default=200, ge=1, description="Held-out conversations whose loss is measured, before and after."
    )
    prompts: tuple[str, ...] = Field(
        default=(
            "Hi! How are you today?",
            "What is the capital of France?",
            "My name is Ada. What is my name?",
            "Tell me something about the sea.",
        ),
        description="First messages that the model replies to, before and after.",
    )
    reply_tokens: int = Field(default=64, ge=1, description="Longest of these replies.")
    threads: bool = Field(
        default=True,
        description="Measure what depends on earlier turns, before and after (`candor chat evaluate`).",
    )
    tone: bool = Field(
        default=True,
        description="Measure how sure replies to 80 questions sound, before and after, and whether that has "
        "anything to do with their being right.",
    )


class ChatRecipe(Settings):
    """Teach a model to converse: loss on every assistant turn, and on nothing else."""

    kind: Literal["chat"] = "chat"
    seed: int = Field(default=0, ge=0, description="Fixes what is held out, and the order.")
    model: ChatModelSettings = ChatModelSettings()
    data: ChatDataSettings = ChatDataSettings()
    tune: ChatTuneSettings = ChatTuneSettings()
    evaluate: ChatEvaluateSettings = ChatEvaluateSettings()
