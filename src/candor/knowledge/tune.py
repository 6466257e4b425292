"""Supervised tuning on the \"I don't know\" data set, and the choice of how readily to refuse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from candor.core.errors import CandorError
from candor.core.files import read_json_lines
from candor.core.memory import return_freed_memory
from candor.data.conversations import Conversation, Example, encode, encode_all
from candor.data.types import Question
from candor.engine.gate import REFUSALS
from candor.engine.local import LocalEngine
from candor.engine.prompts import encode_prompt, set_template
from candor.engine.protocol import Engine, Message, Sampling
from candor.knowledge import ability
from candor.knowledge.anchors import prose_example
from candor.knowledge.build import conversation
from candor.knowledge.dial import final_states, margins, set_dial, turn
from candor.knowledge.probe import ask
from candor.knowledge.recipe import KnowledgeRecipe, ProbeSettings
from candor.knowledge.refusal import reply_to
from candor.model.load import load_model, load_tokenizer
from candor.train.adapters import merged
from candor.train.loop import StepMetrics, TrainResult, fit

# A refusal is recognised from its first words; counting refusals needs no more.
_REFUSAL_TOKENS = 10
# By so much the dial is turned back while too many refusals are still written, and so often at most.
_TURN, _TURNS = 0.125, 12
_LONGEST_EXAMPLE = 1024
# Of a reply that is to stay as it is, so many tokens are looked at.
_KEPT_TOKENS = 24
# A token there weighs about as much as one of an answer does once answers and refusals are balanced.
_KEPT_WEIGHT = 4.0
# The loss on held-out rows is for the log; it is measured about ten times, so a sample will do.
_VALIDATED = 48


def rehearsal_rows(engine: Engine, count: int, *, max_tokens: int = 96) -> list[dict[str, Any]]:
    """Plain instructions with the model's own whole replies, so that tuning changes nothing about them."""
    rows = ability.rehearsal_rows()[:count]
    prompts: list[list[Message]] = [[{"role": "user", "content": row.instruction}] for row in rows]
    results = engine.generate(prompts, Sampling(max_tokens=max_tokens))
    kept = []
    for row, prompt, result in zip(rows, prompts, results, strict=True):
        completion = result.completions[0]
        if completion.finish_reason == "stop" and row.usable(completion.text):
            kept.append(conversation(prompt, completion.text.strip(), row.id, "rehearsal"))
    return kept


def read_examples(path: Path, tokenizer: Any) -> list[Example]:
    """Tokenised training rows of a `messages` file. Rehearsed replies are kept, not imitated."""
    rows = [row for _, row in read_json_lines(path)]
    conversations = [
        Conversation.model_validate({"messages": row["messages"], "weight": row.get("weight", 1.0)})
        for row in rows
    ]
    examples, too_long = encode_all(conversations, tokenizer, max_tokens=_LONGEST_EXAMPLE)
    left = [row for place, row in enumerate(rows) if place not in set(too_long)]
    return [
        _kept(example) if row.get("label") == "rehearsal" else example
        for example, row in zip(examples, left, strict=True)
    ]


def _kept(example: Example) -> Example:
    """The example to be kept as expected, from where the reply begins."""
    ends = [place for place, learn in enumerate(example.supervised) if learn][:_KEPT_TOKENS]
    stop = ends[-1] + 1
    return Example(example.token_ids[:stop], example.supervised[:stop], weight=_KEPT_WEIGHT, keep=True)


def read_anchors(path: Path, tokenizer: Any) -> list[Example]:
    """Tokenised rows of `anchors.anchor_rows`."""
    examples: list[Example | None] = []
    for _, row in read_json_lines(path):
        if "text" in row:
            examples.append(prose_example(row["text"], tokenizer))
        else:
            conversation = Conversation.model_validate({"messages": row["messages"]})
            examples.append(_kept(encode(conversation, tokenizer)))
    return [example for example in examples if example is not None]


def tune(
    recipe: KnowledgeRecipe,
    data: Path,
    state: Path,
    validation: Sequence[tuple[Question, bool]],
    *,
    template: str | None,
    on_step: Callable[[StepMetrics], None] | None = None,
) -> tuple[LocalEngine, dict[str, Any]]:
    """Tune the model and set how readily it refuses to the user's limit on over-refusal.

    Args:
        recipe: settings.
        data: folder of the training rows (train.jsonl, keep.jsonl) and of held-out rows (validation.jsonl),
            the latter for the loss and for where answers don't begin.
        state: folder for the unfinished training state.
        validation: held-out questions, each with whether it was answered rightly before.
        template: the chat template's text, or None for the model's own.
        on_step: called after each update.

    Returns:
        An engine with the tuned model, and what was done: steps, losses, the dial, and what the validation
        questions say to it before and after.
    """
    tokenizer = _tokenizer(recipe, template)
    held_out = read_examples(data / "validation.jsonl", tokenizer)
    result = trained(recipe, data, state, template=template, on_step=on_step)
    record = {"steps": result.steps, "loss": result.loss, "validation_loss": result.validation}
    model = merged(result.model)
    del result
    return_freed_memory()
    engine = LocalEngine(model, tokenizer, name=recipe.model.name, max_rows=recipe.engine.max_rows)
    right = np.array([was_right for _, was_right in validation], dtype=bool)
    prompts = [encode_prompt(tokenizer, ask(question.question, recipe.probe)) for question, _ in validation]
    at, elsewhere = final_states(model, prompts, [len(prompt) - 1 for prompt in prompts])
    # Where answers go on is as much elsewhere as where questions do.
    starts = [example.supervised.index(True) - 1 for example in held_out]
    _, more = final_states(model, [example.token_ids for example in held_out], starts)
    token = refusal_token(tokenizer, recipe.probe)
    before = margins(model, at, token) > 0
    limit = recipe.build.max_over_refusal
    dial, direction = set_dial(model, token, at, torch.cat([elsewhere, more]), right, limit)
    questions = [question.question for question, _ in validation]

    def written() -> np.ndarray:
        replies = reply_to(engine, questions, recipe.probe, max_tokens=_REFUSAL_TOKENS)
        return np.array([reply.refused for reply in replies], dtype=bool)

    # What counts is what the model writes: logits in bfloat16 tie, and some refusals begin otherwise.
    after, turns = written(), 0
    while _share(after[right]) > limit and turns < _TURNS:
        dial = turn(model, dial, direction, -_TURN)
        after, turns = written(), turns + 1
    return engine, {
        **record,
        "dial": asdict(dial),
        "validation": {
            name: {"over_refusal": _share(refused[right]), "refused_unknown": _share(refused[~right])}
            for name, refused in (("as tuned", before), ("with the dial", after))
        },
    }


def trained(
    recipe: KnowledgeRecipe,
    data: Path,
    state: Path,
    *,
    template: str | None,
    on_step: Callable[[StepMetrics], None] | None = None,
) -> TrainResult:
    """The first half of `tune`, with the same arguments; under torchrun every process calls this."""
    tokenizer, chosen = _tokenizer(recipe, template), recipe.model
    held_out = read_examples(data / "validation.jsonl", tokenizer)
    examples = read_examples(data / "train.jsonl", tokenizer) + read_anchors(data / "keep.jsonl", tokenizer)
    return fit(
        load_model(chosen.name, dtype="bfloat16", trust_remote_code=chosen.trust_remote_code),
        examples,
        recipe.tune,
        pad_id=int(tokenizer.pad_token_id or 0),  # type: ignore[arg-type]
        folder=state,
        on_step=on_step,
        evaluate=held_out[:_VALIDATED],
    )


def _tokenizer(recipe: KnowledgeRecipe, template: str | None) -> PreTrainedTokenizerBase:
    tokenizer = load_tokenizer(recipe.model.name, trust_remote_code=recipe.model.trust_remote_code)
    set_template(tokenizer, template)
    return tokenizer


def refusal_token(tokenizer: Any, asking: ProbeSettings) -> int:
    """The token that refusals begin with behind a prompt, as training tokenises them."""
    rows = [conversation(ask("x", asking), text, "", "") for text in REFUSALS]
    first = set()
    for row in rows:
        example = encode(Conversation.model_validate({"messages": row["messages"]}), tokenizer)
        first.add(example.token_ids[example.supervised.index(True)])
    if len(first) != 1:
        raise CandorError(
            "this model's tokenizer begins the refusals with different tokens, so there is no one decision",
            fix="report this model; a template that puts a space before the answer may help",
        )
    return first.pop()


def _share(refused: np.ndarray) -> float:
    return float(refused.mean()) if len(refused) else 0.0
