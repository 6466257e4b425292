"""Every setting of a knowledge run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from candor.cluster.settings import ClusterSettings
from candor.core.recipe import Settings
from candor.knowledge.questions import QuestionSettings
from candor.train.settings import TrainSettings


class ModelSettings(Settings):
    """Which model, and how to ask it."""

    name: str = Field(default="smollm2", description="Checkpoint folder, hub id, .gguf file, or smollm2.")
    template: str | None = Field(
        default=None,
        description="Chat template: `plain` (base models), a Jinja file, or unset for the model's own.",
    )
    dtype: Literal["bfloat16", "float32", "float16"] = Field(
        default="bfloat16", description="Arithmetic of generation and scoring."
    )
    trust_remote_code: bool = Field(default=False, description="Run code that comes with the checkpoint.")


class EngineSettings(Settings):
    """What generates text."""

    engine: str = Field(
        default="local",
        description="`local`, `vllm` (if installed), or the URL of an OpenAI-compatible server that serves "
        "the same model.",
    )
    engine_model: str | None = Field(
        default=None, description="Model name at that URL; unset asks the server."
    )
    generator: str | None = Field(
        default=None, description="Model or URL that writes the questions; unset uses the model under test."
    )
    max_rows: int = Field(default=256, ge=1, description="Completions decoded at once (local, vllm).")


class DataSettings(Settings):
    """What the questions come from."""

    documents: Path | None = Field(
        default=None, description="Folder or file of documents; unset uses the embedded documents."
    )
    questions: Path | None = Field(
        default=None, description="JSONL of {question, answers, document?}; skips writing questions."
    )
    max_documents: int | None = Field(
        default=None, ge=1, description="Use at most so many documents, drawn by seed."
    )
    max_questions: int = Field(
        default=1600, ge=1, description="Probe at most so many questions, drawn by seed."
    )
    chunk_words: int = Field(
        default=120, ge=20, description="Longest passage that questions are written from."
    )
    top_up: bool = Field(
        default=True, description="Embedded documents only: add questions rendered from the packaged facts."
    )


class SplitSettings(Settings):
    """Shares of the documents held out; all questions of a document go to the same side."""

    validation: float = Field(default=0.15, gt=0, lt=1, description="Share for choosing thresholds.")
    test: float = Field(default=0.25, gt=0, lt=1, description="Share for the reported numbers.")


class ProbeSettings(Settings):
    """How questions are asked closed-book."""

    instruction: str = Field(default="Answer briefly.", description="Added to each question; may be empty.")
    samples: int = Field(default=8, ge=1, description="Sampled answers a question, beside the greedy one.")
    temperature: float = Field(default=0.7, gt=0, description="Temperature of the samples.")
    max_tokens: int = Field(default=24, ge=1, description="Longest answer in tokens.")
    layers: tuple[int, ...] | Literal["all"] = Field(
        default="all",
        description="Layers whose hidden state at the last prompt token is kept; 0 is the embedding.",
    )
    shard: int = Field(
        default=128, ge=1, description="Questions between two saves; a killed run repeats one shard."
    )


class BuildSettings(Settings):
    """How answers become an \"I don't know\" data set."""

    max_over_refusal: float = Field(
        default=0.10,
        ge=0,
        le=1,
        description="Highest share of right answers that may become refusals; met on the validation split.",
    )
    known_at_least: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Known: the greedy answer is right and so is this share of all answers.",
    )
    unknown_at_most: float = Field(
        default=0.0, ge=0, lt=1, description="Unknown: at most this share of all answers is right."
    )
    unsure: Literal["drop", "answer", "refuse", "greedy"] = Field(
        default="greedy",
        description="Questions between the two: left out, answered, refused, or answered if the greedy "
        "answer was right and refused if not.",
    )
    invented: int = Field(
        default=320,
        ge=0,
        description="Questions about invented things added to the training set, all refused.",
    )
    rehearsal: int = Field(
        default=86,
        ge=0,
        description="Plain instructions, with the model's own replies, so that refusing does not spread.",
    )
    anchors: int = Field(
        default=240,
        ge=0,
        description="Texts of the model's own making (requests with the first words of a reply, and some "
        "prose) on which tuning keeps what it expects.",
    )


class EvaluateSettings(Settings):
    """What is measured after tuning."""

    invented: int = Field(default=120, ge=0, description="Held-out questions about invented things.")
    p_true: bool = Field(default=True, description="Also ask the model whether its own answer is right.")
    ability: bool = Field(
        default=True, description="Measure perplexity on held-out text and plain instructions."
    )
    replicates: int = Field(default=1000, ge=100, description="Bootstrap resamples behind each interval.")


class KnowledgeRecipe(Settings):
    """Find a model's knowledge boundary and teach it to say \"I don't know\" beyond it."""

    kind: Literal["knowledge"] = "knowledge"
    seed: int = Field(default=0, ge=0, description="Fixes splits, samples, wordings and training order.")
    budget_minutes: float | None = Field(
        default=None, gt=0, description="Fit the run into about so many minutes by asking fewer questions."
    )
    model: ModelSettings = ModelSettings()
    engine: EngineSettings = EngineSettings()
    cluster: ClusterSettings = ClusterSettings()
    data: DataSettings = DataSettings()
    questions: QuestionSettings = QuestionSettings()
    split: SplitSettings = SplitSettings()
    probe: ProbeSettings = ProbeSettings()
    build: BuildSettings = BuildSettings()
    tune: TrainSettings = TrainSettings(learning_rate=6e-5, epochs=3, frozen=0.5, micro_batch_tokens=2048)
    evaluate: EvaluateSettings = EvaluateSettings()
