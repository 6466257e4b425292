"""What a user can choose about training; every default suits supervised tuning of a small model."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from candor.core.recipe import Settings


class TrainSettings(BaseModel):
    """Settings of the training loop."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float = Field(
        default=2e-5, gt=0, description="Peak learning rate; ten times this suits LoRA."
    )
    epochs: float = Field(default=2.0, gt=0, description="Passes over the examples; fractions are allowed.")
    max_steps: int | None = Field(default=None, ge=1, description="Stop after this many updates, if sooner.")
    batch_tokens: int = Field(
        default=2048,
        ge=1,
        description="Tokens in one update (at least one example). A larger batch is steadier.",
    )
    micro_batch_tokens: int = Field(
        default=1024,
        ge=1,
        description="Tokens, padding included, pushed through the model at once: bounds memory, not results.",
    )
    warmup: float = Field(
        default=0.05, ge=0, le=1, description="Share of the steps over which the rate rises."
    )
    schedule: Literal["cosine", "linear", "constant"] = Field(
        default="cosine",
        description="How the learning rate falls, to a tenth of its peak, after the warm-up.",
    )
    optimizer: Literal["adamw", "muon"] = Field(
        default="adamw",
        description="muon: orthogonalised steps (Jordan et al. 2024) for the matrices between embedding and "
        "head, AdamW for the rest. For pretraining.",
    )
    weight_decay: float = Field(
        default=0.0, ge=0, description="The optimiser's decay; matrices only, not norms or biases."
    )
    betas: tuple[float, float] = Field(default=(0.9, 0.95), description="AdamW's two averaging rates.")
    grad_clip: float = Field(
        default=1.0, ge=0, description="Largest gradient norm of an update; 0 does not clip."
    )
    frozen: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of the layers, from the bottom, left as they are; above 0 the embeddings too.",
    )
    lora_rank: int = Field(default=0, ge=0, description="Rank of LoRA adapters; 0 trains all the weights.")
    lora_alpha: float = Field(
        default=32.0, gt=0, description="LoRA's scale: adapters are multiplied by alpha / rank."
    )
    lora_tokens: tuple[int, ...] = Field(
        default=(),
        description="With LoRA: tokens whose rows of the embedding and the head are trained too, because the "
        "base model never saw them. Chat tuning fills this in.",
    )
    dtype: Literal["bf16", "float32"] = Field(
        default="bf16",
        description="Arithmetic of the forward and backward pass; master weights are always float32.",
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description="Keep only what enters each layer and compute the rest twice: less memory, slower.",
    )
    sharded: bool = Field(
        default=False,
        description="Under torchrun: divide weights and optimiser state among the processes (FSDP2), for "
        "models that one device can't hold.",
    )
    seed: int = Field(
        default=0, ge=0, description="Fixes the order of the examples, adapters' start and dropout."
    )
    checkpoint_seconds: float = Field(
        default=120.0,
        ge=0,
        description="Save the state for a killed run this often (checked after each step); 0: each step.",
    )


_OF = TrainSettings.model_fields
# The rate that did best of those tried for 135 million weights (docs/LOG.md); LoRA wants ten times as much.
_RATE, _RATE_WEIGHTS, _LORA_RATE = 1e-4, 135e6, 10.0


class TuneSettings(Settings):
    """What stages that tune a checkpoint share; each adds what it calls a batch."""

    rate_power: ClassVar[float]  # how fast the rate falls with a model's size; found by trying two sizes

    learning_rate: float | None = Field(
        default=None, gt=0, description="Peak rate; unset: by the model's size, ten times as much for LoRA."
    )
    epochs: float = Field(default=1.0, gt=0, description=_OF["epochs"].description)
    max_steps: int | None = Field(default=None, ge=1, description=_OF["max_steps"].description)
    micro_batch_tokens: int = Field(default=4096, ge=1, description=_OF["micro_batch_tokens"].description)
    warmup: float = Field(default=0.05, ge=0, le=1, description=_OF["warmup"].description)
    schedule: Literal["cosine", "linear", "constant"] = Field(
        default="linear", description=_OF["schedule"].description
    )
    weight_decay: float = Field(default=0.0, ge=0, description=_OF["weight_decay"].description)
    frozen: float = Field(default=0.0, ge=0, lt=1, description=_OF["frozen"].description)
    lora_rank: int = Field(default=0, ge=0, description=_OF["lora_rank"].description)
    lora_alpha: float = Field(default=32.0, gt=0, description=_OF["lora_alpha"].description)
    dtype: Literal["bf16", "float32"] = Field(default="bf16", description=_OF["dtype"].description)
    gradient_checkpointing: bool = Field(default=False, description=_OF["gradient_checkpointing"].description)
    checkpoint_seconds: float = Field(default=120.0, ge=0, description=_OF["checkpoint_seconds"].description)

    def rate(self, weights: int) -> float:
        """The learning rate for a model of so many weights."""
        lora = _LORA_RATE if self.lora_rank else 1.0
        return self.learning_rate or lora * _RATE * (_RATE_WEIGHTS / weights) ** self.rate_power

    def optimiser(self, weights: int, seed: int, **more: object) -> TrainSettings:
        """Settings of the training loop for a model of so many weights; `more` are others of its fields."""
        shared = self.model_dump(include=set(_OF) - {"learning_rate", "seed"})
        return TrainSettings.model_validate(
            {**shared, "learning_rate": self.rate(weights), "seed": seed, **more}
        )
