"""A tokenizer of single characters, for models that know a few of them and nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

from candor.core.errors import CandorError, InputError
from candor.data.conversations import Example
from candor.engine.text import TokenText

END = "<|endoftext|>"
UNKNOWN = "<|unknown|>"  # what any other character becomes: left out silently, a question would be another


def character_tokenizer(alphabet: str, context: int) -> PreTrainedTokenizerFast:
    """An ordinary Hugging Face tokenizer with one token a character, and an end token.

    It is byte-level BPE without a merge, so that engines that know byte-level vocabularies know this one.
    Nothing is put before a text.

    Args:
        alphabet: printable ASCII; each character once, in any order.
        context: longest text that the model will read, for the tokenizer's notes.

    Raises:
        CandorError: the alphabet is empty, or has a character that is not one byte.
    """
    letters = sorted(set(alphabet))
    if not letters or not alphabet.isascii() or not alphabet.isprintable():
        raise CandorError(
            f"{alphabet!r} is no alphabet of printable ASCII characters",
            fix="give letters, digits and signs; each will be one token",
        )
    written = bytes_to_unicode()
    vocabulary = {name: number for number, name in enumerate([END, UNKNOWN])}
    vocabulary |= {written[ord(letter)]: number for number, letter in enumerate(letters, len(vocabulary))}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=UNKNOWN))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)  # type: ignore[assignment]
    core.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=END,
        pad_token=END,
        unk_token=UNKNOWN,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )


class Characters:
    """Texts as token ids, by a table: half a microsecond for a short one, where the tokenizer takes 27.

    Args:
        tokenizer: one of `character_tokenizer`, also loaded again from a checkpoint.

    Attributes:
        end: the end token.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        text = TokenText(tokenizer)
        ids = [token for token in range(len(tokenizer)) if not text.special(token)]
        self._ids = {text.bytes_of(token).decode("latin-1"): token for token in ids}
        self.end: int = tokenizer.eos_token_id  # type: ignore[assignment]

    def __call__(self, text: str) -> list[int]:
        """Token ids of a text.

        Raises:
            InputError: it has a character that the alphabet lacks.
        """
        try:
            return [self._ids[character] for character in text]
        except KeyError as error:
            raise InputError(
                f"{text!r} has the character {error.args[0]!r}, which is not in the model's alphabet",
                fix=f"write it with {''.join(sorted(self._ids))}",
            ) from error

    def example(self, question: str, completion: str) -> Example:
        """What is learned is the completion and the end token behind it."""
        asked, told = self(question), self(completion)
        supervised = (False,) * len(asked) + (True,) * (len(told) + 1)
        return Example((*asked, *told, self.end), supervised)

    def examples(self, pairs: Iterable[tuple[str, str]]) -> list[Example]:
        """An example for each question and its completion."""
        return [self.example(question, completion) for question, completion in pairs]
