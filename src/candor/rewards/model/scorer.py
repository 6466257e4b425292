"""A reward model: a causal language model, and one learned vector that reads its last hidden state.

    reward = w · h(last token)        h: what the model's head would read, after the last norm

Its checkpoint is an ordinary one with one label (`AutoModelForSequenceClassification`, `num_labels=1`), which
transformers, vLLM and TRL load.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from candor.core.errors import CandorError
from candor.engine.protocol import Prompt
from candor.engine.scoring import score_batches
from candor.model.first_use import compile_kernels
from candor.model.forward import Forward
from candor.model.load import context_in
from candor.rewards.model.encoding import Encoder

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Tokens of a pass without gradients.
_BUDGET = 8192


class RewardModel:
    """Gives completions a number; higher is better.

    Args:
        model: a causal language model, of which only the decoder counts.
        tokenizer: its tokenizer, with the chat template that prompts of messages go through.
        head: [width], float32.
        name: for errors and manifests.
        budget: tokens of one pass: bounds memory, not results.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        head: torch.Tensor,
        *,
        name: str = "",
        budget: int = _BUDGET,
    ) -> None:
        if model.device.type == "cpu":
            compile_kernels(model.dtype)
        self.model, self.tokenizer = model.eval(), tokenizer
        self.head = head.detach().to(model.device, torch.float32)
        self.name = name or str(getattr(model, "name_or_path", "") or "reward model")
        self.encoder = Encoder(tokenizer)
        self.context = context_in(model.config)
        self._budget = budget
        self._passes: Forward | None = None

    def score(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> NDArray[np.float64]:
        """The reward of each completion, [n].

        Completions of the same prompt share the pass over it, where the model's passes allow it.

        Args:
            prompts: a text or messages for each completion.
            completions: what came after, as it was sampled: without an end token.

        Raises:
            CandorError: a text is longer than the model reads, a prompt is empty, or it consists of messages
                and the model has no chat template.
        """
        return self.score_tokens(self.encoder.all(prompts, completions))

    @torch.inference_mode()
    def score_tokens(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> NDArray[np.float64]:
        """The same of token ids: what stands before, and the rest with its end."""
        found = np.zeros(len(pairs))
        order = sorted(range(len(pairs)), key=lambda i: -len(pairs[i][0]) - len(pairs[i][1]))
        if not order:
            return found
        longest = len(pairs[order[0]][0]) + len(pairs[order[0]][1])
        if longest > self.context:
            raise CandorError(
                f"{self.name}: a text of {longest} tokens is longer than the {self.context} that it reads",
                fix="shorten prompts or completions, or train a reward model with a larger context",
            )
        forward = self._forward(pairs[order[0]])
        # Batches are made for predictions, and a last token makes none: one more stands behind it.
        read = [(pairs[i][0], [*pairs[i][1], 0]) for i in order]
        device = next(self.model.parameters()).device
        for places, batch in score_batches(
            read, self._budget, packs=forward.packs, branches=forward.branches
        ):
            ends = torch.tensor([len(read[place][1]) for place in places]).cumsum(0) - 1
            with forward.states(batch.to(device)) as states:
                rewards = (states[ends.to(device)].float() @ self.head).double().cpu().numpy()
            found[[order[place] for place in places]] = rewards
        return found

    def _forward(self, pair: tuple[Sequence[int], Sequence[int]]) -> Forward:
        """Passes, checked on a first text."""
        if self._passes is None:
            self._passes = passes_of(self.model, [*pair[0], *pair[1]])
        return self._passes


def passes_of(model: nn.Module, sample: Sequence[int]) -> Forward:
    """Passes that give hidden states.

    Raises:
        CandorError: the model's hidden states are not what its head reads.
    """
    forward = Forward(model, sample)
    if not forward.composed:
        raise CandorError(
            f"{type(model).__name__}: its decoder and its head can't be run apart",
            fix="use a decoder-only causal language model whose logits are its head of its last hidden state",
        )
    return forward
