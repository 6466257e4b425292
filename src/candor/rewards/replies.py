"""Replies that a model draws from its own distribution, and how likely they are under any model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from candor.core.errors import CandorError
from candor.engine.local import LocalEngine
from candor.engine.prompts import encode_prompt
from candor.engine.protocol import Sampling
from candor.rl.problem import Problem, Way

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Replies:
    """Replies to problems, [problems][samples]; `tokens` with the end token where one was drawn."""

    problems: list[Problem]
    texts: list[list[str]]
    tokens: list[list[tuple[int, ...]]]

    def flat(self) -> tuple[list[Problem], list[str]]:
        """Every reply with its problem."""
        pairs = [(p, text) for p, row in zip(self.problems, self.texts, strict=True) for text in row]
        return [one for one, _ in pairs], [text for _, text in pairs]

    def table(self, values: Sequence[float] | Floats) -> Floats:
        """Values of all replies as [problems, samples]."""
        return np.reshape(np.asarray(values, np.float64), (len(self.problems), -1))


class Writer:
    """A model that replies, at temperature 1 and without truncation: its own distribution.

    Args:
        model: the model.
        tokenizer: its tokenizer, the same for all models whose probabilities are compared.
        way: gives the prompt of a problem.
        max_tokens: longest reply. One that is cut there counts as it is, under all models alike.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, way: Way, *, max_tokens: int
    ) -> None:
        self._engine, self._tokenizer, self._way = LocalEngine(model, tokenizer), tokenizer, way
        self._max_tokens = max_tokens

    def draw(self, problems: Sequence[Problem], samples: int, *, seed: int) -> Replies:
        """So many replies to each problem, the same for the same seed.

        Raises:
            CandorError: a prompt does not fit the model's context with its reply.
        """
        sampling = Sampling(max_tokens=self._max_tokens, temperature=1.0, n=samples, seed=seed)
        found = self._engine.generate([self._way.prompt(one) for one in problems], sampling)
        return Replies(
            list(problems),
            [[one.text for one in generation.completions] for generation in found],
            [[one.token_ids for one in generation.completions] for generation in found],
        )

    def logprobs(self, replies: Replies) -> Floats:
        """Log-probability of each whole reply under this model, its end included, in the order of `flat`.

        Raises:
            CandorError: the model gives NaN.
        """
        pairs = [
            (prompt, ids)
            for prompt, row in zip(self._prompts(replies.problems), replies.tokens, strict=True)
            for ids in row
        ]
        found = np.array([sum(logs) for logs in self._engine.score_tokens(pairs)], np.float64)
        if bad := int((~np.isfinite(found)).sum()):
            raise CandorError(
                f"{bad} of {len(found)} replies have no finite log-probability under "
                f"{self._engine.model_name}",
                fix="its weights may hold NaN: train again with a lower learning rate",
            )
        return found

    def _prompts(self, problems: Sequence[Problem]) -> list[list[int]]:
        return [encode_prompt(self._tokenizer, self._way.prompt(one)) for one in problems]
