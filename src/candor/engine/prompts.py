"""From prompts to token ids, and which tokens end an answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from candor.core.errors import CandorError, InputError
from candor.data.conversations import chatml_template, plain_template, render

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedTokenizerBase

    from candor.engine.protocol import Prompt

_NAMED = {"plain": plain_template, "chatml": chatml_template}


def set_template(tokenizer: PreTrainedTokenizerBase, template: str | None) -> None:
    """Choose the chat template: None keeps the model's own, `plain` is for base models, else Jinja text.

    `chatml` is for models that have <|im_start|> and <|im_end|> as tokens.

    Raises:
        CandorError: `chatml` for a model that lacks them.
    """
    if template == "chatml" and "<|im_end|>" not in tokenizer.get_added_vocab():  # type: ignore[operator]
        raise CandorError(
            "this model has no <|im_start|> and <|im_end|> as tokens of their own",
            fix="add them first: candor chat add-tokens --model MODEL --out CKPT",
        )
    if template in _NAMED:
        tokenizer.chat_template = _NAMED[template](tokenizer)
    elif template:
        tokenizer.chat_template = template


def template_text(template: str | None) -> str | None:
    """A chat template as the user named it: `plain` and `chatml` as they are, a file's text, or None.

    Raises:
        InputError: there is no such file.
    """
    if template is None or template in _NAMED:
        return template
    path = Path(template)
    if not path.is_file():
        raise InputError(
            "no such chat template file", path=path, fix="give `plain`, `chatml` or a Jinja file"
        )
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CandorError(f"{path}: not UTF-8 text", fix="give a Jinja template") from error


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> list[int]:
    """Token ids of a prompt: raw text with the model's own special tokens, messages through its template.

    Token ids stay what they are.

    Raises:
        CandorError: messages for a model that has no chat template, messages that the template refuses, or
            a prompt with no tokens.
    """
    if isinstance(prompt, str):
        ids = cast("list[int]", tokenizer(prompt)["input_ids"])
    elif is_ids(prompt):
        ids = list(prompt)
    else:
        if not tokenizer.chat_template:
            raise no_template(getattr(tokenizer, "name_or_path", "this model"))
        text = render(cast("list[dict[str, str]]", list(prompt)), tokenizer, open_turn=True)
        ids = cast("list[int]", tokenizer(text, add_special_tokens=False)["input_ids"])
    if not ids:
        raise CandorError("an empty prompt: there is nothing to continue", fix="give at least one token")
    return ids


def encode_chat(
    tokenizer: PreTrainedTokenizerBase,
    messages: list[dict[str, Any]],
    *,
    tools: list[dict[str, Any]] | None = None,
    open_turn: bool = True,
) -> tuple[str, list[int]]:
    """Text and token ids of a conversation that came from outside, which a template may choke on.

    Args:
        tokenizer: with a chat template.
        messages: as templates expect them; tool calls and results may be among them.
        tools: descriptions of tools, for templates that know what to do with them.
        open_turn: end where the assistant's next words begin.

    Raises:
        CandorError: the template fails on these messages.
    """
    try:
        text = tokenizer.apply_chat_template(
            messages, tools=cast("Any", tools), tokenize=False, add_generation_prompt=open_turn
        )
    except Exception as error:  # templates are programs, and fail in every way that programs can
        raise CandorError(
            f"the chat template refused these messages ({type(error).__name__}: {error})",
            fix="give them in the order of roles and in the shape that this model was tuned on",
        ) from error
    ids = cast("list[int]", tokenizer(str(text), add_special_tokens=False, verbose=False)["input_ids"])
    return str(text), ids


def is_ids(prompt: Prompt) -> TypeGuard[Sequence[int]]:
    """Whether a prompt is token ids; a sequence of nothing counts as that."""
    return not isinstance(prompt, str) and all(isinstance(part, int) for part in prompt)


def encode_pairs(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt], completions: Sequence[str]
) -> list[tuple[list[int], list[int]]]:
    """Token ids of each prompt and of what comes after it, which gets no special tokens."""
    return [
        (
            encode_prompt(tokenizer, prompt),
            list(cast("list[int]", tokenizer(completion, add_special_tokens=False)["input_ids"])),
        )
        for prompt, completion in zip(prompts, completions, strict=True)
    ]


def no_template(model: str) -> CandorError:
    """The error for a base model that was asked a chat question, with the choices there are."""
    return CandorError(
        f"{model} has no chat template: it is a base model, and how to ask it a question is a choice",
        fix="use --template plain ('Question: … Answer:', right for base models), or --template FILE.jinja "
        "with the template that the model was tuned on; `candor chat` teaches it to converse",
    )


def end_tokens(configuration: GenerationConfig | None, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Every token that ends an answer: the model's, the tokenizer's and the template's.

    The template's is found by rendering an assistant turn and looking at the first special token behind it;
    checkpoints whose configuration forgets it are common, and they would never stop.
    """
    ends: set[int] = set()
    configured = getattr(configuration, "eos_token_id", None)
    ends.update(
        configured if isinstance(configured, list) else [configured] if configured is not None else []
    )
    if tokenizer.eos_token_id is not None:
        ends.add(cast("int", tokenizer.eos_token_id))
    if tokenizer.chat_template:
        turns: list[Any] = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "@@@"}]
        try:
            text = cast("str", tokenizer.apply_chat_template(turns, tokenize=False))
        except Exception:  # a template may want other turns, and fails in every way that programs can
            text = ""
        _, found, tail = text.rpartition("@@@")
        if found:
            special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
            # Text behind the turn that the vocabulary lacks ends nothing.
            special.discard(cast("int", tokenizer.unk_token_id))
            ids = cast("list[int]", tokenizer(tail, add_special_tokens=False)["input_ids"])
            ends.update(next(([token] for token in ids if token in special), []))
    return ends


def shared_prefix(prompts: Sequence[list[int]]) -> int:
    """Number of leading tokens that all prompts share, leaving at least one token to each."""
    if len(prompts) < 2:
        return 0
    low, high = min(prompts), max(prompts)  # in lexical order only the extremes can differ first
    limit = min(len(prompt) for prompt in prompts) - 1
    length = 0
    while length < limit and low[length] == high[length]:
        length += 1
    return length
