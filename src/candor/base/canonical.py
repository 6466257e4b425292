"""What a model expects next, as whole numbers that are the same on every machine.

A decoder of the Llama family in float32, computed by `canonical_kernels`: how many texts, tokens or threads
are worked on together changes nothing in the numbers, and neither does the processor. Rotations come from
polynomials in float64 and frequencies from decimal arithmetic, since mathematics libraries differ in last
digits.
"""

from __future__ import annotations

import decimal
import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from candor.base.canonical_kernels import add_norm, attend, gate, keep, product, weigh
from candor.core.errors import CandorError
from candor.model.family import Block, Family, beside, family_of
from candor.model.kernels import flat
from candor.model.tiles import COLUMNS, ROWS

# Enters every model's hash: a change of the arithmetic makes older files another model's.
_ARITHMETIC = "candor canonical float32, 1"


@dataclass(frozen=True)
class Expected:
    """Weights of all tokens after each row, in proportion to their probabilities."""

    weights: np.ndarray  # [rows, vocabulary] uint32, none of them 0
    totals: np.ndarray  # [rows] uint64


class Canonical:
    """One model; make room with `room` and read tokens with `read`.

    Args:
        model: of the Llama family, float32, on the CPU.

    Raises:
        CandorError: its architecture is not known here.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        family = None if model.dtype != torch.float32 else family_of(model)
        if family is None:
            raise CandorError(
                f"{model.config.model_type} models can't be computed alike on every machine",
                fix="use a checkpoint of the Llama, Mistral, Qwen 2, Qwen 3 or Gemma 3 family",
            )
        self.context = int(model.config.get_text_config().max_position_embeddings)
        self._family = family
        self._embed = family.embed
        self._layers = [_Layer(block) for block in family.blocks]
        self._norm = flat(family.norm)
        self._head = _Product((family.head.weight,), () if family.head.bias is None else (family.head.bias,))
        self._rotations = {kind: _Rotation(family, kind) for kind in family.kinds}
        self._turns: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._kept: list[tuple[np.ndarray, np.ndarray]] = []

    def room(self, slots: int, tokens: int) -> None:
        """Forget all, and make room for so many texts of at most so many tokens each."""
        capacity = _up(tokens + COLUMNS, COLUMNS)  # tiles read on behind the last token
        places = slots * self._family.groups
        self._kept = [
            (
                np.zeros((places * self._family.size, capacity), np.float32),
                np.zeros((places * capacity, self._padded), np.float32),
            )
            for _ in self._layers
        ]
        self._turns = {kind: found.turns(tokens) for kind, found in self._rotations.items()}

    @property
    def token_bytes(self) -> int:
        """Memory that a token of room takes."""
        return len(self._layers) * self._family.groups * (self._family.size + self._padded) * 4

    @property
    def _padded(self) -> int:
        """A head's size as values are kept."""
        return _up(self._family.size, COLUMNS)

    @torch.inference_mode()
    def read(self, tokens: np.ndarray, slots: np.ndarray, positions: np.ndarray) -> Expected:
        """Read tokens, and say what is expected after each.

        Args:
            tokens: [rows].
            slots: [rows], the text that each belongs to.
            positions: [rows], its place there. All before it have been read, or are among the rows.
        """
        family, rows = self._family, len(tokens)
        unit, epsilon = family.unit, family.epsilon
        embedded = self._embed(torch.from_numpy(tokens)).numpy()
        stream = _rows(rows, embedded.shape[1])
        stream[:rows] = embedded
        normed, nothing = np.zeros_like(stream), np.empty((0, stream.shape[1]), np.float32)
        mixed = np.empty((rows, (family.heads + 2 * family.groups) * family.size), np.float32)
        attended = _rows(rows, family.heads * family.size)
        both = np.empty((rows, 2 * self._layers[0].width), np.float32)
        gated = _rows(rows, self._layers[0].width)
        update = nothing
        for layer, (keys, values) in zip(self._layers, self._kept, strict=True):
            add_norm(stream, update, layer.attention_norm, unit, epsilon, normed)
            layer.mixed(normed, mixed)
            keep(
                mixed,
                layer.query_norm,
                layer.key_norm,
                unit,
                epsilon,
                *self._turns[layer.kind],
                family.scale,
                slots,
                positions,
                family.heads,
                family.groups,
                keys,
                values,
            )
            attend(mixed, slots, positions, family.heads, family.groups, keys, values, layer.window, attended)
            update = self._after(layer.output, attended, layer.after_attention, stream)
            add_norm(stream, update, layer.mlp_norm, unit, epsilon, normed)
            layer.both(normed, both)
            gate(both, family.gelu, gated)
            update = self._after(layer.down, gated, layer.after_mlp, stream)
        add_norm(stream, update, self._norm, unit, epsilon, normed)
        logits = np.empty((rows, self._head.outputs), np.float32)
        self._head(normed, logits)
        found = Expected(np.empty(logits.shape, np.uint32), np.empty(rows, np.uint64))
        weigh(logits, float(family.softcap or 0.0), found.weights, found.totals)
        return found

    def _after(
        self, weights: _Product, inputs: np.ndarray, norm: np.ndarray, stream: np.ndarray
    ) -> np.ndarray:
        """What a sublayer adds to the stream."""
        update = np.zeros_like(stream)
        weights(inputs, update)
        if len(norm):
            plain = update.copy()
            add_norm(plain, plain[:0], norm, self._family.unit, self._family.epsilon, update)
        return update

    def fingerprint(self, tokenizer: PreTrainedTokenizerBase) -> bytes:
        """SHA-256 of everything that the numbers and the tokens depend on."""
        family = self._family
        digest = hashlib.sha256(_ARITHMETIC.encode())
        numbers = (
            family.gelu,
            family.unit,
            family.epsilon,
            family.size,
            family.heads,
            family.groups,
            family.scale,
            family.softcap,
            [(layer.window, layer.kind) for layer in self._layers],
            getattr(self._embed, "scalar_embed_scale", None),
        )
        digest.update(repr(numbers).encode())
        for kind in sorted(self._rotations):
            digest.update(self._rotations[kind].frequencies.tobytes())
            digest.update(repr(self._rotations[kind].scale).encode())
        digest.update(flat(self._embed.weight).data)  # type: ignore[arg-type]
        for block in family.blocks:
            for part in vars(block).values():
                for parameter in part if isinstance(part, tuple) else (part,):
                    if isinstance(parameter, torch.Tensor):
                        digest.update(flat(parameter).data)
        for parameter in (family.norm, family.head.weight, family.head.bias):
            if parameter is not None:
                digest.update(flat(parameter).data)
        digest.update(tokenizer.backend_tokenizer.to_str().encode())  # type: ignore[attr-defined]
        return digest.digest()


class _Product:
    """x · weightᵀ + bias, with the weights as `canonical_kernels.product` takes them."""

    def __init__(self, weights: tuple[Any, ...], biases: tuple[Any, ...]) -> None:
        weight, bias = beside(weights), beside(biases)
        assert weight is not None
        self.outputs, self._inputs = weight.shape
        panels = -(-self.outputs // COLUMNS)
        padded = torch.zeros(panels * COLUMNS, self._inputs)
        padded[: self.outputs] = weight
        by_panel = padded.view(panels, COLUMNS, self._inputs).transpose(1, 2).contiguous()
        self._panels = by_panel.view(panels * self._inputs, COLUMNS).numpy()
        self._bias = np.empty(0, np.float32) if bias is None else flat(bias)

    def __call__(self, x: np.ndarray, out: np.ndarray) -> None:
        product(x, self._panels, self._bias, out)


class _Layer:
    """One block's weights."""

    def __init__(self, block: Block) -> None:
        def line(weight: torch.nn.Parameter | None) -> np.ndarray:
            return np.empty(0, np.float32) if weight is None else flat(weight)

        self.attention_norm, self.mlp_norm = line(block.attention_norm), line(block.mlp_norm)
        self.after_attention, self.after_mlp = line(block.after_attention), line(block.after_mlp)
        self.query_norm, self.key_norm = line(block.query_norm), line(block.key_norm)
        self.mixed = _Product(block.mixed, block.mixed_bias)
        self.output = _Product((block.output,), () if block.output_bias is None else (block.output_bias,))
        self.both, self.down = _Product(block.both, ()), _Product((block.down,), ())
        self.width = block.down.shape[1]
        self.window, self.kind = block.window, block.kind


def _up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


def _rows(rows: int, width: int) -> np.ndarray:
    """Zeros, with rows up to the next multiple of a tile's."""
    return np.zeros((_up(rows, ROWS), width), np.float32)


class _Rotation:
    """Cosines and sines of one kind of layer.

    Plain frequencies (θ^(-2i/size)) are computed in decimal arithmetic. Those of extended contexts are
    transformers' own, whose last digit may depend on the machine: the fingerprint then tells.
    """

    def __init__(self, family: Family, kind: str) -> None:
        found = family.rotation(kind)
        self.scale = found.scale
        self.frequencies = found.frequencies.numpy()
        if found.kind in ("dynamic", "longrope"):
            raise CandorError(
                f"rotations of the kind {found.kind} change with a text's length and can't be computed here",
                fix="use a checkpoint whose context is not extended in this way",
            )
        if found.kind == "default":
            with decimal.localcontext() as context:
                context.prec = 40
                base = decimal.Decimal(found.theta)
                exact = [base ** (decimal.Decimal(-2 * i) / family.size) for i in range(family.size // 2)]
            self.frequencies = np.array([float(one) for one in exact], np.float32)

    def turns(self, positions: int) -> tuple[np.ndarray, np.ndarray]:
        """float32 [positions, size / 2] each, by sums, products and roundings of float64 only."""
        angles = np.arange(positions, dtype=np.float64)[:, None] * self.frequencies.astype(np.float64)
        whole = np.floor(angles * 0.15915494309189535 + 0.5)  # 1 / 2π
        # 2π in two parts, of which the first has few bits: its product with a whole number is exact.
        rest = (angles - whole * 6.28125) - whole * 0.0019353071795864769
        square = rest * rest
        sine, cosine = np.zeros_like(rest), np.zeros_like(rest)
        for power in range(20, -1, -1):  # Taylor's series, to 1e-15 within [-π, π]
            sign = -1.0 if power % 2 else 1.0
            cosine = cosine * square + sign / float(math.factorial(2 * power))
            sine = sine * square + sign / float(math.factorial(2 * power + 1))
        scale = np.float64(self.scale)
        return (cosine * scale).astype(np.float32), (sine * rest * scale).astype(np.float32)
