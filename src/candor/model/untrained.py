"""Which tokens of a vocabulary a model has never been trained on.

A vocabulary is often made from other text than a model: some of its tokens never came up ("glitch tokens"),
and rows were padded or kept in reserve. Training still moves such rows, all in the same direction: nothing
ever wants them, so every softmax pushes them away. They end up alike, and unlike the rest. So the mean
direction of rows that are known to be unused is an indicator for all others (Land and Bartolo 2024, "Fishing
for Magikarp"): rows without a name, tokens in reserve, and bytes that no UTF-8 text has.

Tuning with LoRA leaves them as they are, so a chat token among them would never be learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.convert_slow_tokenizer import bytes_to_unicode

from candor.model.tokens import reserved_tokens

# Bytes that stand in no UTF-8 text, as byte-level vocabularies and SentencePiece write them.
_NO_UTF8 = (0xC0, 0xC1, *range(0xF5, 0x100))
_FEWEST = 4  # rows known to be unused, for a direction to be worth anything


@dataclass(frozen=True)
class UntrainedRows:
    """What was found.

    Attributes:
        known: rows that can't have been trained: without a name, in reserve, no UTF-8.
        found: further tokens whose rows look like those, by id, the most alike first.
        similarity: [rows], cosine of each row to the mean of the known ones, after the mean of all rows is
            taken off; None where too few are known.
        threshold: of the similarity: what nine in ten of the known ones reach.
    """

    known: tuple[int, ...]
    found: tuple[int, ...]
    similarity: torch.Tensor | None
    threshold: float | None


def untrained_rows(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> UntrainedRows:
    """Look for tokens that were never trained, in the matrix that makes logits."""
    head: Any = model.get_output_embeddings()
    holder: Any = head if head is not None else model.get_input_embeddings()
    matrix = holder.weight.detach().float().cpu()
    known = sorted(_known(tokenizer, matrix.shape[0]))
    if len(known) < _FEWEST:
        return UntrainedRows(tuple(known), (), None, None)
    rows = matrix - matrix.mean(0)
    rows = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)
    direction = rows[known].mean(0)
    similarity = rows @ (direction / direction.norm().clamp(min=1e-12))
    threshold = float(similarity[known].quantile(0.1))
    alike = similarity >= threshold
    alike[known] = False
    found = alike.nonzero().flatten()
    order = similarity[found].argsort(descending=True)
    return UntrainedRows(tuple(known), tuple(found[order].tolist()), similarity, threshold)


def _known(tokenizer: PreTrainedTokenizerBase, rows: int) -> set[int]:
    vocabulary: dict[str, int] = tokenizer.get_vocab()  # type: ignore[assignment, operator]
    named = set(vocabulary.values())
    found = {number for number in range(rows) if number not in named}
    found |= set(reserved_tokens(tokenizer).values())
    alphabet = bytes_to_unicode()
    for byte in _NO_UTF8:
        for name in (f"<0x{byte:02X}>", alphabet[byte]):
            # In a vocabulary of characters "ÿ" is the letter: only where all bytes are there.
            if name in vocabulary and (name.startswith("<") or alphabet[0] in vocabulary):
                found.add(vocabulary[name])
    return {number for number in found if number < rows}
