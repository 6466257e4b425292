"""From completions and their rewards to updates of the weights."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from candor.core.errors import CandorError
from candor.engine.prompts import encode_prompt
from candor.model.packing import packed_model
from candor.rl.advantages import advantages, without_variance
from candor.rl.regularizer import KlPenalty, Regularizer, divergence
from candor.rl.rollout import Rollouts, share
from candor.rl.settings import RlSettings
from candor.train.distributed import Group
from candor.train.masters import Masters
from candor.train.policy import PolicyObjective, Trajectory

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Learned:
    """What an update has seen and done; see `loop.RlStep`."""

    without_variance: float
    clip_fraction: float
    grad_norm: float
    kl: float | None
    mismatch: float | None
    learning_rate: float


class Learner:
    """A policy that learns from rollouts.

    Args:
        model: the policy, trained in place.
        text: some ordinary text, to check the model's composition with.
        tokenizer: the model's.
        settings: how it learns.
        regularizer: shapes rewards; None: as the settings say.
        group: the processes whose gradients are added up.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        text: str,
        tokenizer: PreTrainedTokenizerBase,
        settings: RlSettings,
        regularizer: Regularizer | None,
        group: Group,
    ) -> None:
        self._model, self._settings, self._group = model, settings, group
        if regularizer is None and settings.kl:
            regularizer = KlPenalty(settings.kl, settings.kl_estimator)
        self._regularizer = regularizer
        sample = encode_prompt(tokenizer, f"{text} {text}")
        pad = int(tokenizer.pad_token_id or 0)  # type: ignore[arg-type]

        def objective(of: PreTrainedModel) -> PolicyObjective:
            return PolicyObjective(
                of,
                sample,
                temperature=settings.temperature,
                clip_low=settings.clip_low,
                clip_high=settings.clip_high,
                budget=settings.micro_batch_tokens,
                pad_id=pad,
            )

        self._reference = None
        if regularizer is not None:
            self._reference = objective(copy.deepcopy(model).requires_grad_(False))
        self._objective = objective(model)
        weights = sum(parameter.numel() for parameter in model.parameters())
        optimiser = settings.optimiser(weights)
        self._rate = optimiser.learning_rate
        self.masters = Masters(model, optimiser, group)

    def close(self) -> None:
        """Detach from the model."""
        self.masters.close()

    def learn(self, rollouts: Rollouts, step: int) -> Learned:
        """Make the updates of one 0-based step.

        Raises:
            CandorError: the gradient is not a number.
        """
        settings = self._settings
        rewards, old, kl = rollouts.rewards, None, None
        if self._reference is not None or settings.updates * settings.passes > 1:
            old = self._read(self._objective, rollouts)
        if self._regularizer is not None and self._reference is not None and old is not None:
            rewards, kl = self._shaped(rollouts, old)
        advantage = advantages(settings.advantage, rewards, std=settings.std)
        if settings.mask_truncated:
            advantage = np.where(rollouts.truncated > 0, 0.0, advantage)
        rate = self._rate * min(1.0, (step + 1) / (settings.warmup + 1))
        seen = np.zeros(4)  # tokens, clipped; tokens compared with the engine, and the sum of their gaps
        norm = 0.0
        with self._training(step):
            for turn in range(settings.passes):
                for part in range(settings.updates):
                    chosen = share(len(rollouts.problems), Group(part, settings.updates))
                    fresh = turn == part == 0
                    found = self._update(rollouts, advantage, chosen, None if fresh else old, rate)
                    norm = found.norm or norm
                    seen += found.seen if fresh else [*found.seen[:2], 0, 0]
        seen = self._group.totals(seen)
        return Learned(
            without_variance=without_variance(rollouts.rewards),
            clip_fraction=float(seen[1] / max(1, seen[0])),
            grad_norm=norm,
            kl=kl,
            mismatch=float(seen[3] / seen[2]) if seen[2] and settings.temperature == 1 else None,
            learning_rate=rate,
        )

    @contextlib.contextmanager
    def _training(self, step: int) -> Iterator[None]:
        """Within the block the model trains; what decodes finds it as it was.

        Dropout, where a model has any, is seeded by the step: there is no generator state to keep.
        """
        forward = self._objective.forward
        switched = forward.packs and not forward.branches  # transformers' modules run on packed rows
        self._model.train()
        try:
            with (
                torch.random.fork_rng(),
                packed_model(self._model) if switched else contextlib.nullcontext(),
            ):
                torch.manual_seed(self._settings.seed * 1_000_003 + step)
                yield
        finally:
            self._model.eval()

    def _update(
        self,
        rollouts: Rollouts,
        advantage: Floats,
        chosen: slice,
        old: list[np.ndarray] | None,
        rate: float,
    ) -> _Update:
        """One update from some of the problems."""
        weights = advantage[chosen] / self._divisor(rollouts, chosen)
        if not weights.any():  # everyone was rewarded alike: all processes see the same
            return _Update(0.0, np.zeros(4))
        start = rollouts.mine.start
        given: list[Trajectory] = []
        factors, before, engine = [], [], []
        for place in range(max(chosen.start, start), min(chosen.stop, rollouts.mine.stop)):
            for number, one in enumerate(rollouts.trajectories[place - start]):
                weight = float(weights[place - chosen.start, number])
                if not weight or not one.drawn:  # nothing would flow back
                    continue
                given.append(one)
                factors.append(np.full(one.drawn, weight, np.float32))
                engine.append(np.array(rollouts.logprobs[place - start][number])[list(one.own)])
                if old is not None:
                    before.append(old[(place - start) * rollouts.tokens.shape[1] + number])
        seen = np.zeros(4)
        if given:
            found = self._objective.backward(
                given, np.concatenate(factors), np.concatenate(before) if old is not None else None
            )
            gaps = np.abs(found.logprobs - np.concatenate(engine))
            seen = np.array([len(gaps), found.clipped.sum(), len(gaps), gaps.sum()], np.float64)
        norm = self.masters.step(rate)
        if not math.isfinite(norm):
            raise CandorError(
                "the gradient is no longer a number", fix="lower the learning rate, or look at the rewards"
            )
        return _Update(norm, seen)

    def _divisor(self, rollouts: Rollouts, chosen: slice) -> Floats:
        """What each completion's loss is divided by, [prompts, samples]."""
        drawn = rollouts.drawn[chosen]
        if self._settings.normalise == "token":
            return np.full_like(drawn, drawn.sum())
        return np.maximum(drawn, 1) * drawn.size

    def _read(self, objective: PolicyObjective, rollouts: Rollouts) -> list[np.ndarray]:
        """Log-probabilities of the drawn tokens of each of this process's completions."""
        flat = [one for group in rollouts.trajectories for one in group]
        if not flat:
            return []
        ends = np.cumsum([one.drawn for one in flat])
        return np.split(objective.read(flat).logprobs, ends[:-1])

    def _shaped(self, rollouts: Rollouts, old: Sequence[np.ndarray]) -> tuple[Floats, float]:
        """Rewards with the regulariser's share taken off, and the divergence from the reference.

        Every process sees all completions, as a regulariser may be of the whole distribution.
        """
        assert self._regularizer is not None
        assert self._reference is not None
        prompts, samples = rollouts.rewards.shape
        table = np.zeros((3, prompts * samples, int(rollouts.drawn.max())))
        first = rollouts.mine.start * samples
        found = self._read(self._reference, rollouts)
        for place, (policy, reference) in enumerate(zip(old, found, strict=True)):
            table[0, first + place, : len(policy)] = policy
            table[1, first + place, : len(policy)] = reference
            table[2, first + place, : len(policy)] = 1
        policy_NT, reference_NT, own = self._group.totals(table)
        penalty = self._regularizer.penalty(policy_NT, reference_NT, own > 0)
        kl = float(divergence(policy_NT, reference_NT, own > 0).sum() / (prompts * samples))
        return rollouts.rewards - penalty.reshape(prompts, samples), kl


@dataclass(frozen=True)
class _Update:
    norm: float
    seen: np.ndarray
