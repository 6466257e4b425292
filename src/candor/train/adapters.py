"""LoRA adapters: tune a small addition to frozen weights (Hu et al., 2021), through PEFT."""

from __future__ import annotations

from typing import cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel

from candor.train.settings import TrainSettings


def add_adapters(model: PreTrainedModel, settings: TrainSettings) -> PeftModel:
    """Wrap a model with fresh adapters on every linear layer but the head; the base is frozen.

    The adapters compute in the base's type; their float32 selves are the optimiser's masters, as for all
    trained weights. Their random start depends on `settings.seed` alone.
    """
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,  # type: ignore[arg-type]
        target_modules="all-linear",
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        return cast(PeftModel, get_peft_model(model, config, autocast_adapter_dtype=False))


def merged(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """An ordinary checkpoint's model: adapters, where there are any, are added into the weights."""
    if isinstance(model, PeftModel):
        return cast(PreTrainedModel, model.merge_and_unload())
    return model
