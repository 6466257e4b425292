"""A byte-level vocabulary and a random model over it: its texts are full of characters in pieces."""

from __future__ import annotations

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from candor.engine.local import LocalEngine
from tiny_models import tiny_model

TEMPLATE = (
    "{% if tools %}<|turn|>tools {{ tools | tojson }}\n{% endif %}"
    "{% for m in messages %}<|turn|>{{ m.role }} {{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant {% endif %}"
)
SPECIAL = ["<|pad|>", "<|start|>", "<|end|>", "<|turn|>"]
_MERGES = [
    ("h", "e"),
    ("l", "l"),
    ("he", "ll"),
    ("hell", "o"),
    ("Ġ", "w"),
    ("Ã", "©"),
    ("ð", "Ł"),
    ("ðŁ", "ĺ"),
]


def byte_tokenizer(template: str | None = TEMPLATE) -> PreTrainedTokenizerFast:
    """Tokens 0 to 3 are special, then come all bytes, then some pairs: é is one, most of 😀 is one."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = [*SPECIAL, *alphabet, *("".join(pair) for pair in _MERGES)]
    core = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, _MERGES))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    core.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    core.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIAL])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<|pad|>", bos_token="<|start|>", eos_token="<|end|>"
    )
    tokenizer.chat_template = template
    return tokenizer


def byte_model(kind: str = "llama", context: int = 512) -> PreTrainedModel:
    """A random model over this vocabulary; always the same one."""
    size = len(byte_tokenizer())
    return tiny_model(kind, vocab_size=size, max_position_embeddings=context).eval()


def byte_engine(template: str | None = TEMPLATE, *, kind: str = "llama", context: int = 512) -> LocalEngine:
    """Both behind the local engine."""
    return LocalEngine(byte_model(kind, context), byte_tokenizer(template), name="bytes")
