"""The training loop: examples in, a tuned model out, with the same result however often it was killed.

An update is made of the same examples in the same order by any number of processes (see `plan`), so a run may
go on with another number than it was begun with, too: to the same weights, but for the order of additions.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from candor.core.errors import CandorError, enough_memory
from candor.core.memory import kept_memory, trim_heap
from candor.data.conversations import Example
from candor.model.batches import Batch, collate
from candor.model.first_use import compile_kernels
from candor.model.packing import NAME as PACKED
from candor.model.packing import packed_model
from candor.train.adapters import add_adapters, left_alone
from candor.train.distributed import Group, group_of
from candor.train.loss import Objective
from candor.train.masters import Masters
from candor.train.plan import fingerprint, kept, measures, plan
from candor.train.settings import TrainSettings
from candor.train.sharding import divide, divides, gather, own_copy, training_device, whole
from candor.train.state import load_state, save_state, unfinished

Part = TypeVar("Part")

_LESS_MEMORY = (
    "micro_batch_tokens, or set gradient_checkpointing = true; less is kept with lora_rank, with a larger "
    "share frozen, or under torchrun with sharded = true"
)


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
    on_validation: Callable[[int, float], None] | None = None,
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
        folder: where the state is kept from time to time; None: not kept. It is still there at the end:
            remove it (`state.clear_state`) once the result is safe, so that a kill in between loses little.
        on_step: called after each update, in the first process.
        evaluate: held-out examples whose loss is measured before the first update, at about every tenth
            of the run, and at the end.
        on_validation: called after each of these in the first process, with the updates made and the loss.

    Raises:
        CandorError: nothing to train on, the loss stopped being finite, the state in `folder` is of another
            run, or it can't be written.
    """
    if not plan(examples, settings):  # no update
        raise CandorError("no example has a supervised token, so there is nothing to train on")
    identity = _fingerprint(model, examples, settings)
    group = group_of(training_device() if settings.sharded else model.device)
    notes = unfinished(folder, identity, group, "other examples, settings or model")
    dtype = torch.bfloat16 if settings.dtype == "bf16" else torch.float32
    if model.device.type == "cpu":
        compile_kernels(dtype)
    model.to(dtype)  # type: ignore[arg-type]
    divided = divides(settings, group.size)
    # Dropout, where a model has any, is seeded by the step: there is no generator state to keep.
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            enough_memory(f"training, {settings.micro_batch_tokens:,} tokens at once", _LESS_MEMORY)
        )
        stack.enter_context(torch.random.fork_rng())
        stack.enter_context(kept_memory())
        base = own_copy(model) if divided else model
        trained = _prepared(base, settings, stack)
        run = _Run(trained, examples, evaluate, settings, pad_id, group, divided)
        if run.packs:
            stack.enter_context(packed_model(base))
        try:
            if folder is not None and notes is not None:
                run.restore(folder, notes)
            resumed_from = run.step
            if evaluate and run.step == 0:
                run.validate(on_validation)
            saved_at = time.monotonic()
            while run.step < run.steps:
                metrics = run.update()
                if on_step is not None and group.rank == 0:
                    on_step(metrics)
                done = run.step == run.steps
                if evaluate and (done or run.step % max(1, run.steps // 10) == 0):
                    run.validate(on_validation)
                due = time.monotonic() - saved_at >= settings.checkpoint_seconds
                if folder is not None and not done and group.agrees(due):
                    run.keep(folder, identity)
                    saved_at = time.monotonic()
            if divided:
                gather(base, model)
                trained = model
        finally:
            run.masters.close()
    trained.eval()
    return TrainResult(trained, run.step, run.loss, run.validation, resumed_from)


def _prepared(
    model: PreTrainedModel, settings: TrainSettings, stack: contextlib.ExitStack
) -> PreTrainedModel | PeftModel:
    """The model with what is to be trained; what is changed about it is undone when the stack ends."""
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        stack.callback(model.gradient_checkpointing_disable)
    if settings.lora_rank:
        return add_adapters(model, settings)
    stack.enter_context(left_alone(model, settings.frozen))
    return model


class _Run:
    """A run in progress: all that changes from step to step."""

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        examples: Sequence[Example],
        held_out: Sequence[Example],
        settings: TrainSettings,
        pad_id: int,
        group: Group,
        divided: bool,
    ) -> None:
        self._group, self._divided = group, divided
        self.step, self.loss = 0, math.nan
        self.validation: list[tuple[int, float]] = []
        self._model, self._examples, self._settings, self._pad_id = model, examples, settings, pad_id
        self._device = next(model.parameters()).device
        self._measures = measures(examples)
        sample = examples[int(self._measures.lengths.argmax())].token_ids
        self._objective = Objective(model, sample, apart=not divided)
        self.packs = self._objective.packs
        self._references = self._objective.references([*kept(examples), *kept(held_out)], pad_id=pad_id)
        if divided:
            whole_model = cast(PreTrainedModel, model)
            if self.packs:  # now: transformers does not switch the attention of a divided model
                whole_model.set_attn_implementation(PACKED)
            divide(whole_model, settings, group.size)
        self.masters = Masters(model, settings, group)
        # Every process gets its share of an update, however small that is.
        cut = min(settings.micro_batch_tokens, -(-settings.batch_tokens // group.size))
        settings = settings.model_copy(update={"micro_batch_tokens": cut})
        self._batches = plan(examples, settings, packs=self.packs)
        self.steps = len(self._batches)
        once = settings.model_copy(update={"epochs": 1.0, "max_steps": None})
        self._held_out = [
            self._prepare([held_out[i] for i in part])
            for update in plan(held_out, once, packs=self.packs)
            for part in update
        ]

    def _prepare(self, examples: Sequence[Example]) -> Batch:
        batch = collate(examples, pad_id=self._pad_id, packs=self.packs, references=self._references)
        return batch.to(self._device)

    def update(self) -> StepMetrics:
        """Make one update of the weights."""
        began = time.monotonic()
        self._model.train()
        torch.manual_seed(self._settings.seed * 1_000_003 + self.step)
        batches = self._batches[self.step]
        members = [i for part in batches for i in part]
        supervised = self._measures.supervised[members]
        weight = sum((self._measures.weights[members] * supervised).tolist())
        # FSDP takes the mean over processes where the sum is meant.
        share = weight / self._group.size if self._divided else weight
        summed = 0.0
        for part, counts in self._mine(batches):
            batch = self._prepare([self._examples[i] for i in part])
            summed += self._objective.backward(batch if counts else batch.weightless(), share)
        self.loss = self._group.total(summed) / weight
        if not math.isfinite(self.loss):
            raise CandorError(
                f"the training loss is no longer a number (step {self.step + 1} of {self.steps})",
                fix="lower the learning rate",
            )
        rate = learning_rate(self.step, self.steps, self._settings)
        norm = self.masters.step(rate)
        self.step += 1
        seconds = time.monotonic() - began
        return StepMetrics(
            step=self.step,
            steps=self.steps,
            loss=self.loss,
            learning_rate=rate,
            grad_norm=norm,
            tokens_per_second=int(self._measures.lengths[members].sum()) / seconds,
            supervised_tokens=int(supervised.sum()),
            seconds=seconds,
        )

    def validate(self, on_validation: Callable[[int, float], None] | None) -> None:
        """Measure the loss on the held-out examples, and tell it in the first process."""
        trim_heap()  # batches of many sizes leave holes in the heap
        self._model.eval()
        mine = [part if counts else part.weightless() for part, counts in self._mine(self._held_out)]
        weight = self._group.total(sum(float(part.weights.sum()) for part in mine))
        summed = self._group.total(sum(self._objective.loss(part) for part in mine))
        self.validation.append((self.step, summed / weight))
        if on_validation is not None and self._group.rank == 0:
            on_validation(*self.validation[-1])

    def _mine(self, parts: Sequence[Part]) -> list[tuple[Part, bool]]:
        """This process's parts, and whether each counts.

        Where the model is divided, all processes have to make equally many passes; who has no part left
        runs along with one that does not count.
        """
        rank, size = self._group.rank, self._group.size
        mine = [(part, True) for part in parts[rank::size]]
        if self._divided and len(mine) * size < len(parts):
            mine.append((parts[0], False))
        return mine

    def keep(self, folder: Path, fingerprint: str) -> None:
        """Save what is needed to go on from here; the first process writes."""
        notes = {"fingerprint": fingerprint, "loss": self.loss, "validation": self.validation}
        if self._group.rank == 0:
            save_state(folder, self.step, self.masters.tensors(), notes)
        elif self._divided:
            for _, tensor in self.masters.tensors():
                whole(tensor)  # the first process asks for it, and all have to

    def restore(self, folder: Path, notes: dict[str, Any]) -> None:
        """Go on from a saved state."""
        load_state(folder, self.masters.tensors())
        self.masters.publish()
        self.step, self.loss = int(notes["step"]), float(notes["loss"])
        self.validation = [(int(at), float(value)) for at, value in notes["validation"]]


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
    digest.update(fingerprint(examples))
    for name, parameter in model.named_parameters():
        sample = parameter.detach().flatten()[:64].float().cpu()
        digest.update(f"{name} {tuple(parameter.shape)}".encode() + sample.numpy().tobytes())
    return digest.hexdigest()
