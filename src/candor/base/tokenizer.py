"""A tokenizer of one's own: byte-level BPE, with each digit a token.

Digits stand alone because sequences of several as one token hide what numbers are made of: 345 and 346 would
be unrelated, and a sum's columns would not line up (Singh and Strouse 2024, "Tokenization counts").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from candor.core.errors import CandorError
from candor.model.load import load_tokenizer

END = "<|endoftext|>"  # begins and ends every document


def train_tokenizer(
    texts: Iterable[str], vocabulary: int, context: int, *, length: int | None = None
) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE vocabulary from texts.

    Args:
        texts: read once.
        vocabulary: tokens, the 256 bytes and the end token included; fewer come out of little text.
        context: longest text that the model will read, for the tokenizer's notes.
        length: number of texts, for progress.
    """
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(  # type: ignore[assignment]
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    core.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer, length)
    end = core.token_to_id(END)
    # A prompt begins as a document does: what the model was trained on is what it is asked.
    core.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single=f"{END} $A", pair=f"{END} $A $B", special_tokens=[(END, end)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )


def spread(texts: Iterable[str], total: int, most: int) -> Iterator[str]:
    """About `most` bytes of `total`, in whole texts at equal distances."""
    share = min(1.0, most / max(total, 1))
    owed = 0.0
    for text in texts:
        owed += share
        if owed >= 1:
            owed -= 1
            yield text


def bytes_per_token(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> float:
    """UTF-8 bytes of texts for each token they become."""
    ids: Any = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    return sum(len(text.encode()) for text in texts) / max(1, sum(map(len, ids)))


def compared(
    texts: Sequence[str], ours: PreTrainedTokenizerBase, others: Sequence[str]
) -> list[dict[str, Any]]:
    """Bytes per token of our tokenizer and of others on the same texts; one that can't be had says why."""
    rows: list[dict[str, Any]] = [
        {"name": "ours", "vocabulary": len(ours), "bytes_per_token": bytes_per_token(texts, ours)}
    ]
    for name in others:
        try:
            other = load_tokenizer(name)
        except CandorError as error:
            rows.append({"name": name, "vocabulary": None, "bytes_per_token": None, "note": error.message})
        else:
            per_token = bytes_per_token(texts, other)
            rows.append({"name": name, "vocabulary": len(other), "bytes_per_token": per_token})
    return rows
