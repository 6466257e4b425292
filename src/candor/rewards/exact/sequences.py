"""A language model small enough to list everything that it can say: 4 tokens, 6 places, 4,096 completions.

Its logits depend on the place and on the two tokens before it (600 parameters), so it is no table over whole
completions: what is learned of one carries over to others. Log-probabilities, every divergence, gradients and
expected rewards are sums over all completions; only training samples.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from candor.rewards.exact.setting import Setting

Floats = NDArray[np.float64]

TOKENS = "abc!"
LENGTH = 6
COMPLETIONS = np.array(list(product(range(len(TOKENS)), repeat=LENGTH)))  # [4096, 6]

_CRY = TOKENS.index("!")
_BEGIN = len(TOKENS)  # what stands before the first token
_BEFORE_YT = np.concatenate([np.full((len(COMPLETIONS), 2), _BEGIN), COMPLETIONS], axis=1)
_CONTEXTS = (len(TOKENS) + 1) ** 2
_CONTEXT_YT = _BEFORE_YT[:, :LENGTH] * (len(TOKENS) + 1) + _BEFORE_YT[:, 1 : LENGTH + 1]
_PLACE_T = np.arange(LENGTH)

SHAPE = (LENGTH, _CONTEXTS, len(TOKENS))  # of the parameters: place, the two tokens before, next token


def reference_logits(seed: int = 0) -> Floats:
    """π₀: random, and it seldom says "!"."""
    logits = np.random.default_rng(seed).normal(scale=0.7, size=SHAPE)
    logits[..., _CRY] -= 4.0
    return logits


def token_logprobs(logits: Floats) -> Floats:
    """log π of every token of every completion, [4096, 6]."""
    return log_softmax(logits, axis=-1)[_PLACE_T, _CONTEXT_YT, COMPLETIONS]


def logprobs(logits: Floats) -> Floats:
    """log π(y) of every completion, [4096]."""
    return token_logprobs(logits).sum(axis=1)


def weighted_score(logits: Floats, weight_YT: Floats, rows: NDArray[np.int64] | None = None) -> Floats:
    """Σ weight(y, t) · ∇ log π(y_t | y_<t), in the parameters' shape: every gradient here is one of these.

    Args:
        logits: the parameters.
        weight_YT: a weight of each token, [completions, 6]; one column is the same for all of a completion's.
        rows: which completions the weights are of; None: all 4,096.
    """
    contexts_YT, tokens_YT = (
        (_CONTEXT_YT, COMPLETIONS) if rows is None else (_CONTEXT_YT[rows], COMPLETIONS[rows])
    )
    flat = ((_PLACE_T * _CONTEXTS + contexts_YT) * len(TOKENS) + tokens_YT).ravel()
    weights = np.broadcast_to(weight_YT, tokens_YT.shape).ravel()
    drawn = np.bincount(flat, weights, int(np.prod(SHAPE))).reshape(SHAPE)
    return drawn - np.exp(log_softmax(logits, axis=-1)) * drawn.sum(axis=-1, keepdims=True)


def rewards() -> tuple[Floats, Floats]:
    """The true reward and the proxy of every completion, [4096] each.

    Both give 2 for each "ab". Of each "!" the true reward takes 2.5 off, and the proxy adds 2.5: it was made
    from what π₀ says, where "!" is so rare that this hardly shows.
    """
    skill = 2.0 * ((COMPLETIONS[:, :-1] == 0) & (COMPLETIONS[:, 1:] == 1)).sum(axis=1)
    cries = np.equal(COMPLETIONS, _CRY).sum(axis=1)
    return skill - 2.5 * cries, skill + 2.5 * cries


def enumerated_setting(logits: Floats) -> Setting:
    """All completions with their probabilities under the reference and both rewards."""
    true, proxy = rewards()
    return Setting.of(np.exp(logprobs(logits)), proxy, true)


def best_of_n(setting: Setting, n: int) -> Floats:
    """π/π₀ of the best of n draws by the proxy, [items]: (F(y)ⁿ - F(<y)ⁿ) / (F(y) - F(<y)), for one prompt.

    Ties, here completions of one reward, are broken at random. A continuous reward has no ties and
    χ² = (n - 1)²/(2n - 1) whatever it is (`candor.rl.divergence.chi2_best_of_n`).
    """
    _, kind_N = np.unique(setting.proxy_N, return_inverse=True)
    share_K = np.bincount(kind_N, setting.weight_N)
    up_to_K = share_K.cumsum() / share_K.sum()
    below_K = np.append(0.0, up_to_K[:-1])
    return ((up_to_K**n - below_K**n) / (up_to_K - below_K))[kind_N]


def next_token_kl(reference: Floats, logits: Floats) -> Floats:
    """KL(π₀(·|y<t) ‖ π(·|y<t)) at each place of every completion, [4096, 6]."""
    before, now = log_softmax(reference, axis=-1), log_softmax(logits, axis=-1)
    return (np.exp(before) * (before - now)).sum(axis=-1)[_PLACE_T, _CONTEXT_YT]
