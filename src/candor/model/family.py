"""The Llama family: models that are computed by our own kernels, and where their weights are.

Llama, Mistral, Qwen 2 and 3 and Gemma 3 share one plan: norms, one attention, one gated MLP. Queries, keys
and values (and gate and up) are put beside each other in memory once, and the model's parameters become
views of that: one product instead of three, nothing held twice, and updates in place are seen at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn
from transformers import PreTrainedModel

_ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen3", "gemma3_text")


@dataclass(frozen=True)
class Block:
    """One decoder block's parameters; those that stand beside each other come in the order they do."""

    attention_norm: nn.Parameter
    mixed: tuple[nn.Parameter, ...]  # query, key, value, each [heads or groups · size, width]
    mixed_bias: tuple[nn.Parameter, ...]  # theirs, or none
    query_norm: nn.Parameter | None
    key_norm: nn.Parameter | None
    output: nn.Parameter
    output_bias: nn.Parameter | None
    after_attention: nn.Parameter | None  # Gemma norms what attention adds, and what the MLP adds
    mlp_norm: nn.Parameter
    both: tuple[nn.Parameter, ...]  # gate, up
    down: nn.Parameter
    after_mlp: nn.Parameter | None
    window: int  # tokens that a token sees, itself included; 0 for all
    kind: str  # of the rotation


@dataclass(frozen=True)
class Rotation:
    """How positions turn queries and keys."""

    kind: str  # "default", or how a context was extended
    theta: float
    frequencies: torch.Tensor  # [size / 2], radians a token
    scale: float  # of cosines and sines


class Family:
    """One model's blocks and what is common to them; make it with `family_of`.

    Attributes:
        gelu: the gate is GELU by tanh, not SiLU.
        unit: 1 where norms store the difference from 1 (Gemma), else 0.
        epsilon: of the norms.
        size: of a head.
        heads, groups: of queries, and of keys and values.
        scale: of the scores.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        config = model.config.get_text_config()
        decoder: Any = model.get_decoder()
        attention = decoder.layers[0].self_attn
        self.embed: nn.Module = decoder.embed_tokens
        self.norm: nn.Parameter = decoder.norm.weight
        self.head = cast(nn.Linear, model.get_output_embeddings())
        self.softcap: float | None = getattr(config, "final_logit_softcapping", None)
        self.gelu = config.model_type.startswith("gemma")
        self.unit = 1.0 if self.gelu else 0.0
        self.epsilon = float(config.rms_norm_eps)
        self.size = int(attention.head_dim)
        self.heads = attention.q_proj.out_features // self.size
        self.groups = attention.k_proj.out_features // self.size
        self.scale = float(attention.scaling)
        self.blocks = [_block(layer) for layer in decoder.layers]
        self.kinds = sorted({block.kind for block in self.blocks})
        self._rotary = decoder.rotary_emb

    def turns(
        self, like: torch.Tensor, positions: torch.Tensor, kind: str
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines of the rotations at some positions, each [positions, size] float32.

        Args:
            like: any tensor of the model's type and device.
            positions: [positions].
            kind: of a block.
        """
        arguments = (kind,) if self.gelu else ()
        turns = self._rotary(like[:1, None], positions[:, None], *arguments)
        cosine, sine = (part[:, 0].float().contiguous() for part in turns)
        return cosine, sine

    def rotation(self, kind: str) -> Rotation:
        """What `turns` is computed from."""
        rotary = self._rotary
        prefix = f"{kind}_" if self.gelu else ""
        parameters = rotary.config.rope_parameters
        parameters = parameters[kind] if self.gelu else parameters
        return Rotation(
            kind=str(parameters["rope_type"]),
            theta=float(parameters["rope_theta"]),
            frequencies=getattr(rotary, f"{prefix}inv_freq").float(),
            scale=float(getattr(rotary, f"{prefix}attention_scaling")),
        )


def family_of(model: PreTrainedModel) -> Family | None:
    """The model's weights as our kernels want them, or None where transformers has to compute it."""
    config = model.config.get_text_config()
    parameter = next(model.parameters())
    ours = (
        config.model_type in _ARCHITECTURES
        and parameter.device.type == "cpu"
        and parameter.dtype in (torch.bfloat16, torch.float32)
        and model.get_output_embeddings() is not None
        and all(p.dtype == parameter.dtype for p in model.parameters())
        and getattr(config, "hidden_act", None) in ("silu", None)
        and getattr(config, "hidden_activation", None) in ("gelu_pytorch_tanh", None)
        and all(type(part) is nn.Linear for part in _projections(model))
    )
    return Family(model) if ours else None


def _projections(model: PreTrainedModel) -> list[nn.Module]:
    return [
        part
        for name, part in model.get_decoder().named_modules()
        if name.endswith("_proj") and (".self_attn." in name or ".mlp." in name)
    ]


def _block(layer: Any) -> Block:
    attention, mlp = layer.self_attn, layer.mlp
    gemma = hasattr(layer, "pre_feedforward_layernorm")
    projections = [attention.q_proj, attention.k_proj, attention.v_proj]
    # Mistral reads its window from the configuration at each call.
    default = attention.config.sliding_window if attention.config.model_type == "mistral" else None
    window = getattr(attention, "sliding_window", default)
    block = Block(
        attention_norm=layer.input_layernorm.weight,
        mixed=tuple(part.weight for part in projections),
        mixed_bias=tuple(part.bias for part in projections if part.bias is not None),
        query_norm=attention.q_norm.weight if hasattr(attention, "q_norm") else None,
        key_norm=attention.k_norm.weight if hasattr(attention, "k_norm") else None,
        output=attention.o_proj.weight,
        output_bias=attention.o_proj.bias,
        after_attention=layer.post_attention_layernorm.weight if gemma else None,
        mlp_norm=(layer.pre_feedforward_layernorm if gemma else layer.post_attention_layernorm).weight,
        both=(mlp.gate_proj.weight, mlp.up_proj.weight),
        down=mlp.down_proj.weight,
        after_mlp=layer.post_feedforward_layernorm.weight if gemma else None,
        window=int(window or 0),
        kind=str(getattr(attention, "layer_type", None) or "full_attention"),
    )
    for parts in (block.mixed, block.mixed_bias, block.both):
        beside(parts)
    return block


@torch.inference_mode(False)  # else the parameters would become tensors that can't be trained
@torch.no_grad()
def beside(parameters: tuple[nn.Parameter, ...]) -> torch.Tensor | None:
    """The parameters one under the other in one tensor, which they become views of; None for none."""
    if len(parameters) < 2:
        return parameters[0].detach() if parameters else None
    base = parameters[0].untyped_storage().data_ptr()
    offset = parameters[0].storage_offset()
    apart = False
    for parameter in parameters:
        apart |= parameter.untyped_storage().data_ptr() != base or parameter.storage_offset() != offset
        offset += parameter.numel()
    if not apart:  # laid out before
        shape = (sum(len(p) for p in parameters), *parameters[0].shape[1:])
        return parameters[0].detach().as_strided(shape, parameters[0].stride())
    joined = torch.cat([parameter.detach() for parameter in parameters])
    start = 0
    for parameter in parameters:
        parameter.data = joined[start : start + len(parameter)]
        start += len(parameter)
    return joined
