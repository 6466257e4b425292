"""Tokens on disk come back as pieces that cover every token once and never cross documents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from candor.base.tokenizer import END, train_tokenizer
from candor.core.errors import CandorError, InputError
from candor.data import pieces as pieces_module
from candor.data.pieces import Pieces, write_tokens

TEXTS = [
    "the cat sat on the mat",
    "a",
    "the dog and the cat and the hen sat on the old red mat " * 3,
    "so it is",
]


@pytest.fixture(scope="module")
def tokenizer() -> object:
    return train_tokenizer(TEXTS, 300, 64)


@pytest.mark.parametrize("length", [1, 5, 16, 1000])
@pytest.mark.parametrize("shard_tokens", [10, 1 << 20])
def test_pieces_predict_every_token_of_every_document_once(
    tmp_path: Path, tokenizer, length: int, shard_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces_module, "_SHARD_TOKENS", shard_tokens)
    monkeypatch.setattr(pieces_module, "_TEXTS_AT_ONCE", 2)
    start = tokenizer.eos_token_id
    assert list(write_tokens(tmp_path, "train", TEXTS, tokenizer, start))[-1] == len(TEXTS)
    pieces = Pieces(tmp_path, "train", length, start)
    documents, current = [], []
    for piece, predicted in zip(pieces, pieces.lengths.tolist(), strict=True):
        assert len(piece.token_ids) == predicted + 1 <= length + 1
        assert piece.supervised == (False,) + (True,) * predicted
        if piece.token_ids[0] == start and not current:
            current = [start]
        assert piece.token_ids[0] == current[-1]
        current += piece.token_ids[1:]
        if current[-1] == start:
            documents.append(current[1:-1])
            current = []
    assert documents == [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
    assert pieces.counts.documents == len(TEXTS)
    assert pieces.counts.bytes == sum(len(text.encode()) for text in TEXTS)
    assert pieces.counts.tokens == pieces.lengths.sum()


def test_text_that_looks_like_the_end_token_stays_text(tmp_path: Path, tokenizer) -> None:
    start = tokenizer.eos_token_id
    list(write_tokens(tmp_path, "train", [f"before {END} after"], tokenizer, start))
    (piece,) = Pieces(tmp_path, "train", 100, start)
    assert start not in piece.token_ids[1:-1]
    assert tokenizer.decode(piece.token_ids[1:-1]) == f"before {END} after"


def test_the_same_tokens_have_the_same_fingerprint_and_others_another(tmp_path: Path, tokenizer) -> None:
    start = tokenizer.eos_token_id
    found = []
    for name, texts, length in (("a", TEXTS, 8), ("b", TEXTS, 8), ("c", TEXTS, 9), ("d", TEXTS[:3], 8)):
        list(write_tokens(tmp_path / name, "train", texts, tokenizer, start))
        found.append(Pieces(tmp_path / name, "train", length, start).fingerprint)
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_a_missing_split_or_a_damaged_file_is_told(tmp_path: Path, tokenizer) -> None:
    start = tokenizer.eos_token_id
    with pytest.raises(CandorError, match="no tokens of the split 'train'"):
        Pieces(tmp_path, "train", 8, start)
    list(write_tokens(tmp_path, "train", TEXTS, tokenizer, start))
    np.save(tmp_path / "train-00000.npy", np.zeros(3, np.uint16))
    with pytest.raises(InputError, match="not as the index says"):
        Pieces(tmp_path, "train", 8, start)
    (tmp_path / "train-00000.npy").write_bytes(b"")
    with pytest.raises(InputError, match="can't be read"):
        Pieces(tmp_path, "train", 8, start)
