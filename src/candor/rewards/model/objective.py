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
from os.path import commonprefix

import torch
import torch.nn.functional as F
from torch import nn

from candor.data.conversations import Example
from candor.model.batches import Batch, collate
from candor.model.packing import LONGEST, Layout
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
        with self.forward.states(self._batch(compared).to(self._device)) as states:
            rewards = states.float() @ self._scored.head
            losses, right = self._losses(compared, rewards)
            weights = torch.tensor([one.weight for one in compared], device=losses.device)
            summed = (losses * weights).sum()
            if total_weight is not None:
                (summed / total_weight).backward()
        return Loss(float(summed.detach()), float(weights.sum()), float(right.sum()), len(compared))

    def _batch(self, compared: Sequence[Compared]) -> Batch:
        """All texts, of which the places are those where rewards are read."""
        texts = [text for one in compared for text in one.texts]
        if self.forward.branches and max(map(len, texts)) <= LONGEST:
            return branched(compared)
        # A target that is never looked at, behind the token at which the reward is read.
        examples = [Example((*text, 0), (*[False] * len(text), True)) for text in texts]
        return collate(examples, pad_id=self._pad_id, packs=self.forward.packs)

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


def branched(compared: Sequence[Compared]) -> Batch:
    """A packed row: each prompt once, its completions behind it; what all prompts begin with once for all.

    Places are in the order of the texts.
    """
    stems: dict[tuple[int, ...], list[tuple[int, tuple[int, ...]]]] = {}
    number = 0
    for one in compared:
        for text in one.texts:
            # Something stays behind the prompt, so that there is a place to read.
            cut = min(one.prompt, len(text) - 1)
            stems.setdefault(text[:cut], []).append((number, text[cut:]))
            number += 1
    prefix = len(commonprefix([*stems])) if len(stems) > 1 else 0  # noqa: RUF071 (of lists)
    row, places = list(next(iter(stems))[:prefix]), [0] * number
    for stem, tails in stems.items():
        row += stem[prefix:]
        for place, tail in tails:
            row += tail
            places[place] = len(row) - 1
    lengths = [(len(stem) - prefix, [len(tail) for _, tail in tails]) for stem, tails in stems.items()]
    return Batch(
        input_ids=torch.tensor([row]),
        places=torch.tensor(places),
        targets=torch.empty(0, dtype=torch.long),
        weights=torch.empty(0),
        tokens=sum(one.tokens for one in compared),
        layout=Layout.of_branches(prefix, lengths),
    )
