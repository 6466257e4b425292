"""Drawing the next token for a batch of rows that each have their own settings and seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from candor.engine.kernels import choose
from candor.model.kernels import flat

_MIX_A, _MIX_B = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_STEP = np.uint64(0x9E3779B97F4A7C15)
# Vocabularies up to this size are ordered whole; of larger ones first the tokens above this probability.
_SMALL, _LIKELY = 1024, 1e-5


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


@dataclass(frozen=True)
class Shifts:
    """What biases and penalties add to logits: the entries of a [R, V] matrix that are not 0."""

    rows_E: torch.Tensor
    tokens_E: torch.Tensor
    values_E: torch.Tensor  # float32

    @classmethod
    def of(cls, rows: Sequence[Mapping[int, float]]) -> Shifts | None:
        """From what is added to each row's tokens; None if that is nothing."""
        counts = [len(row) for row in rows]
        if not any(counts):
            return None
        return cls(
            torch.repeat_interleave(torch.tensor(counts)),
            torch.tensor([token for row in rows for token in row]),
            torch.tensor([value for row in rows for value in row.values()], dtype=torch.float32),
        )

    def among(self, rows_S: torch.Tensor) -> Shifts:
        """The same for a batch of these rows only, in rising order; no other has anything added to it."""
        return Shifts(torch.searchsorted(rows_S, self.rows_E), self.tokens_E, self.values_E)

    def added_to(self, logits_RV: torch.Tensor) -> torch.Tensor:
        """New logits; float32."""
        places = (self.rows_E.to(logits_RV.device), self.tokens_E.to(logits_RV.device))
        return logits_RV.index_put(places, self.values_E.to(logits_RV.device), accumulate=True)


@dataclass
class RowSettings:
    """Settings of each row, as tensors of length R."""

    temperature_R: torch.Tensor
    top_p_R: torch.Tensor
    top_k_R: torch.Tensor
    keys_R: np.ndarray
    min_p_R: torch.Tensor | None = None  # None: 0 for all
    shifts: Shifts | None = None

    def among(self, rows_S: torch.Tensor) -> RowSettings:
        """The settings of these rows, in rising order, all that have shifts among them."""
        return RowSettings(
            self.temperature_R[rows_S],
            self.top_p_R[rows_S],
            self.top_k_R[rows_S],
            self.keys_R[rows_S.numpy()],
            None if self.min_p_R is None else self.min_p_R[rows_S],
            None if self.shifts is None else self.shifts.among(rows_S),
        )

    @property
    def special(self) -> torch.Tensor:
        """Which rows take more than a temperature, [R]."""
        cut_R = (self.top_p_R < 1) | (self.top_k_R > 0)
        if self.min_p_R is not None:
            cut_R |= self.min_p_R > 0
        special_R = cut_R & (self.temperature_R > 0)
        if self.shifts is not None:
            special_R[self.shifts.rows_E] = True
        return special_R


def draw(
    logits_RV: torch.Tensor, settings: RowSettings, step_R: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw one token a row.

    Args:
        logits_RV: logits; bfloat16 and float32 on a CPU are read as they are by a compiled kernel, but for
            rows that cut or shift the distribution.
        settings: each row's settings.
        step_R: tokens drawn so far in each row.

    Returns:
        Token ids [R] and their log-probabilities [R] under the model itself (temperature 1, nothing shifted,
        nothing cut).
    """
    uniform_R = uniforms(settings.keys_R, step_R)
    if not _compiled(logits_RV):
        return _drawn(logits_RV.float(), settings, uniform_R)
    tokens_R, logprobs_R = _chosen(logits_RV, settings, uniform_R)
    rows = torch.nonzero(settings.special).squeeze(1)
    if len(rows):
        part = settings.among(rows)
        tokens_R[rows], logprobs_R[rows] = _drawn(logits_RV[rows].float(), part, uniform_R[rows.numpy()])
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
    """The same in tensor operations, for any device, shift and cut; float32 logits."""
    shifted_RV = logits_RV if settings.shifts is None else settings.shifts.added_to(logits_RV)
    tokens_R = shifted_RV.argmax(dim=-1)
    device = logits_RV.device
    sampled = torch.nonzero(settings.temperature_R > 0).squeeze(1)
    if len(sampled):
        uniform = torch.from_numpy(uniform_R[sampled.numpy()]).to(device)
        scaled = shifted_RV[sampled.to(device)]
        # Less the maximum first: a tiny temperature then gives 0 and -inf, not inf.
        scaled -= scaled.amax(dim=-1, keepdim=True)
        scaled /= settings.temperature_R[sampled, None].to(device)
        if settings.min_p_R is not None:  # the likeliest token's value is 0 here
            least = settings.min_p_R[sampled, None].to(device).log()
            scaled = scaled.masked_fill(scaled < least, float("-inf"))
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
    cut_R = (top_p_R < 1) | (top_k_R > 0)
    if not bool(cut_R.any()):
        return logits_RV
    if logits_RV.shape[1] <= _SMALL:
        return _cut(logits_RV, top_p_R, top_k_R)
    # Ordering a whole vocabulary takes longer than a decode step of a small model; what is kept is nearly
    # always among the tokens that are not all but impossible.
    vocabulary = logits_RV.shape[1]
    share_RV = torch.softmax(logits_RV, dim=-1)
    likely_RV = share_RV > _LIKELY
    count_R = likely_RV.sum(dim=-1)
    row, token = likely_RV.nonzero(as_tuple=True)
    place = torch.arange(len(row), device=row.device) - (count_R.cumsum(0) - count_R)[row]
    shape = (len(count_R), int(count_R.max()))
    head = logits_RV.new_full(shape, float("-inf"))
    order = row.new_full(shape, vocabulary)  # where there is none: behind the last token
    head[row, place], order[row, place] = logits_RV[row, token], token
    head, within = head.sort(dim=-1, descending=True)
    limited = top_k_R > 0
    ordered = _first(head, top_k_R)
    norm = torch.where(limited, ordered.logsumexp(dim=-1), logits_RV.logsumexp(dim=-1))
    share = torch.exp(ordered - norm[:, None])
    inside = torch.where(limited, top_k_R <= count_R, share.sum(dim=-1) > top_p_R)
    kept = logits_RV.new_full((len(count_R), vocabulary + 1), float("-inf"))
    kept = kept.scatter_(1, order.gather(1, within), _nucleus(ordered, share, top_p_R))[:, :vocabulary]
    if bool((cut_R & ~inside).any()):
        rows = torch.nonzero(cut_R & ~inside).squeeze(1)
        kept[rows] = _cut(logits_RV[rows], top_p_R[rows], top_k_R[rows])
    kept[~cut_R] = logits_RV[~cut_R]
    return kept


def _cut(logits_RV: torch.Tensor, top_p_R: torch.Tensor, top_k_R: torch.Tensor) -> torch.Tensor:
    """The same by ordering the whole vocabulary."""
    ordered, order = logits_RV.sort(dim=-1, descending=True)
    ordered = _first(ordered, top_k_R)
    kept = _nucleus(ordered, torch.softmax(ordered, dim=-1), top_p_R)
    return torch.empty_like(logits_RV).scatter_(1, order, kept)


def _first(ordered_RN: torch.Tensor, top_k_R: torch.Tensor) -> torch.Tensor:
    rank = torch.arange(ordered_RN.shape[1], device=ordered_RN.device)[None, :]
    limit = torch.where(top_k_R > 0, top_k_R, ordered_RN.shape[1])[:, None]
    return ordered_RN.masked_fill(rank >= limit, float("-inf"))


def _nucleus(ordered_RN: torch.Tensor, share_RN: torch.Tensor, top_p_R: torch.Tensor) -> torch.Tensor:
    """Logits in falling order, of which the first that reach top-p together are kept, at least one."""
    mass = share_RN.cumsum(dim=-1)
    before = torch.cat([torch.zeros_like(mass[:, :1]), mass[:, :-1]], dim=1)
    rank = torch.arange(ordered_RN.shape[1], device=ordered_RN.device)[None, :]
    # The sum may round to 1 before the last token; a row with top-p 1 (beside one with less) keeps all.
    outside = (before >= top_p_R[:, None]) & (top_p_R < 1)[:, None] & (rank > 0)
    return ordered_RN.masked_fill(outside, float("-inf"))
