"""Supervised tuning on the \"I don't know\" data set, and the choice of how readily to refuse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from peft import PeftModel
from transformers import PreTrainedModel

from candor.core.files import read_json_lines
from candor.data.conversations import Conversation, Example, encode_all
from candor.data.types import Question
from candor.engine.local import LocalEngine
from candor.engine.prompts import set_template
from candor.engine.protocol import Engine, Message, Sampling
from candor.knowledge import ability
from candor.knowledge.blend import Trial, choose_alpha, set_blend
from candor.knowledge.build import conversation
from candor.knowledge.recipe import KnowledgeRecipe
from candor.knowledge.refusal import reply_to
from candor.model.load import load_model, load_tokenizer
from candor.train.adapters import merged_weights
from candor.train.loop import StepMetrics, fit

# A refusal is recognised from its first words; choosing α needs no more.
_REFUSAL_TOKENS = 10
_LONGEST_EXAMPLE = 1024
# The loss on held-out rows is for the log; it is measured about ten times, so a sample will do.
_VALIDATED = 48


def rehearsal_rows(engine: Engine, count: int, *, max_tokens: int = 60) -> list[dict[str, Any]]:
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
    """Tokenised training rows of a `messages` file."""
    conversations = [
        Conversation.model_validate({"messages": row["messages"], "weight": row.get("weight", 1.0)})
        for _, row in read_json_lines(path)
    ]
    return encode_all(conversations, tokenizer, max_tokens=_LONGEST_EXAMPLE)[0]


def tune(
    recipe: KnowledgeRecipe,
    data: Path,
    validation_data: Path,
    state: Path,
    validation: Sequence[tuple[Question, bool]],
    *,
    template: str | None,
    on_step: Callable[[StepMetrics], None] | None = None,
    on_trial: Callable[[Trial], None] | None = None,
) -> tuple[LocalEngine, dict[str, Any]]:
    """Tune the model and blend it to the user's limit on over-refusal.

    Args:
        recipe: settings.
        data: training rows, `messages` JSONL.
        validation_data: held-out rows for the loss.
        state: folder for the unfinished training state.
        validation: held-out questions, each with whether it was answered rightly before.
        template: the chat template's text, or None for the model's own.
        on_step: called after each update.
        on_trial: called after each blend tried.

    Returns:
        An engine with the tuned model, and what was done: steps, losses, α and its trials.
    """
    tokenizer = load_tokenizer(recipe.model.name, trust_remote_code=recipe.model.trust_remote_code)
    set_template(tokenizer, template)
    result = fit(
        _load(recipe),
        read_examples(data, tokenizer),
        recipe.tune,
        pad_id=int(tokenizer.pad_token_id or 0),  # type: ignore[arg-type]
        folder=state,
        on_step=on_step,
        evaluate=read_examples(validation_data, tokenizer)[:_VALIDATED],
    )
    tuned = result.weights
    if isinstance(result.model, PeftModel):
        tuned = merged_weights(result.model, tuned)
    record = {"steps": result.steps, "loss": result.loss, "validation_loss": result.validation}
    del result
    # Read again rather than kept: memory is shortest while training.
    model = _load(recipe)
    untuned = {name: weight.detach().clone() for name, weight in model.named_parameters() if name in tuned}
    engine = LocalEngine(model, tokenizer, name=recipe.model.name, max_rows=recipe.engine.max_rows)
    right = np.array([was_right for _, was_right in validation], dtype=bool)
    texts = [question.question for question, _ in validation]

    def measure(alpha: float) -> Trial:
        set_blend(model, untuned, tuned, alpha)
        replies = reply_to(engine, texts, recipe.probe, max_tokens=_REFUSAL_TOKENS)
        refused = np.array([reply.refused for reply in replies], dtype=bool)
        trial = Trial(alpha, _share(refused[right]), _share(refused[~right]))
        if on_trial:
            on_trial(trial)
        return trial

    alpha, trials = choose_alpha(measure, recipe.build.max_over_refusal)
    set_blend(model, untuned, tuned, alpha)
    return engine, {**record, "alpha": alpha, "trials": [asdict(trial) for trial in trials]}


def _load(recipe: KnowledgeRecipe) -> PreTrainedModel:
    return load_model(recipe.model.name, dtype="bfloat16", trust_remote_code=recipe.model.trust_remote_code)


def _share(refused: np.ndarray) -> float:
    return float(refused.mean()) if len(refused) else 0.0
