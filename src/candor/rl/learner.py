"""From completions and their rewards to updates of the weights."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from candor.core.errors import CandorError
from candor.engine.prompts import encode_prompt
from candor.model.packing import packed_model
from candor.rl import divergence
from candor.rl.advantages import advantages, without_variance
from candor.rl.regularizer import Regularizer, Seen, regularizer_of
from candor.rl.rollout import Roller, Rollouts, share
from candor.rl.settings import RlSettings
from candor.train.distributed import Group
from candor.train.masters import Masters
from candor.train.policy import PolicyObjective, Trajectory

Floats = NDArray[np.float64]

# Draws of the reference are others than those of the policy.
_REFERENCE_SEED = 3_000_000_019


@dataclass(frozen=True)
class Learned:
    """What an update has seen and done; see `loop.RlStep`."""

    without_variance: float
    clip_fraction: float
    grad_norm: float
    kl: float | None
    chi2: float | None
    effective: float | None
    reference_reward: float | None
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
        roller_of: makes what draws completions from a model that never changes, for a regulariser that
            wants some of the reference.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        text: str,
        tokenizer: PreTrainedTokenizerBase,
        settings: RlSettings,
        regularizer: Regularizer | None,
        group: Group,
        roller_of: Callable[[PreTrainedModel], Roller],
    ) -> None:
        self._model, self._settings, self._group = model, settings, group
        self._regularizer = regularizer or regularizer_of(settings.regularizer)
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

        self._reference, self._reference_roller = None, None
        if self._regularizer is not None:
            at_first = copy.deepcopy(model).requires_grad_(False)
            self._reference = objective(at_first)
            if self._regularizer.reference_samples:
                self._reference_roller = roller_of(at_first)
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
        shaped, old = _Shaped(rollouts.rewards), None
        if self._reference is not None or settings.updates * settings.passes > 1:
            old = self._read(self._objective, rollouts)
        if self._regularizer is not None and old is not None:
            shaped = self._shaped(rollouts, old, step)
        advantage = advantages(settings.advantage, shaped.rewards, std=settings.std)
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
                    found = self._update(
                        rollouts, advantage, shaped.per_token, chosen, None if fresh else old, rate
                    )
                    norm = found.norm or norm
                    seen += found.seen if fresh else [*found.seen[:2], 0, 0]
        seen = self._group.totals(seen)
        return Learned(
            without_variance=without_variance(rollouts.rewards),
            clip_fraction=float(seen[1] / max(1, seen[0])),
            grad_norm=norm,
            kl=shaped.kl,
            chi2=shaped.chi2,
            effective=shaped.effective,
            reference_reward=shaped.reference_reward,
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
        per_token: Sequence[Floats] | None,
        chosen: slice,
        old: list[np.ndarray] | None,
        rate: float,
    ) -> _Update:
        """One update from some of the problems.

        Args:
            rollouts: of all of them.
            advantage: [prompts, samples].
            per_token: added to it at each drawn token, an array for each of this process's completions.
            chosen: which problems.
            old: log-probabilities under the policy that drew; None: it is this one.
            rate: the learning rate.

        Raises:
            CandorError: the gradient is not a number.
        """
        divisor = self._divisor(rollouts, chosen)
        weights = advantage[chosen] / divisor
        if per_token is None and not weights.any():  # everyone was rewarded alike: all processes see the same
            return _Update(0.0, np.zeros(4))
        start = rollouts.mine.start
        given: list[Trajectory] = []
        factors, before, engine = [], [], []
        for place in range(max(chosen.start, start), min(chosen.stop, rollouts.mine.stop)):
            for number, one in enumerate(rollouts.trajectories[place - start]):
                here = (place - start) * rollouts.tokens.shape[1] + number
                factor = np.full(one.drawn, weights[place - chosen.start, number])
                if per_token is not None:
                    factor += per_token[here] / divisor[place - chosen.start, number]
                if not factor.any():  # nothing would flow back
                    continue
                given.append(one)
                factors.append(factor.astype(np.float32))
                engine.append(np.array(rollouts.logprobs[place - start][number])[list(one.own)])
                if old is not None:
                    before.append(old[here])
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

    def _shaped(self, rollouts: Rollouts, old: Sequence[np.ndarray], step: int) -> _Shaped:
        """What the regulariser makes of a step's rewards.

        Every process sees all completions, as a regulariser may be of the whole distribution.

        Args:
            rollouts: the step's.
            old: log-probabilities of this process's completions under the policy.
            step: its 0-based number.
        """
        assert self._regularizer is not None
        assert self._reference is not None
        policy_NT, reference_NT, own_NT = self._tables(rollouts, old, self._read(self._reference, rollouts))
        draws, reference_reward, effective = None, None, None
        if self._reference_roller is not None:
            settings = self._settings
            drawn = self._reference_roller.draw(
                rollouts.problems,
                self._regularizer.reference_samples,
                max_tokens=settings.max_tokens,
                temperature=settings.temperature,
                seed=_REFERENCE_SEED + settings.seed * 1_000_003 + step,
            )
            found = (self._read(one, drawn) for one in (self._objective, self._reference))
            draws = divergence.log_ratios(*self._tables(drawn, *found))
            reference_reward = float(drawn.rewards.mean())
            effective = divergence.effective_samples(draws) / len(draws)
        shaped = self._regularizer.shaped(Seen(rollouts.rewards, policy_NT, reference_NT, own_NT, draws))
        per_token = None
        if shaped.per_token_NT is not None:
            first = rollouts.mine.start * rollouts.rewards.shape[1]
            per_token = [
                shaped.per_token_NT[first + place, : len(one)].astype(np.float64)
                for place, one in enumerate(old)
            ]
        ratios = divergence.log_ratios(policy_NT, reference_NT, own_NT)
        kl = divergence.kl(ratios)
        chi2 = shaped.chi2
        if chi2 is None and draws is not None:
            chi2 = divergence.chi2_pooled(ratios, draws)
        return _Shaped(shaped.rewards_PS, per_token, kl, chi2, effective, reference_reward)

    def _tables(
        self, rollouts: Rollouts, policy: Sequence[np.ndarray], reference: Sequence[np.ndarray]
    ) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Log-probabilities of all processes' completions under both, and where tokens were drawn, [N, T]."""
        prompts, samples = rollouts.rewards.shape
        table = np.zeros((3, prompts * samples, int(rollouts.drawn.max())))
        first = rollouts.mine.start * samples
        for place, (one, other) in enumerate(zip(policy, reference, strict=True)):
            table[0, first + place, : len(one)] = one
            table[1, first + place, : len(one)] = other
            table[2, first + place, : len(one)] = 1
        policy_NT, reference_NT, own = self._group.totals(table)
        return policy_NT, reference_NT, own > 0


@dataclass(frozen=True)
class _Shaped:
    rewards: Floats  # [prompts, samples]
    per_token: list[Floats] | None = None  # an array for each of this process's completions
    kl: float | None = None
    chi2: float | None = None
    effective: float | None = None
    reference_reward: float | None = None


@dataclass(frozen=True)
class _Update:
    norm: float
    seen: np.ndarray
