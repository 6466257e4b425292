"""How questions are made from documents."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class QuestionSettings(BaseModel):
    """How questions are made from documents."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_per_chunk: int = Field(default=4, ge=1, description="most pairs kept from one chunk, best first")
    candidates_per_chunk: int = Field(
        default=8, ge=1, description="most candidates of one chunk that the generator reads; bounds the cost"
    )
    written_per_span: int = Field(
        default=0,
        ge=0,
        description="questions the generator writes itself for each answer; for 1B parameters and more",
    )
    min_answer_logprob: float = Field(
        default=-1.2, description="least mean token log-probability of the answer in the round trip"
    )
    seed: int = Field(default=0, description="seed of the questions that the generator writes itself")
