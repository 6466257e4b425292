"""The loss of a reward model, and its gradient.

    pairs        -log σ(r_chosen - r_rejected - margin) + centre · (r_chosen + r_rejected)²
    labels       -log σ(r) where the completion is good, -log σ(-r) where it is not

The first is the likelihood of Bradley and Terry (1952). It only knows differences: rewards could drift
anywhere, each ensemble member's elsewhere, and a mean or a minimum over members would mean nothing. The
second term (Eisenstein et al. 2023) holds a pair's mean near 0. It is a part of training, and not a number
taken off afterwards, because a checkpoint with one label has no place for such a number: transformers gives
it a weight and no bias. Labels say themselves where 0 is: the reward is the log-odds of a good completion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from candor.data.conversations import Example
from candor.model.batches import collate
from candor.rewards.model.scorer import passes_of


@dataclass(frozen=True)
class Compared:
    """A pair or a labelled completion as token ids.

    Attributes:
        texts: the better completion and the worse one behind their prompt, or the only one.
        prompt: tokens of the prompt, with which all texts begin.
        good: the label of an only one.
    """

    texts: tuple[tuple[int, ...], ...]
    prompt: int
    weight: float = 1.0
    margin: float = 0.0
    good: bool = True

    @property
    def tokens(self) -> int:
        """Tokens of all texts."""
        return sum(map(len, self.texts))


@dataclass(frozen=True)
class Loss:
    """Sums over some comparisons: weighted loss, weights, and how many were ranked or labelled right."""

    loss: float = 0.0
    weight: float = 0.0
    right: float = 0.0
    count: int = 0

    def __add__(self, other: Loss) -> Loss:
        return Loss(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


class Scored(nn.Module):
    """What is trained: a causal model and the vector that reads it."""

    def __init__(self, model: nn.Module, head: torch.Tensor) -> None:
        super().__init__()
        self.model = model
        self.head = nn.Parameter(head)


class PreferenceObjective:
    """The loss of one reward model.

    Args:
        scored: the model and its head.
        sample: token ids of some ordinary text, to check the model's composition with.
        centre: weight of the second term of pairs.
        pad_id: any valid token.

    Attributes:
        forward: the model's passes.
    """

    def __init__(self, scored: Scored, sample: Sequence[int], *, centre: float, pad_id: int) -> None:
        self.forward = passes_of(scored.model, sample)
        self._scored, self._centre, self._pad_id = scored, centre, pad_id
        self._device = scored.head.device

    def backward(self, compared: Sequence[Compared], total_weight: float) -> Loss:
        """Add the gradient of (summed weighted loss / `total_weight`), and return the sums."""
        return self._run(compared, total_weight)

    @torch.no_grad()
    def loss(self, compared: Sequence[Compared]) -> Loss:
        """The sums, without gradients."""
        return self._run(compared, None)

    def _run(self, compared: Sequence[Compared], total_weight: float | None) -> Loss:
        texts = [text for one in compared for text in one.texts]
        # A target that is never looked at, behind the token at which the reward is read.
        examples = [Example((*text, 0), (*[False] * len(text), True)) for text in texts]
        batch = collate(examples, pad_id=self._pad_id, packs=self.forward.packs).to(self._device)
        with self.forward.states(batch) as states:
            rewards = states.float() @ self._scored.head
            losses, right = self._losses(compared, rewards)
            weights = torch.tensor([one.weight for one in compared], device=losses.device)
            summed = (losses * weights).sum()
            if total_weight is not None:
                (summed / total_weight).backward()
        return Loss(float(summed.detach()), float(weights.sum()), float(right.sum()), len(compared))

    def _losses(
        self, compared: Sequence[Compared], rewards: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Each comparison's loss, and whether it came out right."""
        if len(compared[0].texts) == 2:
            chosen, rejected = rewards[::2], rewards[1::2]
            margins = torch.tensor([one.margin for one in compared], device=rewards.device)
            ahead = chosen - rejected
            losses = F.softplus(margins - ahead) + self._centre * (chosen + rejected) ** 2
        else:
            signs = torch.tensor([1.0 if one.good else -1.0 for one in compared], device=rewards.device)
            ahead = signs * rewards
            losses = F.softplus(-ahead)
        return losses, (ahead > 0).float()
