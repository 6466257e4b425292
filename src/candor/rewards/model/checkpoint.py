"""Reward models on disk: ordinary checkpoints with one label, written and read."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from transformers import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from candor.core.errors import CandorError
from candor.model.load import DTYPES, default_device, load_tokenizer, loading, quiet, resolve, save_checkpoint
from candor.rewards.model.scorer import RewardModel


def save_reward(reward: RewardModel, folder: Path) -> None:
    """Write a checkpoint that `AutoModelForSequenceClassification` loads, with one label.

    transformers reads the reward at the last token that is not padding, so padding becomes a token that no
    text ends with, in the configuration and in the tokenizer.

    Raises:
        CandorError: transformers knows no sequence classification of this architecture, or the folder can't
            be written.
    """
    need_classifier(reward.model)
    config = copy.deepcopy(reward.model.config)
    config.num_labels = 1
    config.architectures = None
    tokenizer = copy.deepcopy(reward.tokenizer)
    padding = _padding(tokenizer, reward.encoder.last_tokens())
    if padding is not None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(padding)
    config.get_text_config().pad_token_id = padding
    config.pad_token_id = padding
    with torch.device("meta"):
        classifier: Any = AutoModelForSequenceClassification.from_config(config, dtype=reward.model.dtype)
    setattr(classifier, classifier.base_model_prefix, reward.model.base_model)
    classifier.score.weight = torch.nn.Parameter(reward.head[None].clone(), requires_grad=False)
    save_checkpoint(classifier, tokenizer, folder)


def need_classifier(model: PreTrainedModel) -> None:
    """See that the architecture has a checkpoint for reward models.

    Raises:
        CandorError: it has none.
    """
    if type(model.config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise CandorError(
            f"transformers has no sequence classification of {model.config.model_type}, so a reward model of "
            "it could not be saved",
            fix="use a model of another family, such as Llama, Qwen, Mistral, Gemma or GPT-2",
        )


def read_reward(
    spec: str, *, dtype: str = "auto", device: str | None = None, trust_remote_code: bool = False
) -> RewardModel:
    """Read a reward model's checkpoint, also one that another program trained.

    Args:
        spec: a folder or a hub id.
        dtype: arithmetic type; `auto`: what the checkpoint is stored in.
        device: a torch device; the GPU when there is one.
        trust_remote_code: run code that comes with the checkpoint.

    Raises:
        CandorError: there is none by that name, it can't be read, or it is no reward model.
    """
    place = need_reward(spec, trust_remote_code=trust_remote_code)
    with loading(spec), quiet():
        classifier: Any = AutoModelForSequenceClassification.from_pretrained(
            place,
            dtype=DTYPES.get(dtype, dtype),
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
        )
    if getattr(classifier.score, "bias", None) is not None:
        raise CandorError(
            f"{spec}: its head has a bias, which Candor's reward models have not",
            fix="a constant doesn't change which completion is better: remove it from the checkpoint",
        )
    head = classifier.score.weight.detach()[0].float()
    model = _causal(classifier).to(device or default_device())  # type: ignore[arg-type]
    tokenizer = load_tokenizer(spec, trust_remote_code=trust_remote_code)
    return RewardModel(model, tokenizer, head, name=spec)


def need_reward(spec: str, *, trust_remote_code: bool = False) -> str:
    """See, by its configuration alone, that there is a reward model by that name.

    Returns:
        What transformers loads it by.

    Raises:
        CandorError: there is none, or it is no reward model.
    """
    if not Path(spec).expanduser().exists() and spec.count("/") != 1:
        raise CandorError(
            f"{spec}: no reward model by that name",
            fix="name the folder of a run of `candor reward train`, a checkpoint's, or a hub id (org/name)",
        )
    place = resolve(spec)
    with loading(spec), quiet():
        config = AutoConfig.from_pretrained(place, trust_remote_code=trust_remote_code)
    names = config.architectures or []
    if not any("SequenceClassification" in name for name in names) or config.num_labels != 1:
        raise CandorError(
            f"{spec}: not a reward model ({', '.join(names) or 'no architecture'} with "
            f"{config.num_labels} labels)",
            fix="name a checkpoint of `candor reward train`, or a sequence classification with one label",
        )
    return place


def _causal(classifier: Any) -> PreTrainedModel:
    """The same decoder as the causal model that passes are made of; its head is never read."""
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(classifier.config, dtype=classifier.dtype)
    setattr(model, model.base_model_prefix, classifier.base_model)
    model.get_output_embeddings().weight = classifier.get_input_embeddings().weight
    return model


def _padding(tokenizer: PreTrainedTokenizerBase, ends: set[int]) -> int | None:
    """A token that no text ends with: the padding there is, or another special one; None without any."""
    special = [tokenizer.pad_token_id, tokenizer.unk_token_id, *sorted(tokenizer.all_special_ids)]
    return next((int(token) for token in special if token is not None and token not in ends), None)  # type: ignore[arg-type]
