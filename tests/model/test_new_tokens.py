"""New tokens leave everything that was there as it was, to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import AddedToken, Tokenizer
from transformers import PreTrainedTokenizerFast

from byte_models import byte_model, byte_tokenizer
from candor.core.errors import CandorError
from candor.model.load import load_model, load_tokenizer, save_checkpoint
from candor.model.tokens import INITS, NewToken, add_tokens, end_with, reserved_tokens
from tiny_models import tiny_model

START, END = NewToken("<|im_start|>", "hello"), NewToken("<|im_end|>", "w", like=2)
TEXTS = ["hello world, café 😀", "a<|end|>b", "123 + 456"]


def logits_of(model, ids):
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0]


def with_reserved(count: int = 3) -> PreTrainedTokenizerFast:
    tokenizer = byte_tokenizer(None)
    names = [f"<|reserved_special_token_{i}|>" for i in range(count)]
    tokenizer.add_tokens([AddedToken(name, special=True) for name in names], special_tokens=True)
    return tokenizer


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma3"])  # tied, untied, scaled embeddings
def test_logits_of_old_tokens_on_old_text_keep_their_bits(kind: str, init) -> None:
    tokenizer, model = byte_tokenizer(None), byte_model(kind)
    ids = [tokenizer(text).input_ids for text in TEXTS]
    before = [logits_of(model, row) for row in ids]
    old = model.get_input_embeddings().weight.shape[0]
    added = add_tokens(model, tokenizer, [START, END], init=init)
    assert [tokenizer(text).input_ids for text in TEXTS] == ids
    assert added.rows_after % 64 == 0
    for row, expected in zip(ids, before, strict=True):
        found = logits_of(model, row)
        assert found.shape[-1] == added.rows_after
        assert torch.equal(found[:, :old], expected)
        assert torch.isfinite(found).all()


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_the_same_holds_for_the_default_model(smollm2: str, dtype: str) -> None:
    tokenizer, model = load_tokenizer(smollm2), load_model(smollm2, dtype=dtype, device="cpu")
    ids = tokenizer("The capital of France is Paris. 12 + 30 = 42").input_ids
    before, old = logits_of(model, ids), len(tokenizer)
    added = add_tokens(model, tokenizer, [NewToken("<|user|>", "user"), NewToken("<|stop|>", "end")])
    assert list(added.fresh.values()) == [old, old + 1]
    assert torch.equal(logits_of(model, ids)[:, :old], before)


def test_new_tokens_are_read_as_one_and_survive_saving(tmp_path: Path) -> None:
    tokenizer, model = byte_tokenizer(None), byte_model()
    added = add_tokens(model, tokenizer, [START, END])
    end_with(model, tokenizer, "<|im_end|>")
    save_checkpoint(model, tokenizer, tmp_path / "model")
    again, loaded = load_tokenizer(str(tmp_path / "model")), load_model(str(tmp_path / "model"), dtype="auto")
    text = "<|im_start|>hello<|im_end|>"
    assert again(text).input_ids == tokenizer(text).input_ids
    assert again(text).input_ids[0] == added.fresh["<|im_start|>"]
    assert again.decode(again(text).input_ids, skip_special_tokens=True) == "hello"
    assert torch.equal(loaded.get_input_embeddings().weight, model.get_input_embeddings().weight)
    assert loaded.generation_config.eos_token_id == [added.fresh["<|im_end|>"], 2]
    assert again.eos_token == "<|im_end|>"
    assert again.pad_token == "<|pad|>"


def test_tokens_in_reserve_are_renamed_before_rows_are_made() -> None:
    tokenizer = with_reserved()
    model = tiny_model(vocab_size=len(tokenizer)).eval()
    spare, before = reserved_tokens(tokenizer), [tokenizer(text).input_ids for text in TEXTS]
    added = add_tokens(model, tokenizer, [START, END])
    assert added.renamed == dict(zip(("<|im_start|>", "<|im_end|>"), spare.values(), strict=False))
    assert not added.appended
    assert added.rows_after == added.rows_before
    assert list(reserved_tokens(tokenizer)) == ["<|reserved_special_token_2|>"]
    assert tokenizer("<|im_end|>").input_ids == [added.renamed["<|im_end|>"]]
    assert [tokenizer(text).input_ids for text in TEXTS] == before
    assert "<|reserved_special_token_0|>" not in tokenizer.get_vocab()


def test_reserve_can_be_left_alone() -> None:
    tokenizer = with_reserved()
    model = tiny_model(vocab_size=len(tokenizer)).eval()
    added = add_tokens(model, tokenizer, [START], reserved=False)
    assert list(added.appended) == ["<|im_start|>"]
    assert len(reserved_tokens(tokenizer)) == 3


def test_pieces_with_scores_can_be_renamed_too() -> None:
    from tokenizers import models

    core = Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0), ("<unused0>", -9.0)], unk_id=0))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>")
    added = add_tokens(tiny_model(), tokenizer, [NewToken("<|im_end|>", "a")])
    assert added.renamed == {"<|im_end|>": 2}
    assert tokenizer("a<|im_end|>a").input_ids == [1, 2, 1]


def test_what_is_a_token_already_is_left_as_it_is() -> None:
    tokenizer, model = byte_tokenizer(None), byte_model()
    before = model.get_input_embeddings().weight.clone()
    added = add_tokens(model, tokenizer, [NewToken("<|turn|>", "turn")])
    assert added.present == {"<|turn|>": 3}
    assert not added.fresh
    assert torch.equal(model.get_input_embeddings().weight, before)


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_rows_begin_as_asked(kind: str) -> None:
    def rows(init):
        tokenizer, model = byte_tokenizer(None), byte_model(kind)
        added = add_tokens(model, tokenizer, [START, END], init=init)
        return [
            (matrix, matrix[added.fresh["<|im_start|>"]], matrix[added.fresh["<|im_end|>"]])
            for matrix in (model.get_input_embeddings().weight, model.get_output_embeddings().weight)
        ]

    tokenizer = byte_tokenizer(None)
    old, hello = len(tokenizer), tokenizer("hello").input_ids
    for matrix, start, end in rows("mean"):
        assert torch.allclose(start, matrix[:old].mean(0), atol=1e-6)
        assert torch.equal(start, end)
    for matrix, start, _ in rows("described"):
        assert torch.allclose(start, matrix[hello].mean(0), atol=1e-6)
    for matrix, start, end in rows("reuse"):
        assert torch.equal(end, matrix[2])
        assert torch.allclose(start, matrix[:old].mean(0), atol=1e-6), "nothing like it: the mean"
    for _, start, end in rows("noise"):
        assert not torch.equal(start, end)


def test_a_token_without_text_is_refused() -> None:
    with pytest.raises(CandorError, match="has no text"):
        add_tokens(byte_model(), byte_tokenizer(None), [NewToken(" ", "nothing")])
