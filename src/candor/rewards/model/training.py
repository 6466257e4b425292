"""Training a reward model: comparisons in, a reward model out, the same one however often it was killed.

The parts are the trainer's (`candor.train`): float32 masters, learning rates, adapters, the state on disk. An
update has a fixed number of comparisons; inside it they are cut into passes that bound memory, and as the
loss is normalised over the whole update, the cut does not change the result. Under torchrun each process
takes its share of the passes.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os.path import commonprefix
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from candor.core.errors import CandorError, enough_memory
from candor.core.memory import kept_memory
from candor.model.batches import cut
from candor.model.first_use import compile_kernels
from candor.model.packing import packed_model
from candor.rewards.model.encoding import Encoder
from candor.rewards.model.objective import Compared, Loss, PreferenceObjective, Scored
from candor.rewards.model.pairs import Pair, Preferences, check_kind
from candor.rewards.model.scorer import RewardModel
from candor.rewards.model.settings import RewardSettings
from candor.train.adapters import add_adapters, left_alone, merged, without_gradients
from candor.train.distributed import Group, group_of
from candor.train.loop import learning_rate
from candor.train.masters import Masters
from candor.train.settings import TrainSettings
from candor.train.state import load_state, save_state, unfinished


@dataclass(frozen=True)
class RewardStep:
    """What happened in one update; loss and accuracy are of its comparisons before it."""

    step: int  # 1-based
    steps: int
    loss: float  # nats a comparison
    accuracy: float
    learning_rate: float
    grad_norm: float
    tokens_per_second: float  # of all texts, prompts included
    seconds: float


def train_reward(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Preferences,
    settings: RewardSettings | None = None,
    *,
    folder: Path | None = None,
    on_step: Callable[[RewardStep], None] | None = None,
    name: str = "",
) -> RewardModel:
    """Train a reward model on pairs, or on labelled completions.

    Args:
        model: a causal language model, trained in place; with LoRA its adapters are added in at the end.
        tokenizer: its tokenizer; prompts of messages need a chat template.
        pairs: all of one kind; every one is learned from, whatever it says.
        settings: how to train.
        folder: where the state of an unfinished training is kept; the same call goes on from there. Remove it
            (`train.state.clear_state`) once the result is safe.
        on_step: called after each update, in the first process.
        name: of the reward model.

    Raises:
        CandorError: there is nothing to learn from, every text is too long, the loss stopped being a number,
            or the state in `folder` is of another run.
    """
    settings = settings or RewardSettings()
    compared, _ = encode_preferences(tokenizer, pairs, settings.max_tokens)
    weights = sum(parameter.numel() for parameter in model.parameters())
    optimiser = settings.optimiser(weights, settings.seed)
    dtype = torch.bfloat16 if optimiser.dtype == "bf16" else torch.float32
    group = group_of(model.device)
    if model.device.type == "cpu":
        compile_kernels(dtype)
    model.to(dtype)  # type: ignore[arg-type]
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            enough_memory(
                f"training a reward model, {settings.micro_batch_tokens:,} tokens at once",
                "micro_batch_tokens, or set gradient_checkpointing = true or lora_rank",
            )
        )
        stack.enter_context(torch.random.fork_rng())
        stack.enter_context(kept_memory())
        if optimiser.gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
            stack.callback(model.gradient_checkpointing_disable)
        stack.enter_context(without_gradients(_unread_head(model)))
        stack.enter_context(left_alone(model, 0.0 if optimiser.lora_rank else optimiser.frozen))
        trained = add_adapters(model, optimiser) if optimiser.lora_rank else model
        scored = Scored(trained, _first_head(model, settings))
        pad_id = int(tokenizer.pad_token_id or 0)  # type: ignore[arg-type]
        run = _Training(scored, model, compared, settings, optimiser, pad_id, group)
        stack.callback(run.masters.close)
        if run.switches:
            stack.enter_context(packed_model(model))
        run.go(folder, on_step)
        whole = merged(trained)
    return RewardModel(whole, tokenizer, scored.head, name=name)


def encode_preferences(
    tokenizer: PreTrainedTokenizerBase, pairs: Preferences, max_tokens: int
) -> tuple[list[Compared], int]:
    """Comparisons as token ids, and how many were left out because a text is longer than `max_tokens`.

    Raises:
        CandorError: none is left, or they are of both kinds.
    """
    check_kind(pairs)
    encoder = Encoder(tokenizer)
    found = []
    for one in pairs:
        both = [encoder(one.prompt, text) for text in one.texts]
        texts = tuple((*head, *tail) for head, tail in both)
        if max(map(len, texts)) > max_tokens:
            continue
        head = len(both[0][0])
        if isinstance(one, Pair):
            found.append(Compared(texts, head, one.weight, one.margin))
        else:
            found.append(Compared(texts, head, one.weight, good=one.label))
    if not any(one.weight > 0 for one in found):
        raise CandorError(
            f"nothing to learn from: no row of {len(pairs):,} has a weight and at most {max_tokens:,} tokens",
            fix="raise max_tokens, or shorten the texts",
        )
    return found, len(pairs) - len(found)


def passes(compared: Sequence[Compared], budget: int, *, packs: bool, branches: bool) -> list[list[int]]:
    """Which comparisons go through the model together: at most `budget` tokens, and at least one of them.

    Args:
        compared: of an update.
        budget: tokens of a pass.
        packs, branches: see `model.forward.Forward`; what is computed once counts once.
    """
    heads = [one.texts[0][: one.prompt] for one in compared]
    if branches:
        prefix = len(commonprefix(heads)) if len(set(heads)) > 1 else 0  # noqa: RUF071 (of lists)
        # Those of one prompt side by side; it is counted for each, though it may be computed once.
        sizes = [sum(len(text) - one.prompt for text in one.texts) + one.prompt - prefix for one in compared]
        order = sorted(range(len(compared)), key=lambda i: (len(heads[i]), heads[i], i))
    else:
        each = max if not packs else sum  # padded rows are as long as the longest
        sizes = [each(map(len, one.texts)) * (1 if packs else len(one.texts)) for one in compared]
        order = sorted(range(len(compared)), key=lambda i: (sizes[i], i))
    return cut(order, sizes, budget, padded=not packs)


class _Training:
    """A training in progress."""

    def __init__(
        self,
        scored: Scored,
        inner: PreTrainedModel,
        compared: Sequence[Compared],
        settings: RewardSettings,
        optimiser: TrainSettings,
        pad_id: int,
        group: Group,
    ) -> None:
        self._group = group
        self._scored, self._settings, self._optimiser = scored, settings, optimiser
        self._compared = [one for one in compared if one.weight > 0]
        self._identity = _fingerprint(inner, self._compared, settings)
        sample = max((text for one in self._compared for text in one.texts), key=len)
        self._objective = PreferenceObjective(scored, sample, centre=settings.centre, pad_id=pad_id)
        forward = self._objective.forward
        self.switches = forward.packs and not forward.branches  # transformers' modules run on packed rows
        self.masters = Masters(scored, optimiser, group)
        self._updates = updates(len(self._compared), settings)
        self.step = 0

    def go(self, folder: Path | None, on_step: Callable[[RewardStep], None] | None) -> None:
        """All updates that are left."""
        if folder is not None:
            self._restore(folder)
        saved_at = time.monotonic()
        while self.step < len(self._updates):
            metrics = self._update()
            if on_step is not None and self._group.rank == 0:
                on_step(metrics)
            due = time.monotonic() - saved_at >= self._settings.checkpoint_seconds
            if folder is not None and self.step < len(self._updates) and self._group.agrees(due):
                if self._group.rank == 0:
                    save_state(folder, self.step, self.masters.tensors(), {"fingerprint": self._identity})
                saved_at = time.monotonic()

    def _update(self) -> RewardStep:
        began = time.monotonic()
        # Dropout, where a model has any, is seeded by the step: there is no generator state to keep.
        torch.manual_seed(self._settings.seed * 1_000_003 + self.step)
        self._scored.train()
        members = [self._compared[i] for i in self._updates[self.step]]
        total = sum(one.weight for one in members)
        found = Loss()
        forward, group = self._objective.forward, self._group
        # Every process gets its share of an update, however small that is.
        tokens = sum(one.tokens for one in members)
        budget = min(self._settings.micro_batch_tokens, -(-tokens // group.size))
        parts = passes(members, budget, packs=forward.packs, branches=forward.branches)
        for part in parts[group.rank :: group.size]:
            found += self._objective.backward([members[i] for i in part], total)
        found = Loss(*group.totals(np.array(list(vars(found).values()), np.float64)).tolist())
        if not math.isfinite(found.loss):
            raise CandorError(
                f"the loss is no longer a number (update {self.step + 1} of {len(self._updates)})",
                fix="lower the learning rate",
            )
        rate = learning_rate(self.step, len(self._updates), self._optimiser)
        norm = self.masters.step(rate)
        self.step += 1
        seconds = time.monotonic() - began
        return RewardStep(
            step=self.step,
            steps=len(self._updates),
            loss=found.loss / found.weight,
            accuracy=found.right / found.count,
            learning_rate=rate,
            grad_norm=norm,
            tokens_per_second=tokens / seconds,
            seconds=seconds,
        )

    def _restore(self, folder: Path) -> None:
        notes = unfinished(folder, self._identity, self._group, "other data, settings or model")
        if notes is None:
            return
        load_state(folder, self.masters.tensors())
        self.masters.publish()
        self.step = int(notes["step"])


def updates(count: int, settings: RewardSettings) -> list[list[int]]:
    """Which of `count` comparisons make each update: shuffled anew in each pass, from the seed alone.

    Updates of a pass are of one size, give or take one: a last one of two pairs would weigh as much as any.
    """
    left, found = round(settings.epochs * count), []
    for epoch in range(math.ceil(settings.epochs)):
        order = np.random.default_rng([settings.seed, epoch]).permutation(count)[:left]
        left -= len(order)
        parts = np.array_split(order, max(1, math.ceil(len(order) / settings.batch)))
        found += [part.tolist() for part in parts if len(part)]
    return found[: settings.max_steps]


def _first_head(model: PreTrainedModel, settings: RewardSettings) -> torch.Tensor:
    """Small, so that the first rewards are near 0 and what is learned, not what was drawn, is seen."""
    width = int(model.config.get_text_config().hidden_size)
    seed = settings.seed if settings.head_seed is None else settings.head_seed
    drawn = torch.randn(width, generator=torch.Generator().manual_seed(seed)) / (width + 1)
    return drawn.to(model.device)


def _unread_head(model: PreTrainedModel) -> list[torch.nn.Parameter]:
    """The head for logits, which nothing here reads, where it is not the embedding itself."""
    outer, inner = model.get_output_embeddings(), model.get_input_embeddings()
    if outer is None or outer.weight is inner.weight:  # type: ignore[union-attr]
        return []
    return list(outer.parameters())


def _fingerprint(model: PreTrainedModel, compared: Sequence[Compared], settings: RewardSettings) -> str:
    """What a training is made of: settings, comparisons, the model's shape and a sample of its weights."""
    digest = hashlib.sha256(settings.model_dump_json(exclude={"checkpoint_seconds"}).encode())
    for one in compared:
        digest.update(repr(one).encode())
    for name, parameter in model.named_parameters():
        sample = parameter.detach().flatten()[:64].float().cpu()
        digest.update(f"{name} {tuple(parameter.shape)}".encode() + sample.numpy().tobytes())
    return digest.hexdigest()
