"""How a question's numbers are cut into tokens is shown as it is."""

from __future__ import annotations

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from candor.model.load import load_tokenizer
from candor.reasoning.think.tokenised import in_one, parts_of


def by_threes() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer whose tokens are words and up to three digits, as Llama 3's numbers are."""
    pattern = Regex(r" ?[A-Za-z]+|[0-9]{1,3}| ?[^A-Za-z0-9 ]+| ")
    pieces = [*pre_tokenizers.ByteLevel.alphabet(), "What", "Ġis", "123", "456", "789"]
    merges = [
        ("W", "h"), ("Wh", "a"), ("Wha", "t"), ("i", "s"), ("Ġ", "is"),
        *(pair for a, b, c in ("123", "456", "789") for pair in ((a, b), (a + b, c))),
    ]  # fmt: skip
    pieces += ["Wh", "Wha", "is", "12", "45", "78"]
    core = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges))
    core.pre_tokenizer = pre_tokenizers.Sequence(  # type: ignore[assignment]
        [
            pre_tokenizers.Split(pattern, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    return PreTrainedTokenizerFast(tokenizer_object=core)


def test_borders_stand_between_tokens_of_a_number() -> None:
    parts = parts_of("What is 123456789 + 123?", by_threes())
    assert parts == ["123|456|789", "123"]
    assert not in_one(parts)
    assert in_one(parts[1:])


def test_smollm2_cuts_numbers_into_digits_and_words_into_pieces(smollm2: str) -> None:
    tokenizer = load_tokenizer(smollm2)
    assert parts_of("What is 123 + 4?", tokenizer) == ["1|2|3", "4"]
    letter, word = parts_of('How many times does the letter "r" occur in the word "strawberry"?', tokenizer)
    assert letter == "r"
    assert word.replace("|", "") == "strawberry"
    assert "|" in word


def test_a_question_without_numbers_or_quotes_has_no_parts() -> None:
    assert parts_of("What is", by_threes()) == []
