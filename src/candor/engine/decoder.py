"""One decode step of the Llama family on a CPU: fused projections, everything else in `kernels`.

For Llama, Mistral, Qwen 2 and 3 and Gemma 3 in bfloat16 or float32; any other model, device or type decodes
through transformers. The weights are the model's own: queries, keys and values (and gate and up) are put
beside each other in memory once, and the model's parameters become views of that, so nothing is held twice
and weights that are updated in place (by training) are seen here at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from candor.engine import kernels
from candor.engine.kernels import flat

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from candor.engine.slots import Slots

_ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen3", "gemma3_text")


@dataclass(frozen=True)
class _Layer:
    """One block's weights; norms as flat arrays over the model's own memory."""

    attention_norm: np.ndarray
    mixed: torch.Tensor  # [(heads + 2 groups) · size, width]
    mixed_bias: torch.Tensor | None
    query_norm: np.ndarray
    key_norm: np.ndarray
    output: torch.Tensor
    output_bias: torch.Tensor | None
    after_attention: np.ndarray | None  # Gemma norms what attention adds, and what the MLP adds
    mlp_norm: np.ndarray
    both: torch.Tensor  # gate, then up
    down: torch.Tensor
    after_mlp: np.ndarray | None
    window: int
    kind: str


class Decoder:
    """The decode step of one model; make it with `decoder_for`."""

    def __init__(self, model: PreTrainedModel) -> None:
        config = model.config.get_text_config()
        decoder: Any = model.get_decoder()
        self._rotary = decoder.rotary_emb
        self._embed = decoder.embed_tokens
        self._gemma = config.model_type.startswith("gemma")
        self._unit = 1.0 if self._gemma else 0.0
        self._epsilon = float(config.rms_norm_eps)
        attention = decoder.layers[0].self_attn
        self._size = int(attention.head_dim)
        self._heads = attention.q_proj.out_features // self._size
        self._groups = attention.k_proj.out_features // self._size
        self._scale = float(attention.scaling)
        self._norm = flat(decoder.norm.weight)
        self._head = cast(nn.Linear, model.get_output_embeddings())
        self._softcap = getattr(config, "final_logit_softcapping", None)
        self._layers = [_layer(block) for block in decoder.layers]
        self._kinds = {layer.kind for layer in self._layers}
        self._first = decoder.layers[0].self_attn.q_proj.weight

    @property
    def current(self) -> bool:
        """Whether the model still uses the weights that were laid out (`model.to` replaces them)."""
        return self._first.data_ptr() == self._layers[0].mixed.data_ptr()

    def step(self, tokens: torch.Tensor, slots: Slots) -> torch.Tensor:
        """Logits after one more token for each row.

        Args:
            tokens: [rows] ids.
            slots: the rows; their lengths are one more afterwards.

        Returns:
            [rows, vocabulary], in the model's type.
        """
        slots.extend()
        stream = self._embed(tokens)
        rows, width = stream.shape
        positions = torch.from_numpy(slots.positions)
        turns = {kind: self._turns(stream, positions, kind) for kind in self._kinds}
        x, normed = flat(stream), torch.empty_like(stream)
        mixed_out = stream.new_empty(rows, self._heads * self._size)
        activated = stream.new_empty(rows, self._layers[0].down.shape[1])
        norm = (self._unit, self._epsilon)
        update = x[:0]
        for number, layer in enumerate(self._layers):
            kernels.add_norm(x, update, layer.attention_norm, *norm, width, flat(normed))
            mixed = F.linear(normed, layer.mixed, layer.mixed_bias)
            prefix, prompts, own = (flat(part).reshape(2, -1) for part in slots.layer(number))
            prompt_capacity, own_capacity = slots.capacities
            kernels.attend(
                flat(mixed),
                layer.query_norm,
                layer.key_norm,
                *norm,
                *turns[layer.kind],
                prefix,
                prompts,
                slots.prompt_place,
                slots.prompt_length,
                prompt_capacity,
                own,
                slots.place,
                slots.length,
                own_capacity,
                self._groups,
                self._size,
                self._scale,
                layer.window,
                flat(mixed_out),
            )
            added = self._normed(F.linear(mixed_out, layer.output, layer.output_bias), layer.after_attention)
            kernels.add_norm(x, flat(added), layer.mlp_norm, *norm, width, flat(normed))
            both = F.linear(normed, layer.both)
            kernels.gated(flat(both), activated.shape[1], self._gemma, flat(activated))
            added = self._normed(F.linear(activated, layer.down), layer.after_mlp)
            update = flat(added)
        kernels.add_norm(x, update, self._norm, *norm, width, flat(normed))
        slots.length += 1
        logits = self._head(normed)
        return logits if self._softcap is None else self._softcap * torch.tanh(logits / self._softcap)

    def _turns(
        self, stream: torch.Tensor, positions: torch.Tensor, kind: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """The rotations' cosines and sines, [rows, size] float32."""
        arguments = (kind,) if self._gemma else ()
        turns = self._rotary(stream[:, None], positions[:, None], *arguments)
        cosine, sine = (part[:, 0].float().contiguous().numpy() for part in turns)
        return cosine, sine

    def _normed(self, values: torch.Tensor, weight: np.ndarray | None) -> torch.Tensor:
        if weight is None:
            return values
        out, line = torch.empty_like(values), flat(values)
        kernels.add_norm(line, line[:0], weight, self._unit, self._epsilon, values.shape[-1], flat(out))
        return out


def decoder_for(model: PreTrainedModel) -> Decoder | None:
    """A decoder for the model, or None where it has to decode through transformers."""
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
    if not ours:
        return None
    return Decoder(model)


def _projections(model: PreTrainedModel) -> list[nn.Module]:
    return [
        part
        for name, part in model.get_decoder().named_modules()
        if name.endswith(("_proj",)) and (".self_attn." in name or ".mlp." in name)
    ]


def _layer(block: Any) -> _Layer:
    attention, mlp = block.self_attn, block.mlp
    gemma = hasattr(block, "pre_feedforward_layernorm")
    projections = [attention.q_proj, attention.k_proj, attention.v_proj]
    none = flat(attention.q_proj.weight)[:0]
    # Mistral reads its window from the configuration at each call.
    default = attention.config.sliding_window if attention.config.model_type == "mistral" else None
    window = getattr(attention, "sliding_window", default)
    return _Layer(
        attention_norm=flat(block.input_layernorm.weight),
        mixed=_beside([part.weight for part in projections]),
        mixed_bias=_beside([part.bias for part in projections])
        if attention.q_proj.bias is not None
        else None,
        query_norm=flat(attention.q_norm.weight) if hasattr(attention, "q_norm") else none,
        key_norm=flat(attention.k_norm.weight) if hasattr(attention, "k_norm") else none,
        output=attention.o_proj.weight,
        output_bias=attention.o_proj.bias,
        after_attention=flat(block.post_attention_layernorm.weight) if gemma else None,
        mlp_norm=flat((block.pre_feedforward_layernorm if gemma else block.post_attention_layernorm).weight),
        both=_beside([mlp.gate_proj.weight, mlp.up_proj.weight]),
        down=mlp.down_proj.weight,
        after_mlp=flat(block.post_feedforward_layernorm.weight) if gemma else None,
        window=int(window or 0),
        kind=str(getattr(attention, "layer_type", None) or "full_attention"),
    )


@torch.no_grad()
def _beside(parameters: list[nn.Parameter]) -> torch.Tensor:
    """The parameters one under the other in one tensor, which they become views of."""
    base = parameters[0].untyped_storage().data_ptr()
    places, offset = [], parameters[0].storage_offset()
    for parameter in parameters:
        places.append(parameter.untyped_storage().data_ptr() == base and parameter.storage_offset() == offset)
        offset += parameter.numel()
    if all(places):  # laid out before
        shape = (sum(len(p) for p in parameters), *parameters[0].shape[1:])
        return parameters[0].detach().as_strided(shape, parameters[0].stride())
    joined = torch.cat([parameter.detach() for parameter in parameters])
    start = 0
    for parameter in parameters:
        parameter.data = joined[start : start + len(parameter)]
        start += len(parameter)
    return joined
