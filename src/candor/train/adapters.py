"""Which weights are trained: all, the upper layers', or LoRA adapters (Hu et al., 2021, through PEFT)."""

from __future__ import annotations

from typing import cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from candor.core.errors import CandorError
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
        exclude_modules=_linear_below(model, settings.frozen) or None,
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        return cast(PeftModel, get_peft_model(model, config, autocast_adapter_dtype=False))


def _linear_below(model: PreTrainedModel, share: float) -> list[str]:
    """Names of the linear layers that are to stay as they are."""
    count = frozen_layers(model, share)
    lower = {id(part) for layer in decoder_layers(model)[:count] for part in layer.modules()} if count else ()
    return [name for name, part in model.named_modules() if isinstance(part, nn.Linear) and id(part) in lower]


def freeze(model: PreTrainedModel, share: float) -> PreTrainedModel:
    """Leave the lower layers as they are, and the embeddings with them; return the model.

    Args:
        model: changed in place: whether its parameters require gradients.
        share: of the decoder's layers, from the bottom; at 0 everything is trained.
    """
    count = frozen_layers(model, share)
    if count:
        model.get_input_embeddings().requires_grad_(False)
        for layer in decoder_layers(model)[:count]:
            layer.requires_grad_(False)
    return model


def frozen_layers(model: PreTrainedModel, share: float) -> int:
    """How many layers a share is; at least the last one is always trained."""
    return min(round(share * layer_count(model)), layer_count(model) - 1)


def layer_count(model: PreTrainedModel) -> int:
    """Number of decoder layers."""
    return int(model.config.get_text_config().num_hidden_layers)


def decoder_layers(model: PreTrainedModel) -> list[nn.Module]:
    """The decoder's layers, from the bottom.

    Raises:
        CandorError: the architecture keeps them in an unusual way.
    """
    lists = [part for part in model.get_decoder().modules() if isinstance(part, nn.ModuleList)]
    found = next((part for part in lists if len(part) == layer_count(model)), None)
    if found is None:
        raise CandorError(
            "can't find this architecture's layers to leave the lower ones as they are",
            fix="train all of them: --set tune.frozen=0",
        )
    return list(found)


def merged(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """An ordinary checkpoint's model: adapters, where there are any, are added into the weights."""
    if isinstance(model, PeftModel):
        return cast(PreTrainedModel, model.merge_and_unload())
    return model
