"""Bits per byte are the model's own log-probabilities, and programs are what they say."""

from __future__ import annotations

import bz2
import lzma
import math
import sys

import pytest
import torch

from candor.base.evaluate import bits_per_byte, document_bits, programs
from candor.base.recipe import ShapeSettings
from candor.base.shape import new_model
from candor.base.tokenizer import train_tokenizer

TEXTS = ["the cat sat on the mat and the dog sat on the cat " * 6, "so it is", "a hen and a dog " * 3]
TOKENIZER = train_tokenizer(TEXTS, 280, 32)


def test_bits_of_a_text_are_its_improbability_in_windows() -> None:
    model = new_model(ShapeSettings(depth=1, context=32), TOKENIZER, 0)
    found = document_bits(model, TOKENIZER, TEXTS)
    for text, bits in zip(TEXTS, found, strict=True):
        ids, expected = TOKENIZER(text, add_special_tokens=False)["input_ids"], 0.0
        for begin in range(0, len(ids), 31):
            window = ids[begin : begin + 31]
            row = torch.tensor([[TOKENIZER.bos_token_id, *window]])
            logprobs = model(input_ids=row).logits[0].detach().log_softmax(-1)
            expected -= sum(float(logprobs[i, token]) for i, token in enumerate(window))
        assert bits == pytest.approx(expected / math.log(2), rel=1e-4)


def test_bits_per_byte_weigh_documents_by_their_bytes() -> None:
    found = bits_per_byte([100.0, 20.0], ["a" * 10, "é" * 10])
    assert found["value"] == pytest.approx(4.0)
    assert found["bytes"] == 30
    assert found["low"] <= 4.0 <= found["high"]


def test_programs_compress_the_texts_as_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "brotli", None)
    rows = {row["name"]: row for row in programs(TEXTS, ["the dog sat on the mat"] * 5, 110)}
    data = "\n\n".join(TEXTS).encode()
    assert rows["bzip2 -9"]["bytes"] == len(bz2.compress(data, 9))
    assert abs(rows["xz -9e"]["bytes"] - len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))) <= 8
    assert rows["xz -9e"]["bits_per_byte"] == pytest.approx(8 * rows["xz -9e"]["bytes"] / len(data))
    assert rows["brotli -11"] == {"name": "brotli -11", "note": "needs the package 'brotli'"}
    assert rows["xz having read the training text"]["bytes"] < rows["xz -9e"]["bytes"]
    assert rows["zstd -19 --long"]["bytes"] < len(data)
