"""The training loop: examples in, a tuned model out, with the same result however often it was killed."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from candor.core.errors import CandorError
from candor.data.conversations import Example
from candor.train.adapters import add_adapters
from candor.train.batches import Batch, collate, plan
from candor.train.loss import Objective
from candor.train.masters import Masters
from candor.train.settings import TrainSettings
from candor.train.state import clear_state, load_state, read_notes, save_state


@dataclass(frozen=True)
class StepMetrics:
    """What happened in one update. Loss is the mean over supervised tokens, in nats, before the update."""

    step: int  # 1-based
    steps: int
    loss: float
    learning_rate: float
    grad_norm: float  # before clipping
    tokens_per_second: float  # all tokens of the examples, prompts included
    supervised_tokens: int
    seconds: float  # of this update


@dataclass(frozen=True)
class TrainResult:
    """A finished run. `model` is the model given, tuned; with LoRA it is wrapped (see `adapters.merged`)."""

    model: PreTrainedModel | PeftModel
    steps: int
    loss: float  # of the last update
    validation: list[tuple[int, float]] = field(default_factory=list)  # (after step, loss on `evaluate`)
    resumed_from: int = 0  # updates that an earlier, killed process had made


def fit(
    model: PreTrainedModel,
    examples: Sequence[Example],
    settings: TrainSettings,
    *,
    pad_id: int,
    folder: Path | None = None,
    on_step: Callable[[StepMetrics], None] | None = None,
    evaluate: Sequence[Example] = (),
    save: Callable[[PreTrainedModel | PeftModel], None] | None = None,
) -> TrainResult:
    """Train a causal language model on examples.

    All weights are trained, or LoRA adapters; see `TrainSettings`. The result depends on the model, the
    examples and the settings, not on interruptions: with a `folder`, the state is saved there from time to
    time, and the same call made again continues from it to bitwise the same weights on the same machine.

    Args:
        model: trained in place, on the device it is on.
        examples: see `candor.data.conversations.encode`.
        settings: how to train.
        pad_id: a valid token id to fill rows with; what the model makes of it is never used.
        folder: where the state of the unfinished run is kept; it is removed at the end. None: not kept.
        on_step: called after each update.
        evaluate: held-out examples whose loss is measured before the first update, at about every tenth
            of the run, and at the end.
        save: called with the result before the state is removed, so that a kill in between loses nothing.

    Raises:
        CandorError: nothing to train on, the loss stopped being finite, the state in `folder` is of another
            run, or it can't be written.
    """
    batches = plan(examples, settings)
    if not batches:
        raise CandorError("no example has a supervised token, so there is nothing to train on")
    fingerprint = _fingerprint(model, examples, settings)
    notes = None if folder is None else read_notes(folder)
    if notes is not None and notes.get("fingerprint") != fingerprint:
        raise CandorError(
            f"{folder}: the training state here is of a run with other examples, settings or model",
            fix="remove that folder to start over, or choose another one for this run",
        )
    device = next(model.parameters()).device
    model.to(torch.bfloat16 if settings.dtype == "bf16" else torch.float32)  # type: ignore[arg-type]
    trained = add_adapters(model, settings) if settings.lora_rank else model
    masters = Masters(trained, settings)
    step, validation, loss = 0, [], math.nan
    if folder is not None and notes is not None:
        load_state(folder, masters.tensors())
        masters.publish()
        step, loss = notes["step"], notes["loss"]
        validation = [(at, value) for at, value in notes["validation"]]
    resumed_from = step
    objective = Objective(trained)

    def prepare(indices: list[int], source: Sequence[Example]) -> Batch:
        chosen = [source[i] for i in indices]
        return collate(chosen, pad_id=pad_id, share_prefix=objective.shares_prefix).to(device)

    def held_out() -> float:
        trained.eval()
        once = settings.model_copy(update={"epochs": 1.0, "max_steps": None})
        parts = [prepare(part, evaluate) for update in plan(evaluate, once) for part in update]
        weight = sum(float(part.weights.sum()) for part in parts)
        return sum(objective.loss(part) for part in parts) / weight

    every = max(1, len(batches) // 10)
    if evaluate and step == 0:
        validation.append((0, held_out()))
    saved_at = time.monotonic()
    try:
        with torch.random.fork_rng():
            while step < len(batches):
                began = time.monotonic()
                trained.train()
                # Dropout, where a model has any, depends on the step alone: no generator state to keep.
                torch.manual_seed(settings.seed * 1_000_003 + step)
                parts = [prepare(part, examples) for part in batches[step]]
                weight = sum(float(part.weights.sum()) for part in parts)
                loss = sum(objective.backward(part, weight) for part in parts) / weight
                if not math.isfinite(loss):
                    raise CandorError(
                        f"the training loss is no longer a number (step {step + 1} of {len(batches)})",
                        fix="lower the learning rate",
                    )
                rate = learning_rate(step, len(batches), settings)
                norm = masters.step(rate)
                step += 1
                seconds = time.monotonic() - began
                if on_step is not None:
                    tokens = sum(part.tokens for part in parts)
                    supervised = sum(len(part.targets) for part in parts)
                    on_step(
                        StepMetrics(
                            step, len(batches), loss, rate, norm, tokens / seconds, supervised, seconds
                        )
                    )
                if evaluate and (step % every == 0 or step == len(batches)):
                    validation.append((step, held_out()))
                if (
                    folder is not None
                    and step < len(batches)
                    and time.monotonic() - saved_at >= settings.checkpoint_seconds
                ):
                    state: dict[str, Any] = {
                        "fingerprint": fingerprint,
                        "loss": loss,
                        "validation": validation,
                    }
                    save_state(folder, step, masters.tensors(), state)
                    saved_at = time.monotonic()
    finally:
        masters.close()
    trained.eval()
    if save is not None:
        save(trained)
    if folder is not None:
        clear_state(folder)
    return TrainResult(trained, step, loss, validation, resumed_from)


def learning_rate(step: int, steps: int, settings: TrainSettings) -> float:
    """The rate of the 0-based `step`: a linear rise over the warm-up, then the schedule, to a tenth."""
    rising = round(settings.warmup * steps)
    if step < rising:
        return settings.learning_rate * (step + 1) / (rising + 1)
    done = (step - rising) / max(1, steps - rising)
    share = {
        "constant": 1.0,
        "linear": 1 - 0.9 * done,
        "cosine": 0.55 + 0.45 * math.cos(math.pi * done),
    }[settings.schedule]
    return settings.learning_rate * share


def _fingerprint(model: PreTrainedModel, examples: Sequence[Example], settings: TrainSettings) -> str:
    """What a run is made of: settings, examples, and the model's shape with a sample of its weights."""
    digest = hashlib.sha256(settings.model_dump_json(exclude={"checkpoint_seconds"}).encode())
    for example in examples:
        digest.update(repr((example.token_ids, example.supervised, example.weight)).encode())
    for name, parameter in model.named_parameters():
        sample = parameter.detach().flatten()[:64].float().cpu()
        digest.update(f"{name} {tuple(parameter.shape)}".encode() + sample.numpy().tobytes())
    return digest.hexdigest()
