"""Tokens that never came up in training are found by what training did to all of them alike."""

from __future__ import annotations

import torch

from byte_models import byte_model, byte_tokenizer
from candor.data.conversations import Example
from candor.model.untrained import untrained_rows
from candor.train.loop import fit
from candor.train.settings import TrainSettings

TEXT = "hello well, how we all hold hope while lower walls howl below our hollow hill "


def test_tokens_that_no_text_had_are_found() -> None:
    tokenizer, model = byte_tokenizer(None), byte_model()
    ids = tuple(tokenizer(TEXT * 2).input_ids)
    with torch.no_grad():  # as small as first weights are
        model.get_input_embeddings().weight.mul_(0.05)
    example = Example(ids, (True,) * len(ids))
    settings = TrainSettings(learning_rate=1e-2, epochs=150, batch_tokens=256, dtype="float32")
    fit(model, [example], settings, pad_id=0)
    found = untrained_rows(model, tokenizer)
    assert found.similarity is not None
    assert set(tokenizer.convert_tokens_to_ids(["ÿ", "À"])) <= set(found.known)  # bytes 0xFF and 0xC0
    trained = set(ids)
    never = [n for n in range(len(tokenizer)) if n not in trained and n not in found.known]
    unseen, seen = found.similarity[never], found.similarity[sorted(trained)]
    assert float((unseen[:, None] > seen[None]).float().mean()) > 0.95
    assert not set(found.found) & trained


def test_without_known_rows_nothing_is_claimed() -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({f"w{i}": i for i in range(97)}, unk_token="w1"))
    found = untrained_rows(byte_model_of_words(), PreTrainedTokenizerFast(tokenizer_object=core))
    assert found.similarity is None
    assert found.found == ()


def byte_model_of_words():
    from tiny_models import tiny_model

    return tiny_model()


def test_rows_without_a_name_are_known_to_be_unused() -> None:
    tokenizer, model = byte_tokenizer(None), byte_model()
    rows = len(tokenizer)
    model.resize_token_embeddings(rows + 8, mean_resizing=False)
    with torch.no_grad():
        model.get_input_embeddings().weight[rows:] = 0.3
    assert set(range(rows, rows + 8)) <= set(untrained_rows(model, tokenizer).known)
