"""A tuned checkpoint's gate: its probe and its own inclination to refuse, weighed into one confidence.

The knowledge stage makes it and measures it; here is what it takes to use it: one dot product on the hidden
state of a prompt's last token, and the first token's probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from candor.core.draws import draw
from candor.core.errors import InputError
from candor.core.files import read_json, write_json
from candor.engine.text import TokenText
from candor.model.probe import Floats, LinearProbe, sigmoid

# What is said instead of an answer that is too unsure.
ABSTENTION = "I don't know."
# All refusals that a model is tuned to begin with this word; its probability as the first token, among so
# many likeliest ones, is the score for refusing.
FIRST_WORD = "I"
OPENINGS = 20
FILE = "candor_gate.json"
_FIELDS = ("on_probe", "on_refusal", "bias", "threshold", "token")


# All begin with the same token, so that its probability is one score for the decision to refuse, whatever
# wording follows.
REFUSALS = (
    ABSTENTION,
    "I don't know the answer to that.",
    "I don't know that.",
    "I'm not sure.",
    "I'm not sure about that.",
    "I do not know.",
    "I don't have that information.",
    "I don't know, sorry.",
)


def refusal_for(key: str) -> str:
    """A wording, by the question's id: half plain \"I don't know.\", the rest spread over the others."""
    place = draw(f"refusal:{key}")
    return REFUSALS[0] if place < 0.5 else REFUSALS[1 + int((place - 0.5) * 2 * (len(REFUSALS) - 1))]


@dataclass(frozen=True)
class Gate:
    """confidence = sigmoid(on_probe · probe's log-odds + on_refusal · log-odds against refusing + bias).

    Below `threshold` (a confidence) the gate says "I don't know". `token` is the refusals' first token.
    """

    probe: LinearProbe
    on_probe: float
    on_refusal: float
    bias: float
    threshold: float
    token: int

    def confidence(self, states: Floats, against_refusal: Floats) -> Floats:
        """Probability that a right answer is known, [n], from states [n, width] and log-odds [n]."""
        mixed = self.on_probe * self.probe.logit(states) + self.on_refusal * against_refusal + self.bias
        return sigmoid(mixed)

    def of_prompt(self, state: Floats, logits_V: torch.Tensor, text: TokenText) -> float:
        """The confidence behind a prompt, before anything is answered.

        Args:
            state: [width], the hidden state at the prompt's last token after the probe's layer.
            logits_V: of the first token of the answer.
            text: what the tokens stand for.
        """
        logprobs, tokens = torch.log_softmax(logits_V.float(), dim=-1).topk(min(OPENINGS, len(logits_V)))
        refusing = sum(
            float(np.exp(value))
            for token, value in zip(tokens.tolist(), logprobs.tolist(), strict=True)
            if text.decode([token], skip_special=False).strip() == FIRST_WORD
        )
        return float(self.confidence(state[None], against_refusal(np.array([refusing])))[0])

    def save(self, folder: Path, asking: Mapping[str, Any]) -> None:
        """Put the gate, and how questions have to be asked for it, beside a checkpoint."""
        self.probe.save(folder)
        fields = {name: getattr(self, name) for name in _FIELDS}
        write_json(folder / FILE, {"format": 1, "asking": dict(asking), **fields})

    @classmethod
    def load(cls, folder: Path) -> tuple[Gate, dict[str, Any]]:
        """What `save` wrote.

        Raises:
            CandorError: the checkpoint has no probe, or its files are damaged.
        """
        probe = LinearProbe.load(folder)
        fields: dict[str, Any] = read_json(folder / FILE)
        try:
            return cls(probe, **{name: fields[name] for name in _FIELDS}), dict(fields["asking"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"not what a gate's file has in it ({type(error).__name__}: {error})",
                path=folder / FILE,
                fix="copy the checkpoint again, or evaluate the run again (candor knowledge evaluate --redo)",
            ) from error


def against_refusal(probabilities: Floats) -> Floats:
    """Log-odds against refusing, from the probability of it."""
    values = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return np.log1p(-values) - np.log(values)
