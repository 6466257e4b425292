"""Every setting of a base model's run: its corpus, tokenizer, shape, training, and what is measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from candor.base.filters import FilterSettings
from candor.core.recipe import Settings
from candor.data.place import Place
from candor.train.settings import TrainSettings

HEAD = 64  # width of an attention head
FACTS = "embedded facts"  # the name of a source
_Count = Annotated[int, Field(ge=0)]
_Several = Annotated[int, Field(ge=2)]


class SourceSettings(Place):
    """Where documents come from: one of `path`, `hub` and `embedded`."""

    path: Path | None = Field(
        default=None,
        description="File or folder: .txt .md .html .pdf, or .jsonl, .jsonl.gz, .parquet with texts in rows.",
    )
    embedded: Literal["conversations", "facts", "articles"] | None = Field(
        default=None, description="One of the corpora that come as packages (candor-lm[demo])."
    )
    column: str = Field(default="text", description="Field of a row that holds the text.")
    documents: int | None = Field(default=None, ge=1, description="Take so many documents and no more.")
    filtered: bool = Field(
        default=True,
        description="Apply the rules for prose; off for chats, code and lists (facts: always off).",
    )


class CorpusSettings(Settings):
    """What the model reads."""

    sources: tuple[SourceSettings, ...] = Field(
        default=(
            SourceSettings(embedded="conversations", filtered=False),
            SourceSettings(embedded="articles"),
            SourceSettings(embedded="facts", filtered=False),
        ),
        min_length=1,
        description="Where documents come from, in this order.",
    )
    filters: FilterSettings = FilterSettings()
    near_duplicates: bool = Field(
        default=True, description="Leave out documents that say nearly the same as an earlier one (MinHash)."
    )
    decontaminate: tuple[Path, ...] = Field(
        default=(),
        description="Files of evaluation items (.jsonl, .jsonl.gz, .txt): documents that share a passage of "
        "`decontaminate_words` words with one of them are left out.",
    )
    decontaminate_words: int = Field(default=13, ge=4, description="Words of such a passage.")
    validation: float = Field(
        default=0.05, gt=0, lt=1, description="Share of the documents held out, drawn by their ids."
    )
    stated: tuple[tuple[_Count, _Count], ...] = Field(
        default=((0, 40), (1, 50), (3, 50), (10, 50), (30, 40), (100, 24), (300, 12)),
        description="The embedded facts: pairs of how many documents state an entry's facts, and how many "
        "entries are stated so often. 0: never, for comparison.",
    )
    repeated: tuple[_Several, ...] = Field(
        default=(3, 10, 30, 100),
        description="Passages drawn from the documents stand so often in the corpus, word for word; what "
        "`candor recall` measures beside some that stand there once and never.",
    )
    passages: int = Field(default=25, ge=0, description="So many passages of each number of repetitions.")
    shard_bytes: int = Field(
        default=64 << 20, ge=1 << 16, description="Text of one shard; a killed build repeats at most one."
    )


class TokenizerSettings(Settings):
    """How text becomes tokens."""

    name: str | None = Field(
        default=None,
        description="Take the tokenizer of this checkpoint (folder, hub id, smollm2); unset: train one. A "
        "continued model always keeps its own.",
    )
    vocabulary: int = Field(default=8192, ge=257, description="Tokens of a trained tokenizer.")
    sample_bytes: int = Field(
        default=256 << 20, ge=1, description="Train it on so much text, spread over the corpus."
    )
    compare: tuple[str, ...] = Field(
        default=("smollm2",),
        description="Tokenizers to report bytes per token of, beside ours (openai-community/gpt2, say).",
    )


class ShapeSettings(Settings):
    """Which model is trained."""

    start: str | None = Field(
        default=None,
        description="Continue this checkpoint (folder, hub id, smollm2); unset: from scratch, by depth.",
    )
    depth: int = Field(
        default=6,
        ge=1,
        description="The dial: layers. Width is 64 × depth, and all the rest follows.",
    )
    family: Literal["llama", "qwen3"] = Field(default="llama", description="Architecture of a new model.")
    width: int | None = Field(default=None, ge=64, description="Instead of 64 × depth; a multiple of 64.")
    context: int = Field(default=512, ge=16, description="Longest text in tokens.")

    @field_validator("width")
    @classmethod
    def _whole_heads(cls, width: int | None) -> int | None:
        if width is not None and width % HEAD:
            raise ValueError(f"{width} is no multiple of {HEAD}")
        return width


class PretrainSettings(Settings):
    """How it is trained; what is unset follows from the model's size and the corpus."""

    epochs: float | None = Field(
        default=None,
        gt=0,
        description="Passes over the corpus; unset: so many that there are 20 tokens for each weight "
        "(Hoffmann et al. 2022), at most 4 (Muennighoff et al. 2023).",
    )
    learning_rate: float | None = Field(default=None, gt=0, description="Peak rate; unset: by width.")
    batch_tokens: int | None = Field(
        default=None, ge=1, description="Tokens of an update; unset: by the number of tokens."
    )
    optimizer: Literal["adamw", "muon"] = Field(
        default="muon", description="Muon for matrices, AdamW for the rest; or AdamW."
    )
    weight_decay: float = Field(default=0.1, ge=0, description="Decay of matrices.")
    warmup: float = Field(default=0.05, ge=0, le=1, description="Share of the updates with a rising rate.")
    schedule: Literal["cosine", "linear", "constant"] = Field(
        default="linear", description="How the rate falls after the warm-up, to a tenth."
    )
    dtype: Literal["bf16", "float32"] = Field(
        default="bf16", description="Arithmetic; master weights are always float32."
    )
    micro_batch_tokens: int = Field(
        default=8192, ge=1, description="Tokens at once: bounds memory, not results."
    )
    gradient_checkpointing: bool = Field(
        default=False, description=TrainSettings.model_fields["gradient_checkpointing"].description
    )
    sharded: bool = Field(default=False, description=TrainSettings.model_fields["sharded"].description)
    checkpoint_seconds: float = Field(
        default=120.0, ge=0, description=TrainSettings.model_fields["checkpoint_seconds"].description
    )
    track: Literal["trackio", "tensorboard", "wandb"] | None = Field(
        default=None, description="Also send metrics to this tracker (candor-lm[track])."
    )


class EvaluateSettings(Settings):
    """What is measured on the held-out documents."""

    bytes: int = Field(
        default=1_000_000, ge=1, description="Text to measure bits per byte on, in whole documents."
    )
    during: int = Field(
        default=65_536, ge=0, description="Text of it that is measured ten times while training; 0: none."
    )
    models: tuple[str, ...] = Field(
        default=(), description="Other models to measure on the same text, such as smollm2."
    )
    prompts: tuple[str, ...] = Field(
        default=("A: Hi! How was your day?\nB:", "The capital of France is", "The history of the"),
        description="Beginnings that the model continues as it learns.",
    )
    sample_tokens: int = Field(default=48, ge=1, description="Tokens of each continuation.")


class BaseRecipe(Settings):
    """Train a base model: corpus, tokenizer, weights, and what it has learned measured."""

    kind: Literal["base"] = "base"
    seed: int = Field(
        default=0, ge=0, lt=1 << 63, description="Fixes splits, repetitions, first weights and order."
    )
    corpus: CorpusSettings = CorpusSettings()
    tokenizer: TokenizerSettings = TokenizerSettings()
    model: ShapeSettings = ShapeSettings()
    train: PretrainSettings = PretrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
