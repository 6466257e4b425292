"""The model that learns: its settings, and how it is loaded."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from candor.core.recipe import Settings
from candor.engine.prompts import set_template, template_text
from candor.model.load import load_model, load_tokenizer


class PolicyModel(Settings):
    """Which model learns."""

    name: str = Field(default="smollm2", description="Checkpoint folder, hub id, .gguf file, or smollm2.")
    template: str | None = Field(
        default=None, description="Chat template: `plain`, `chatml`, a Jinja file; unset: the model's own."
    )
    chat: bool | None = Field(
        default=None, description="Ask by messages; unset: if the model has a chat template."
    )
    dtype: Literal["bfloat16", "float32"] = Field(
        default="bfloat16", description="Arithmetic type; optimiser weights are float32 in any case."
    )
    trust_remote_code: bool = Field(default=False, description="Run code that comes with the checkpoint.")

    def load(self) -> PreTrainedModel:
        """The model."""
        return load_model(self.name, dtype=self.dtype, trust_remote_code=self.trust_remote_code)

    def load_tokenizer(self) -> PreTrainedTokenizerBase:
        """Its tokenizer, with the chosen template."""
        tokenizer = load_tokenizer(self.name, trust_remote_code=self.trust_remote_code)
        set_template(tokenizer, template_text(self.template))
        return tokenizer

    def asks_by_messages(self, tokenizer: PreTrainedTokenizerBase) -> bool:
        """Whether problems are asked by messages."""
        return bool(tokenizer.chat_template) if self.chat is None else self.chat
