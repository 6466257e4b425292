"""The policy-gradient loss of a model over sampled completions, and its gradient.

    loss = -Σ over tokens of min(ratio · weight, clip(ratio) · weight)

`weight` is the advantage of the token's completion over what the loss is divided by, `ratio` the token's
probability now over its probability when it was drawn (Schulman et al. 2017, PPO; Yu et al. 2025, DAPO, for
two different clips). Where the policy that drew is the one that learns, ratios are 1 by definition and the
gradient is that of cross-entropy weighted by the advantage. As in `train.loss`, the head's backward pass runs
at once on each chunk of logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from candor.data.conversations import Example
from candor.model.batches import collate, cut
from candor.model.forward import Forward
from candor.model.kernels import flat
from candor.train.policy_kernels import policy_gradient

# What `old` holds where the policy that drew is the one that learns: no log-probability is above 0.
SAME_POLICY = 1.0
# A prompt's completions go through the model by themselves, its tokens once for all of them, where this share
# of all tokens is saved and a pass is still long enough to be efficient.
_WORTH_SHARING, _LEAST_TOKENS = 0.25, 384


@dataclass(frozen=True)
class Trajectory:
    """A prompt's tokens and those that came after: `own[i]` says whether the policy drew `tokens[i]` itself.

    Tokens that it did not draw (a tool's result) are read and never learned.
    """

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    own: tuple[bool, ...]

    @property
    def drawn(self) -> int:
        """Tokens that the policy drew."""
        return sum(self.own)

    def example(self) -> Example:
        """The same as the trainer has it."""
        return Example(self.prompt + self.tokens, (False,) * len(self.prompt) + self.own)


@dataclass(frozen=True)
class TokenReading:
    """What a pass found at the drawn tokens of some trajectories, in their order; all [tokens]."""

    logprobs: np.ndarray  # float32
    ratios: np.ndarray  # float32; 1 where the policy that drew is the one that learns
    clipped: np.ndarray  # bool

    @classmethod
    def empty(cls, tokens: int) -> TokenReading:
        """Of so many tokens, to be filled."""
        return cls(np.zeros(tokens, np.float32), np.ones(tokens, np.float32), np.zeros(tokens, np.bool_))


class PolicyObjective:
    """The policy-gradient loss of one model.

    Args:
        model: a causal language model.
        sample: token ids of some ordinary text, to check the model's composition with.
        temperature: completions are drawn at; the policy is the model's distribution at it.
        clip_low, clip_high: ratios are clipped to [1 - clip_low, 1 + clip_high].
        budget: tokens of one pass through the model: bounds memory, not results.
        pad_id: a valid token.
    """

    def __init__(
        self,
        model: nn.Module,
        sample: Sequence[int],
        *,
        temperature: float = 1.0,
        clip_low: float = 0.2,
        clip_high: float = 0.2,
        budget: int = 8192,
        pad_id: int = 0,
    ) -> None:
        self.forward = Forward(model, sample)
        self._device = next(model.parameters()).device
        self._sharpness = 1.0 / temperature
        self._low, self._high = clip_low, clip_high
        self._budget, self._pad_id = budget, pad_id

    def backward(
        self, trajectories: Sequence[Trajectory], weights: np.ndarray, old: np.ndarray | None = None
    ) -> TokenReading:
        """Add the loss's gradient to the model's.

        Args:
            trajectories: each with at least one token of its own.
            weights: [drawn tokens of all trajectories], what each token's ratio is multiplied by.
            old: like it, log-probabilities under the policy that drew; None: it is this one.
        """
        return self._over(trajectories, weights, old, learns=True)

    @torch.no_grad()
    def read(self, trajectories: Sequence[Trajectory]) -> TokenReading:
        """The policy's log-probabilities, without gradients."""
        return self._over(trajectories, None, None, learns=False)

    def _over(
        self,
        trajectories: Sequence[Trajectory],
        weights: np.ndarray | None,
        old: np.ndarray | None,
        *,
        learns: bool,
    ) -> TokenReading:
        counts = np.array([one.drawn for one in trajectories], np.int64)
        ends = np.cumsum(counts)
        found = TokenReading.empty(int(counts.sum()))
        weights = np.zeros(len(found.logprobs), np.float32) if weights is None else weights
        old = np.full(len(found.logprobs), SAME_POLICY, np.float32) if old is None else old
        for part in micro_batches(trajectories, self._budget, packs=self.forward.packs):
            places = np.concatenate([np.arange(ends[i] - counts[i], ends[i]) for i in part])
            chosen = [trajectories[i].example() for i in part]
            got = self._pass(chosen, weights[places], old[places], learns=learns)
            for name in ("logprobs", "ratios", "clipped"):
                getattr(found, name)[places] = getattr(got, name)
        return found

    def _pass(
        self, examples: Sequence[Example], weights: np.ndarray, old: np.ndarray, *, learns: bool
    ) -> TokenReading:
        batch = collate(examples, pad_id=self._pad_id, packs=self.forward.packs).to(self._device)
        found = TokenReading.empty(len(weights))
        weights, old = weights.astype(np.float32), old.astype(np.float32)
        with self.forward.states(batch) as states:
            leaf = states.detach().requires_grad_(learns)
            for start in range(0, len(leaf), self.forward.chunk):
                part = slice(start, start + self.forward.chunk)
                out = TokenReading(found.logprobs[part], found.ratios[part], found.clipped[part])
                logits = self.forward.plain_logits(leaf[part])
                if logits is None:
                    self._plain(leaf[part], batch.targets[part], weights[part], old[part], learns, out)
                    continue
                policy_gradient(
                    flat(logits), logits.shape[-1], self._sharpness, flat(batch.targets[part]),
                    weights[part], old[part], self._low, self._high, learns,
                    out.logprobs, out.ratios, out.clipped,
                )  # fmt: skip
                if learns:
                    logits.backward(logits.detach())
            if learns and states.requires_grad:
                states.backward(leaf.grad)
        return found

    def _plain(
        self,
        states: torch.Tensor,
        targets: torch.Tensor,
        weights: np.ndarray,
        old: np.ndarray,
        learns: bool,
        out: TokenReading,
    ) -> None:
        """The same in tensor operations, for any model and device."""
        logits = self.forward.logits(states) * self._sharpness
        logprobs = logits.log_softmax(-1).gather(1, targets[:, None]).squeeze(1)
        before, weight = (torch.from_numpy(part).to(logprobs.device) for part in (old, weights))
        now = logprobs.detach()
        ratio = torch.where(before <= 0.5, (now - before).exp(), torch.ones_like(now))
        outside = ((weight > 0) & (ratio > 1 + self._high)) | ((weight < 0) & (ratio < 1 - self._low))
        if learns:
            (-(weight * ratio * ~outside) * logprobs).sum().backward()
        for into, value in zip(vars(out).values(), (now, ratio, outside), strict=True):
            into[:] = value.cpu().numpy()


def micro_batches(trajectories: Sequence[Trajectory], budget: int, *, packs: bool) -> list[list[int]]:
    """Which trajectories go through the model together, at most `budget` tokens and at least one of them.

    Packed, a prompt's tokens are computed once for all of its completions where they run by themselves.
    """
    lengths = np.array([len(one.prompt) + len(one.tokens) for one in trajectories], np.int64)
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, one in enumerate(trajectories):
        groups.setdefault(one.prompt, []).append(place)
    if packs and len(lengths):
        saved = sum((len(group) - 1) * (len(prompt) - 1) for prompt, group in groups.items())
        left = int(lengths.sum()) - saved
        if saved >= _WORTH_SHARING * lengths.sum() and left >= _LEAST_TOKENS * len(groups):
            return [
                part
                for prompt, group in groups.items()
                for part in _cut(group, lengths - len(prompt) + 1, max(1, budget - len(prompt)), padded=False)
            ]
    return _cut(list(range(len(trajectories))), lengths, budget, padded=not packs)


def _cut(places: list[int], lengths: np.ndarray, budget: int, *, padded: bool) -> list[list[int]]:
    ordered = sorted(places, key=lambda i: (lengths[i], i))
    return cut(ordered, lengths, budget, padded=padded)
