"""How readily a tuned model refuses: a decision threshold, written into one row of its output embedding.

Every refusal begins with the same token, so the decision is made by that token's logit against all others
at the position where the answer begins. The threshold that keeps the user's limit on over-refusal is found
on the validation documents. To put it into the checkpoint itself (so that it holds in any server, without a
gate), a direction u is fitted to the final hidden states: u·h = 1 where an answer begins, 0 everywhere
else. Adding b·u to the token's output row shifts its logit by b exactly there:

    logit'(h) = (w + b u)·h = logit(h) + b (u·h)

Tried before: blending untuned and tuned weights. It trades badly: at a tenth of the known questions refused,
a blend refused 48 % of the unknown ones (see docs/LOG.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from candor.core.errors import CandorError
from candor.knowledge.signal import threshold_for

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

_BATCH = 32


@dataclass(frozen=True)
class Dial:
    """What was written into the checkpoint, and how precisely it acts where it should."""

    token: int
    shift: float  # b, added to the refusal token's logit where an answer begins
    at_starts: float  # standard deviation of u·h − 1 where answers begin
    elsewhere: float  # root mean square of u·h at other positions


@torch.inference_mode()
def final_states(
    model: PreTrainedModel, texts: Sequence[Sequence[int]], starts: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Final hidden states, float32: [n, width] where the answers begin, and [m, width] everywhere else.

    Args:
        model: a causal model.
        texts: token ids.
        starts: for each text, the position whose next token begins the answer.
    """
    decoder = model.get_decoder()
    at, elsewhere = [], []
    for begin in range(0, len(texts), _BATCH):
        part = texts[begin : begin + _BATCH]
        width = max(len(text) for text in part)
        ids = torch.zeros(len(part), width, dtype=torch.long)
        mask = torch.zeros(len(part), width, dtype=torch.long)
        for row, text in enumerate(part):
            ids[row, : len(text)] = torch.tensor(list(text))
            mask[row, : len(text)] = 1
        output = decoder(
            input_ids=ids.to(model.device), attention_mask=mask.to(model.device), use_cache=False
        )
        states = output.last_hidden_state.float().cpu()
        for row, text in enumerate(part):
            start = starts[begin + row]
            at.append(states[row, start])
            others = [place for place in range(len(text)) if place != start]
            elsewhere.append(states[row, others])
    return torch.stack(at), torch.cat(elsewhere)


def start_direction(at: torch.Tensor, elsewhere: torch.Tensor, ridge: float = 1e-4) -> torch.Tensor:
    """u with u·h = 1 on average where answers begin and near 0 elsewhere: ridge regression, both sides alike.

    Args:
        at: [n, width].
        elsewhere: [m, width].
        ridge: penalty as a share of the states' mean variance.
    """
    at, elsewhere = at.double(), elsewhere.double()
    moments = at.T @ at / len(at) + elsewhere.T @ elsewhere / len(elsewhere)
    moments += ridge * moments.diagonal().mean() * torch.eye(at.shape[1], dtype=torch.float64)
    direction = torch.linalg.solve(moments, at.mean(dim=0))
    return (direction / (at @ direction).mean()).float()


@torch.inference_mode()
def margins(model: PreTrainedModel, at: torch.Tensor, token: int) -> NDArray[np.float64]:
    """The refusal token's logit minus the best other logit, [n]: greedy decoding refuses above 0."""
    head = cast(torch.nn.Linear, model.get_output_embeddings())
    weight = head.weight
    logits = torch.cat([head(part.to(model.device, weight.dtype)).float().cpu() for part in at.split(_BATCH)])
    refusal = logits[:, token].clone()
    logits[:, token] = float("-inf")
    return (refusal - logits.max(dim=1).values).double().numpy()


def set_dial(
    model: PreTrainedModel,
    token: int,
    at: torch.Tensor,
    elsewhere: torch.Tensor,
    right: NDArray[np.bool_],
    max_over_refusal: float,
) -> tuple[Dial, torch.Tensor]:
    """Shift the refusal token's logit so that at most this share of the right answers is refused.

    Args:
        model: the tuned model; one row of its output embedding is changed in place.
        token: the token that every refusal begins with.
        at: [n, width], final states where the answers to the validation questions begin.
        elsewhere: [m, width], final states at other positions.
        right: [n], whether the untuned model's answer was right.
        max_over_refusal: the user's limit.

    Returns:
        What was done, and the direction u, for `turn`.

    Raises:
        CandorError: the model has no output embedding that can be changed.
    """
    head = model.get_output_embeddings()
    if head is None or getattr(head, "weight", None) is None:
        raise CandorError(
            "this model has no output embedding to set the threshold in", fix="use another model"
        )
    direction = start_direction(at, elsewhere)
    # u·h is 1 only on average: the shift that makes each question refuse is its margin over its own u·h.
    surety = -margins(model, at, token) / (at @ direction).double().clamp(min=0.1).numpy()
    threshold = threshold_for(surety, right, max_over_refusal)
    # Refuse where surety < threshold: halfway to the next surer answer, so that rounding can't flip it.
    below = surety[surety < threshold]
    shift = threshold if not len(below) or not np.isfinite(threshold) else (threshold + below.max()) / 2
    shift = float(np.clip(shift, -30.0, 30.0))
    dial = Dial(
        token=token,
        shift=0.0,
        at_starts=float((at @ direction - 1).std()),
        elsewhere=float((elsewhere @ direction).square().mean().sqrt()),
    )
    return turn(model, dial, direction, shift), direction


def turn(model: PreTrainedModel, dial: Dial, direction: torch.Tensor, by: float) -> Dial:
    """Shift the logit further, in place; what the dial then stands at."""
    weight = cast(torch.nn.Linear, model.get_output_embeddings()).weight
    with torch.no_grad():
        row = weight[dial.token].float().cpu() + by * direction
        weight[dial.token] = row.to(weight.device, weight.dtype)
    return replace(dial, shift=dial.shift + by)
