"""The codec on tiny random models of each family, and its numbers against transformers' own."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import PreTrainedTokenizerFast

from candor.base.canonical import Canonical
from candor.base.codec import MAGIC, Codec
from candor.core.errors import CandorError
from tiny_models import tiny_model

FAMILIES = ["llama", "qwen2", "mistral", "qwen3", "gemma3"]
TEXT = "The quick brown fox — naïve, 12 years — jumps over the lazy dog.\n" * 9
DRAW = np.random.default_rng(0)
CONTENTS = {
    "text": TEXT.encode(),
    "nothing": b"",
    "a letter": b"x",
    "no text": DRAW.integers(0, 256, 500, dtype=np.uint8).tobytes(),
    "both": TEXT.encode() + b"\xff\xfe\x00" + TEXT.encode(),
    "special tokens": b"<s> and <|im_end|>\r\n\ttabs  and   spaces ",
    "no line end": ("é" * 700).encode(),
}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE of 300 tokens, so that any text comes back from it."""
    return make_tokenizer()


def make_tokenizer() -> PreTrainedTokenizerFast:
    core = ByteLevelBPETokenizer()
    core.train_from_iterator([TEXT], vocab_size=300, show_progress=False)
    return PreTrainedTokenizerFast(tokenizer_object=core._tokenizer, bos_token="a")


def model_of(kind: str, seed: int = 0) -> Canonical:
    return Canonical(tiny_model(kind, seed, vocab_size=300))


def make_codec(kind: str = "llama", seed: int = 0) -> Codec:
    return Codec(model_of(kind, seed), make_tokenizer())


@pytest.mark.parametrize("kind", FAMILIES)
def test_probabilities_are_those_of_transformers(kind: str):
    model, ids = tiny_model(kind, vocab_size=300), np.arange(5, 65)
    canonical = Canonical(model)
    canonical.room(1, 60)
    found = canonical.read(ids, np.zeros(60, np.int64), np.arange(60))
    ours = np.log(found.weights / found.totals[:, None].astype(np.float64))
    with torch.no_grad():
        theirs = model(input_ids=torch.from_numpy(ids)[None]).logits[0].log_softmax(-1).numpy()
    likely = theirs > -10  # below, whole numbers are coarse
    assert likely.sum() > 1000
    np.testing.assert_allclose(ours[likely], theirs[likely], atol=2e-3)


@pytest.mark.parametrize("kind", FAMILIES)
def test_numbers_depend_on_nothing_else_that_is_computed(kind: str):
    """The same text alone, token by token, in parts, and among others: the same weights, bit by bit."""
    canonical, ids = model_of(kind), np.arange(5, 65)
    slots, positions = np.zeros(60, np.int64), np.arange(60)
    canonical.room(1, 60)
    at_once = canonical.read(ids, slots, positions).weights
    canonical.room(1, 60)
    singly = [canonical.read(ids[i : i + 1], slots[:1], positions[i : i + 1]).weights for i in range(60)]
    assert np.array_equal(np.concatenate(singly), at_once)
    canonical.room(3, 60)
    among = []
    for begin in range(0, 60, 15):
        part = np.arange(begin, begin + 15)
        tokens = np.concatenate([ids[part] + 7, ids[part], ids[part] + 1])
        where = np.repeat([2, 1, 0], 15)
        among.append(canonical.read(tokens, where, np.tile(part, 3)).weights[15:30])
    assert np.array_equal(np.concatenate(among), at_once)


@pytest.mark.parametrize("content", CONTENTS)
def test_every_byte_comes_back(content: str):
    codec, data = make_codec(), CONTENTS[content]
    assert codec.decompress(codec.compress(data)) == data
    assert codec.decompress(codec.compress(data, chunk_tokens=7)) == data


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_family_gives_text_back(kind: str):
    codec = make_codec(kind)
    assert codec.decompress(codec.compress(TEXT.encode(), chunk_tokens=50)) == TEXT.encode()


HASH = """
import hashlib, sys
from test_codec import TEXT, make_codec
print(hashlib.sha256(make_codec("gemma3").compress(TEXT.encode(), chunk_tokens=50)).hexdigest())
"""


@pytest.mark.parametrize(
    "environment",
    [
        {"NUMBA_NUM_THREADS": "2" if numba.config.NUMBA_NUM_THREADS == 1 else "1"},
        {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "+fma,+avx2"},
    ],
    ids=["other threads", "an older processor"],
)
def test_files_are_the_same_with_other_threads_and_processors(tmp_path: Path, environment: dict[str, str]):
    """Code made for another processor has vectors of another width: the file must be the same."""
    here = Path(__file__).parent
    found = subprocess.run(
        [sys.executable, "-c", HASH],
        capture_output=True,
        text=True,
        check=True,
        env={
            **os.environ,
            **environment,
            "NUMBA_CACHE_DIR": str(tmp_path) if "NUMBA_CPU_NAME" in environment else "",
            "PYTHONPATH": f"{here}{os.pathsep}{here.parent}",
        },
    )
    mine = make_codec("gemma3").compress(TEXT.encode(), chunk_tokens=50)
    assert found.stdout.split()[-1] == hashlib.sha256(mine).hexdigest()


def test_another_model_is_named_and_gives_no_bytes():
    file = make_codec().compress(TEXT.encode())
    with pytest.raises(CandorError, match="another model"):
        make_codec(seed=1).decompress(file)


def test_a_damaged_file_never_gives_wrong_bytes():
    codec = make_codec()
    file = codec.compress(TEXT.encode(), chunk_tokens=64)
    for place in range(len(MAGIC), len(file), 7):
        broken = bytearray(file)
        broken[place] ^= 0x10
        with pytest.raises(CandorError):
            codec.decompress(bytes(broken))
    for length in (0, 3, 12, 60, len(file) - 1):
        with pytest.raises(CandorError):
            codec.decompress(file[:length])
    with pytest.raises(CandorError, match="behind its end"):
        codec.decompress(file + b"x")


def test_a_model_whose_arithmetic_is_unknown_is_refused():
    from transformers import GPT2Config, GPT2LMHeadModel

    with pytest.raises(CandorError, match="gpt2"):
        Canonical(GPT2LMHeadModel(GPT2Config(vocab_size=97, n_embd=32, n_layer=1, n_head=2)))
