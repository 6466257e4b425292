"""A random model over a vocabulary of words: w0, w1 and so on, with spaces between."""

from __future__ import annotations

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from candor.engine.local import LocalEngine
from tiny_models import SIZES, tiny_model


def word_engine() -> LocalEngine:
    """It knows no other words; those it takes for w1."""
    core = Tokenizer(models.WordLevel({f"w{i}": i for i in range(SIZES["vocab_size"])}, unk_token="w1"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # type: ignore[assignment]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="w0")
    return LocalEngine(tiny_model("llama").eval(), tokenizer, name="words")
