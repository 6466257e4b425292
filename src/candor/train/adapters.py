"""Which weights are trained: all, the upper layers', or LoRA adapters (Hu et al., 2021, through PEFT)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from candor.model.blocks import decoder_blocks
from candor.train.settings import TrainSettings


def add_adapters(model: PreTrainedModel, settings: TrainSettings) -> PeftModel:
    """Wrap a model with fresh adapters on every linear layer but the head; the base is frozen.

    The adapters compute in the base's type; their float32 selves are the optimiser's masters, as for all
    trained weights. Their random start depends on `settings.seed` alone. Rows of `settings.lora_tokens` are
    trained as they are, in the embedding and, where that is another matrix, in the head.
    """
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,  # type: ignore[arg-type]
        target_modules="all-linear",
        exclude_modules=_linear_below(model, settings.frozen) or None,
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
        trainable_token_indices=_rows(model, settings.lora_tokens) or None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        return cast(PeftModel, get_peft_model(model, config, autocast_adapter_dtype=False))


def _rows(model: PreTrainedModel, tokens: tuple[int, ...]) -> dict[str, list[int]]:
    """Rows to train, by the names of the modules that hold them; PEFT knows by itself which are tied."""
    inner, outer = model.get_input_embeddings(), model.get_output_embeddings()
    tied = outer is None or outer.weight is inner.weight  # type: ignore[union-attr]
    matrices = {id(module) for module in ((inner,) if tied else (inner, outer))}
    names = [name.rpartition(".")[2] for name, part in model.named_modules() if id(part) in matrices]
    return {name: list(tokens) for name in names} if tokens else {}


def _linear_below(model: PreTrainedModel, share: float) -> list[str]:
    """Names of the linear layers that are to stay as they are."""
    lower = {id(part) for block in _lower_blocks(model, share) for part in block.modules()}
    return [name for name, part in model.named_modules() if isinstance(part, nn.Linear) and id(part) in lower]


@contextmanager
def left_alone(model: PreTrainedModel, share: float) -> Iterator[None]:
    """Within the block, the lower blocks take no gradients, and the embeddings with them.

    Args:
        model: its parameters' flags are changed, and given back.
        share: of the decoder's blocks, from the bottom; at 0 nothing is changed.
    """
    parts = _lower_blocks(model, share)
    if parts:
        parts.append(model.get_input_embeddings())
    with without_gradients(p for part in parts for p in part.parameters()):
        yield


@contextmanager
def without_gradients(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Within the block these take no gradients, and no place in an optimiser."""
    changed = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in changed:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in changed:
            parameter.requires_grad_(True)


def _lower_blocks(model: PreTrainedModel, share: float) -> list[nn.Module]:
    """The blocks that a share is; the last one is never among them."""
    if not share:
        return []
    blocks = decoder_blocks(model)
    return blocks[: min(round(share * len(blocks)), len(blocks) - 1)]


def merged(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """An ordinary checkpoint's model: adapters, where there are any, are added into the weights."""
    if isinstance(model, PeftModel):
        return cast(PreTrainedModel, model.merge_and_unload())
    return model
