"""Tokens that a finished model has never seen: put into its vocabulary without disturbing the old ones.

Nothing that was there is changed: rows of the embedding and of the head keep their bits, so the model's
logits for old tokens on old text are what they were. Only the new rows need values, and which ones matters
until training has had its say (`benchmarks/chat_tokens.py`):

    mean        the mean of all old rows: expected as often as an average token (Hewitt 2021)
    described   the mean of the rows of a few words that say what the token is for
    reuse       the row of the token that had the nearest job before, such as the end of a document
    noise       a draw at the scale of the model's own first weights, as libraries do by default

Rows that a vocabulary keeps in reserve ("<|reserved_special_token_7|>", "<unused12>") are renamed before any
new row is made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from tokenizers import Tokenizer
from transformers import AddedToken, PreTrainedModel, PreTrainedTokenizerBase

from candor.core.errors import CandorError

Init = Literal["mean", "described", "reuse", "noise"]
INITS: tuple[Init, ...] = ("mean", "described", "reuse", "noise")
# Rows of the matrices come in multiples of this: products of odd sizes are slower on most hardware.
MULTIPLE = 64

_RESERVED = re.compile(r"[<\[]\|?(?:reserved|unused|extra|dummy|placeholder|control)[a-z_]*_?\d+\|?[>\]]")


@dataclass(frozen=True)
class NewToken:
    """A token to add.

    Attributes:
        text: how it is written.
        description: a few words for what it says, of which `described` takes the rows.
        like: id of an old token with the nearest job, whose row `reuse` takes; None: the mean.
    """

    text: str
    description: str
    like: int | None = None


@dataclass(frozen=True)
class AddedTokens:
    """What became of the tokens that were asked for: text to id each."""

    present: dict[str, int]  # were tokens of their own before; nothing was changed about them
    renamed: dict[str, int]  # took the place of a reserved token
    appended: dict[str, int]  # got a row of their own
    rows_before: int  # of the embedding
    rows_after: int

    @property
    def fresh(self) -> dict[str, int]:
        """Those whose rows were given new values."""
        return {**self.renamed, **self.appended}


def add_tokens(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tokens: Sequence[NewToken],
    *,
    init: Init = "described",
    reserved: bool = True,
    seed: int = 0,
) -> AddedTokens:
    """Give a model and its tokenizer new special tokens; both are changed in place.

    Args:
        model: its embedding and head grow where they have to, to a multiple of 64 rows.
        tokenizer: a fast one.
        tokens: what to add; what the vocabulary has as an added token stays as it is.
        init: values of the new rows, in the embedding and, where that is another matrix, in the head.
        reserved: rename tokens that the vocabulary keeps in reserve before making new ones.
        seed: of `noise`.

    Raises:
        CandorError: the tokenizer is not a fast one, or a token is empty.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise CandorError("this tokenizer is not a fast one, so tokens can't be added to it safely")
    if empty := [token for token in tokens if not token.text.strip()]:
        raise CandorError(f"a token to add has no text ({empty[0].description})", fix="give it a text")
    old = len(tokenizer)
    known = {str(added): number for number, added in tokenizer.added_tokens_decoder.items()}
    present = {token.text: known[token.text] for token in tokens if token.text in known}
    wanted = [token for token in tokens if token.text not in present]
    # Before the vocabulary changes: a description is read as the old model would.
    rows = {token.text: _rows_like(token, init, tokenizer) for token in wanted}
    spare = reserved_tokens(tokenizer) if reserved else {}
    renamed = dict(zip(spare, (token.text for token in wanted), strict=False))
    if renamed:
        _rename(tokenizer, renamed)
    new: list[str | AddedToken] = [
        AddedToken(token.text, special=True, normalized=False)
        for token in wanted
        if token.text not in renamed.values()
    ]
    tokenizer.add_tokens(new, special_tokens=True)
    ids = {token.text: int(tokenizer.convert_tokens_to_ids(token.text)) for token in wanted}  # type: ignore[arg-type]
    before = int(_matrix(model.get_input_embeddings()).shape[0])
    trained = _trained_rows(tokenizer, old, set(ids.values()))
    _grow(model, max(ids.values(), default=0) + 1)
    _fill(model, [(ids[text], chosen) for text, chosen in rows.items()], trained, init, seed)
    return AddedTokens(
        present=present,
        renamed={text: ids[text] for text in ids if text in renamed.values()},
        appended={text: ids[text] for text in ids if text not in renamed.values()},
        rows_before=before,
        rows_after=int(_matrix(model.get_input_embeddings()).shape[0]),
    )


def reserved_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """Tokens that a vocabulary keeps in reserve, by their names, in the order of their ids."""
    found = {text: number for text, number in tokenizer.get_vocab().items() if _RESERVED.fullmatch(text)}  # type: ignore[operator]
    return dict(sorted(found.items(), key=lambda item: item[1]))


def end_with(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, end: str) -> None:
    """Make a token the one that ends an answer, beside those that did before, for every library that asks.

    transformers and vLLM go by the generation configuration, others by the tokenizer's end token. Padding
    stays what it was, so that the new end token is never masked away as padding.
    """
    number = int(tokenizer.convert_tokens_to_ids(end))  # type: ignore[arg-type]
    configuration: Any = model.generation_config
    configured = configuration.eos_token_id
    ends = configured if isinstance(configured, list) else [] if configured is None else [configured]
    if not ends and tokenizer.eos_token_id is not None:
        ends = [int(tokenizer.eos_token_id)]  # type: ignore[arg-type]
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    configuration.eos_token_id = [number, *(one for one in ends if one != number)]
    configuration.pad_token_id = tokenizer.pad_token_id
    tokenizer.eos_token = end


# --- the vocabulary -----------------------------------------------------------------------------------


def _rename(tokenizer: PreTrainedTokenizerBase, names: Mapping[str, str]) -> None:
    """Give tokens other names; each keeps its id and becomes a special token."""
    core: Any = tokenizer.backend_tokenizer  # type: ignore[attr-defined]
    whole = json.loads(core.to_str())
    vocabulary = whole["model"]["vocab"]
    numbers = {old: core.token_to_id(old) for old in names}
    if isinstance(vocabulary, dict):
        for old, new in names.items():
            if old in vocabulary:
                vocabulary[new] = vocabulary.pop(old)
    else:  # pieces with their scores, by id
        whole["model"]["vocab"] = [[names.get(piece, piece), score] for piece, score in vocabulary]
    kept = [entry for entry in whole["added_tokens"] if entry["content"] not in names]
    new = [
        {
            "id": numbers[old],
            "content": text,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for old, text in names.items()
    ]
    whole["added_tokens"] = sorted([*kept, *new], key=lambda entry: entry["id"])
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(whole))  # type: ignore[attr-defined]


def _rows_like(token: NewToken, init: Init, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Old tokens whose mean row the token begins with; none: the mean of all."""
    if init == "described":
        ids: Any = tokenizer(token.description, add_special_tokens=False)["input_ids"]
        return list(ids)
    return [token.like] if init == "reuse" and token.like is not None else []


# --- the matrices -------------------------------------------------------------------------------------


def _matrix(module: Any) -> torch.Tensor:
    return module.weight


def _trained_rows(tokenizer: PreTrainedTokenizerBase, old: int, fresh: set[int]) -> torch.Tensor:
    """Ids that the old vocabulary uses, those in reserve left out."""
    unused = {*reserved_tokens(tokenizer).values(), *fresh}
    return torch.tensor([number for number in range(old) if number not in unused])


def _grow(model: PreTrainedModel, rows: int) -> None:
    """Have at least so many rows; old ones keep their bits."""
    have = int(_matrix(model.get_input_embeddings()).shape[0])
    if rows > have:
        model.resize_token_embeddings(-(-rows // MULTIPLE) * MULTIPLE, mean_resizing=False)
        made = _matrix(model.get_input_embeddings()).shape[0]
        with torch.no_grad():  # those behind the last token are never read, and must not be expected either
            for matrix in _matrices(model):
                matrix[have:made] = matrix[:have].float().mean(0).to(matrix.dtype)


def _matrices(model: PreTrainedModel) -> list[torch.Tensor]:
    """The embedding, and the head where it is another matrix."""
    inner, head = _matrix(model.get_input_embeddings()), model.get_output_embeddings()
    outer = None if head is None else _matrix(head)
    return [inner] if outer is None or outer.data_ptr() == inner.data_ptr() else [inner, outer]


@torch.no_grad()
def _fill(
    model: PreTrainedModel,
    rows: Sequence[tuple[int, Sequence[int]]],
    trained: torch.Tensor,
    init: Init,
    seed: int,
) -> None:
    """Values of new rows: the mean of the old rows that are named for each, or of all."""
    generator = torch.Generator().manual_seed(seed)
    scale = float(getattr(model.config.get_text_config(), "initializer_range", None) or 0.02)
    for matrix in _matrices(model):
        usable = trained[trained < matrix.shape[0]].to(matrix.device)
        mean = matrix[usable].float().mean(0)
        for number, like in rows:
            if init == "noise":
                value = scale * torch.randn(matrix.shape[1], generator=generator)
            else:
                value = matrix[list(like)].float().mean(0) if like else mean
            matrix[number] = value.to(matrix.device, matrix.dtype)
    head: Any = model.get_output_embeddings()
    bias = None if head is None else getattr(head, "bias", None)
    if bias is not None:
        for number, like in rows:
            bias[number] = bias[list(like)].mean() if like else bias[trained.to(bias.device)].mean()
