"""Drawing the next token for a batch of rows that each have their own settings and seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from candor.engine.kernels import choose
from candor.model.kernels import flat

_MIX_A, _MIX_B = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_STEP = np.uint64(0x9E3779B97F4A7C15)


def row_key(seed: int, prompt: int, place: int) -> int:
    """A 64-bit key for one completion, from its seed, its prompt's index and its place there."""
    key = np.array([seed & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64)
    for part in (prompt, place):
        with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is what is meant
            key = _mix(key + np.array([part + 1], dtype=np.uint64) * _STEP)
    return int(key[0])


def uniforms(keys: np.ndarray, step: np.ndarray) -> np.ndarray:
    """One number in [0, 1) for each row: a counter-based generator (SplitMix64, Steele et al. 2014).

    A row's draw depends on its own key and step alone, so its neighbours in the batch don't matter.

    Args:
        keys: [R] uint64 row keys.
        step: [R] tokens drawn so far.
    """
    mixed = _mix(keys + (step.astype(np.uint64) + np.uint64(1)) * _STEP)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(value: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        value = (value ^ (value >> np.uint64(30))) * _MIX_A
        value = (value ^ (value >> np.uint64(27))) * _MIX_B
        return value ^ (value >> np.uint64(31))


@dataclass
class RowSettings:
    """Settings of each row, as tensors of length R."""

    temperature_R: torch.Tensor
    top_p_R: torch.Tensor
    top_k_R: torch.Tensor
    keys_R: np.ndarray


def draw(
    logits_RV: torch.Tensor, settings: RowSettings, step_R: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw one token a row.

    Args:
        logits_RV: logits; bfloat16 and float32 on a CPU are read as they are by a compiled kernel, but for
            rows that cut the distribution.
        settings: each row's settings.
        step_R: tokens drawn so far in each row.

    Returns:
        Token ids [R] and their log-probabilities [R] under the model itself (temperature 1, nothing cut).
    """
    uniform_R = uniforms(settings.keys_R, step_R)
    cut_R = (settings.top_p_R < 1) | (settings.top_k_R > 0)
    if not _compiled(logits_RV):
        return _drawn(logits_RV.float(), settings, uniform_R)
    tokens_R, logprobs_R = _chosen(logits_RV, settings, uniform_R)
    rows = torch.nonzero(cut_R & (settings.temperature_R > 0)).squeeze(1)
    if len(rows):
        picked = rows.numpy()
        part = RowSettings(
            settings.temperature_R[rows],
            settings.top_p_R[rows],
            settings.top_k_R[rows],
            settings.keys_R[picked],
        )
        tokens_R[rows], logprobs_R[rows] = _drawn(logits_RV[rows].float(), part, uniform_R[picked])
    return tokens_R, logprobs_R


def _compiled(logits_RV: torch.Tensor) -> bool:
    return logits_RV.device.type == "cpu" and logits_RV.dtype in (torch.bfloat16, torch.float32)


def _chosen(
    logits_RV: torch.Tensor, settings: RowSettings, uniform_R: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor]:
    rows, vocabulary = logits_RV.shape
    tokens, logprobs = np.zeros(rows, np.int64), np.zeros(rows, np.float32)
    choose(flat(logits_RV), vocabulary, settings.temperature_R.float().numpy(), uniform_R, tokens, logprobs)
    return torch.from_numpy(tokens), torch.from_numpy(logprobs)


def _drawn(
    logits_RV: torch.Tensor, settings: RowSettings, uniform_R: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same in tensor operations, for any device and any cut; float32 logits."""
    tokens_R = logits_RV.argmax(dim=-1)
    device = logits_RV.device
    sampled = torch.nonzero(settings.temperature_R > 0).squeeze(1)
    if len(sampled):
        uniform = torch.from_numpy(uniform_R[sampled.numpy()]).to(device)
        scaled = logits_RV[sampled.to(device)]
        # Less the maximum first: a tiny temperature then gives 0 and -inf, not inf.
        scaled -= scaled.amax(dim=-1, keepdim=True)
        scaled /= settings.temperature_R[sampled, None].to(device)
        top_p, top_k = settings.top_p_R[sampled].to(device), settings.top_k_R[sampled].to(device)
        tokens_R[sampled.to(device)] = _inverse_cdf(_truncated(scaled, top_p, top_k), uniform)
    chosen = logits_RV.gather(1, tokens_R[:, None]).squeeze(1)
    return tokens_R.cpu(), (chosen - torch.logsumexp(logits_RV, dim=-1)).cpu()


def _inverse_cdf(logits_RV: torch.Tensor, uniform_R: torch.Tensor) -> torch.Tensor:
    """Token whose cumulative probability first exceeds the row's uniform number.

    The cumulative sum is taken in two levels, over blocks and then inside one block: a float32 sum over a
    whole vocabulary would lose the last digits, and a float64 one costs twice the memory.
    """
    rows, vocabulary = logits_RV.shape
    probabilities = torch.softmax(logits_RV, dim=-1)
    block = 256
    padded = torch.nn.functional.pad(probabilities, (0, -vocabulary % block)).view(rows, -1, block)
    ends = padded.sum(dim=-1).double().cumsum(dim=-1)  # [R, blocks]
    target = (uniform_R * ends[:, -1])[:, None]
    # The comparison is strict, so a block or token of probability 0 is never chosen.
    which = (ends > target).to(torch.int8).argmax(dim=-1)
    before = torch.where(which > 0, ends.gather(1, (which - 1).clamp(min=0)[:, None]).squeeze(1), 0.0)
    chosen = padded[torch.arange(rows, device=padded.device), which]  # [R, block]
    inside = chosen.double().cumsum(dim=-1) + before[:, None]
    exceeds = inside > target
    # Rounding between the two sums may leave no token above the target: then the block's last possible one.
    last = block - 1 - (chosen.flip(-1) > 0).to(torch.int8).argmax(dim=-1)
    place = torch.where(exceeds.any(dim=-1), exceeds.to(torch.int8).argmax(dim=-1), last)
    return which * block + place


def _truncated(logits_RV: torch.Tensor, top_p_R: torch.Tensor, top_k_R: torch.Tensor) -> torch.Tensor:
    """Set what top-k and top-p (nucleus, Holtzman et al. 2020) exclude to -inf."""
    if bool((top_p_R >= 1).all()) and bool((top_k_R <= 0).all()):
        return logits_RV
    ordered, order = logits_RV.sort(dim=-1, descending=True)
    rank = torch.arange(logits_RV.shape[1], device=logits_RV.device)[None, :]
    limit = torch.where(top_k_R > 0, top_k_R, logits_RV.shape[1])[:, None]
    ordered = ordered.masked_fill(rank >= limit, float("-inf"))
    mass = torch.softmax(ordered, dim=-1).cumsum(dim=-1)
    before = torch.cat([torch.zeros_like(mass[:, :1]), mass[:, :-1]], dim=1)
    # The sum may round to 1 before the last token; a row with top-p 1 (beside one with less) keeps all.
    outside = (before >= top_p_R[:, None]) & (top_p_R < 1)[:, None] & (rank > 0)
    ordered = ordered.masked_fill(outside, float("-inf"))
    return torch.empty_like(logits_RV).scatter_(1, order, ordered)
