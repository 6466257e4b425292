"""What a user can choose about training; every default suits supervised tuning of a small model."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


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
