"""Draws follow the model's probabilities, cut exactly what the settings cut, and depend on nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tiny_engine import tiny_tokenizer

from candor.engine import sampling
from candor.engine.protocol import Sampling
from candor.engine.rows import Request
from candor.engine.sampling import RowSettings, Shifts, draw, row_key, uniforms
from candor.engine.text import TokenText

WORDS = TokenText(tiny_tokenizer())


def keys(count: int, seed: int = 0) -> np.ndarray:
    return np.array([row_key(seed, index, 0) for index in range(count)], dtype=np.uint64)


def row_settings(
    keys_R: np.ndarray, temperature: float = 1.0, top_p: float = 1.0, top_k: int = 0
) -> RowSettings:
    rows = len(keys_R)
    return RowSettings(
        temperature_R=torch.full((rows,), temperature),
        top_p_R=torch.full((rows,), top_p),
        top_k_R=torch.full((rows,), top_k),
        keys_R=keys_R,
    )


def tokens_of(logits_V: torch.Tensor, wanted: RowSettings, step: int = 0) -> np.ndarray:
    """Tokens that rows with the same logits draw."""
    rows = len(wanted.keys_R)
    tokens, logprobs = draw(logits_V.expand(rows, -1).contiguous(), wanted, np.full(rows, step))
    # Whatever the settings: the model's own probabilities.
    torch.testing.assert_close(logprobs, torch.log_softmax(logits_V, dim=-1)[tokens], atol=1e-5, rtol=1e-5)
    return tokens.numpy()


def random_logits(vocabulary: int, seed: int = 0, scale: float = 2.0) -> torch.Tensor:
    return torch.randn(vocabulary, generator=torch.Generator().manual_seed(seed)) * scale


def kept(logits: list[float], temperature: float, top_p: float, top_k: int) -> set[int]:
    """What top-k, then top-p, leave, written as their definitions say."""
    order = sorted(range(len(logits)), key=lambda token: -logits[token])
    order = order[:top_k] if top_k else order
    weights = np.exp((np.array([logits[token] for token in order]) - max(logits)) / temperature)
    probabilities = weights / weights.sum()
    left, mass = set(), 0.0
    for token, probability in zip(order, probabilities, strict=True):
        if mass >= top_p:
            break
        left.add(token)
        mass += probability
    return left


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.7])
@pytest.mark.parametrize("vocabulary", [12, 600])  # 600: three blocks of the two-level sum
def test_sampled_frequencies_match_the_probabilities(vocabulary: int, temperature: float) -> None:
    logits = random_logits(vocabulary)
    count = 20_000
    tokens = tokens_of(logits, row_settings(keys(count), temperature))
    expected = torch.softmax(logits.double() / temperature, dim=-1).numpy() * count
    frequent = expected >= 5  # the chi-square test's condition; the rest counts as one
    observed = np.bincount(tokens, minlength=vocabulary)
    observed = np.append(observed[frequent], observed[~frequent].sum())
    expected = np.append(expected[frequent], expected[~frequent].sum())
    if expected[-1] < 5:
        observed, expected = observed[:-1], expected[:-1] * observed[:-1].sum() / expected[:-1].sum()
    assert stats.chisquare(observed, expected).pvalue > 0.001


@pytest.mark.parametrize("vocabulary", [1, 2, 255, 256, 257, 1000])
def test_a_draw_is_the_inverse_of_the_cumulative_probability(vocabulary: int) -> None:
    logits, row_keys = random_logits(vocabulary, scale=4.0), keys(2000, seed=vocabulary)
    ends = np.cumsum(torch.softmax(logits.double(), dim=-1).numpy())
    target = uniforms(row_keys, np.full(2000, 3)) * ends[-1]
    tokens = tokens_of(logits, row_settings(row_keys), step=3)
    expected = np.searchsorted(ends, target, side="right")
    # float32 may fall on the other side of a border, and only there.
    for place in np.nonzero(tokens != expected)[0]:
        assert abs(tokens[place] - expected[place]) == 1
        assert abs(ends[min(tokens[place], expected[place])] - target[place]) < 1e-6
    assert (tokens != expected).mean() < 0.01


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    logits=st.lists(st.integers(-400, 400), min_size=2, max_size=14, unique=True),
    temperature=st.sampled_from([0.5, 1.0, 2.0]),
    top_p=st.sampled_from([0.05, 0.31, 0.77, 0.951, 1.0]),
    top_k=st.sampled_from([0, 1, 2, 5, 50]),
)
def test_truncation_is_the_same_as_leaving_the_other_tokens_out_by_hand(
    logits: list[int], temperature: float, top_p: float, top_k: int
) -> None:
    values = torch.tensor(logits) / 100
    left = kept(values.double().tolist(), temperature, top_p, top_k)
    by_hand = torch.tensor([v if t in left else float("-inf") for t, v in enumerate(values.tolist())])
    row_keys = keys(300)
    cut = tokens_of(values, row_settings(row_keys, temperature, top_p, top_k))
    plain = draw(by_hand.expand(300, -1).contiguous(), row_settings(row_keys, temperature), np.zeros(300))[0]
    assert set(cut) <= left
    assert cut.tolist() == plain.tolist()


def test_top_p_keeps_the_smallest_set_that_reaches_the_mass() -> None:
    logits = torch.log(torch.tensor([0.125, 0.5, 0.25, 0.125]))
    for top_p, expected in (
        (0.5, {1}),
        (0.51, {1, 2}),
        (0.75, {1, 2}),
        (0.76, {0, 1, 2}),
        (1.0, {0, 1, 2, 3}),
    ):
        found = set(tokens_of(logits, row_settings(keys(400), top_p=top_p)))
        # Of the two equal tokens either may be the one that is kept.
        assert found in (expected, {3 if t == 0 else t for t in expected})


def test_temperature_zero_is_greedy_also_beside_sampled_rows() -> None:
    logits = random_logits(40)
    mixed = row_settings(keys(200))
    mixed.temperature_R[::2] = 0.0
    tokens = tokens_of(logits, mixed)
    assert set(tokens[::2]) == {int(logits.argmax())}
    assert len(set(tokens[1::2])) > 5


def test_a_tiny_temperature_is_greedy_too() -> None:
    logits = random_logits(40)
    assert set(tokens_of(logits, row_settings(keys(50), temperature=1e-40))) == {int(logits.argmax())}


def test_a_row_with_top_p_one_keeps_its_whole_vocabulary_beside_a_truncated_row() -> None:
    """The sorted cumulative sum of these float32 probabilities reaches 1 well before its end."""
    logits = random_logits(50_000, scale=5.0).sort(descending=True).values
    assert (torch.softmax(logits, dim=-1).cumsum(dim=-1) >= 1).sum() > 1000
    candidates = np.arange(1 << 22, dtype=np.uint64)
    highest = candidates[np.argsort(uniforms(candidates, np.zeros(1 << 22)))[-20:]]
    alone = row_settings(highest)
    beside = row_settings(highest)
    beside.top_p_R[0] = 0.5
    assert tokens_of(logits, beside)[1:].tolist() == tokens_of(logits, alone)[1:].tolist()


def test_a_token_of_probability_zero_is_never_drawn() -> None:
    logits = torch.full((700,), float("-inf"))
    logits[[3, 255, 256, 300, 698]] = 0.0
    tokens = tokens_of(logits, row_settings(keys(3000)))
    assert set(tokens) == {3, 255, 256, 300, 698}


def test_uniforms_are_spread_evenly_over_zero_to_one() -> None:
    row_keys = keys(400, seed=7)
    table = np.stack([uniforms(row_keys, np.full(400, step)) for step in range(100)])  # [step, row]
    assert table.min() >= 0.0
    assert table.max() < 1.0
    counts, _ = np.histogram(table, bins=64, range=(0, 1))
    assert stats.chisquare(counts).pvalue > 0.001
    assert len(np.unique(table)) == table.size
    limit = 4 / np.sqrt(table.size)
    assert abs(np.corrcoef(table[:-1].ravel(), table[1:].ravel())[0, 1]) < limit  # from step to step
    assert abs(np.corrcoef(table[:, :-1].ravel(), table[:, 1:].ravel())[0, 1]) < limit  # from row to row


def test_every_seed_prompt_and_place_has_its_own_key() -> None:
    found = {row_key(s, p, n) for s in (0, 1, 2, -1, 2**63) for p in range(40) for n in range(40)}
    assert len(found) == 5 * 40 * 40
    assert all(0 <= key < 2**64 for key in found)


def test_a_rows_number_depends_on_its_key_and_step_alone() -> None:
    row_keys = keys(10)
    together = uniforms(row_keys, np.arange(10))
    alone = [float(uniforms(row_keys[i : i + 1], np.array([i]))[0]) for i in range(10)]
    assert together.tolist() == alone


# --- what shifts the distribution, and what is left out by its share ------------------------------------


def shifted_by_hand(
    logits: torch.Tensor, history: list[int], bias: dict[int, float], frequency: float, presence: float
) -> torch.Tensor:
    """OpenAI's formula, written out: mu[j] + bias[j] - c[j] · frequency - (c[j] > 0) · presence."""
    found = logits.clone()
    for token in range(len(logits)):
        count = history.count(token)
        found[token] += bias.get(token, 0.0) - count * frequency - (count > 0) * presence
    return found


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    history=st.lists(st.integers(0, 9), max_size=12),
    bias=st.dictionaries(st.integers(0, 9), st.sampled_from([-100.0, -1.5, 0.5, 3.0]), max_size=3),
    frequency=st.sampled_from([-1.0, 0.0, 0.3, 2.0]),
    presence=st.sampled_from([-0.5, 0.0, 1.0]),
    temperature=st.sampled_from([0.0, 0.7]),
)
def test_biases_and_penalties_are_the_plain_formula_and_logprobs_stay_the_models_own(
    history: list[int], bias: dict[int, float], frequency: float, presence: float, temperature: float
) -> None:
    wanted = Sampling(
        max_tokens=99,
        temperature=temperature,
        frequency_penalty=frequency,
        presence_penalty=presence,
        logit_bias=tuple(bias.items()),
    )
    request = Request([1], [wanted])
    request.begin(WORDS)
    (row,) = request.rows
    for token in history:
        row.add(token, 0.0, ())
    values = random_logits(10, seed=len(history))
    row_keys = keys(64)
    plain = row_settings(row_keys, temperature)
    by_hand = shifted_by_hand(values, history, bias, frequency, presence)
    expected = draw(by_hand.expand(64, -1).contiguous(), plain, np.zeros(64))[0]
    plain.shifts = Shifts.of([row.shift] * 64)
    assert tokens_of(values, plain).tolist() == expected.tolist()


def test_shifted_and_cut_rows_leave_their_neighbours_alone() -> None:
    values = random_logits(300)
    alone = row_settings(keys(6))
    together = row_settings(keys(6))
    together.shifts = Shifts.of([{}, {7: 50.0}, {}, {}, {9: 60.0, 7: 1.0}, {}])
    together.min_p_R = torch.tensor([0.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    found, plain = tokens_of(values, together), tokens_of(values, alone)
    assert found[[1, 4, 3]].tolist() == [7, 9, int(values.argmax())]
    assert found[[0, 2, 5]].tolist() == plain[[0, 2, 5]].tolist()
    assert Shifts.of([{}, {}]) is None


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    logits=st.lists(st.integers(-400, 400), min_size=2, max_size=14, unique=True),
    temperature=st.sampled_from([0.5, 1.0, 2.0]),
    min_p=st.sampled_from([0.02, 0.1, 0.5, 1.0]),
)
def test_min_p_leaves_out_what_is_less_than_its_share_of_the_likeliest(
    logits: list[int], temperature: float, min_p: float
) -> None:
    values = torch.tensor(logits) / 100
    weights = np.exp((np.array(logits) / 100 - max(logits) / 100) / temperature)
    left = {token for token, weight in enumerate(weights) if weight >= min_p}
    by_hand = torch.tensor([v if t in left else float("-inf") for t, v in enumerate(values.tolist())])
    wanted = row_settings(keys(200), temperature)
    plain = draw(by_hand.expand(200, -1).contiguous(), wanted, np.zeros(200))[0]
    wanted.min_p_R = torch.full((200,), min_p)
    assert tokens_of(values, wanted).tolist() == plain.tolist()


@pytest.mark.parametrize("scale", [0.01, 3.0, 8.0])  # flat: most of the mass is outside of the head
def test_a_large_vocabulary_is_cut_as_if_all_of_it_were_ordered(scale: float) -> None:
    logits = torch.stack([random_logits(5000, seed, scale) for seed in range(12)])
    top_p = torch.tensor([0.1, 0.5, 0.9, 0.95, 0.999, 1.0, 1.0, 1.0, 0.9, 0.9, 0.5, 1.0])
    top_k = torch.tensor([0, 0, 0, 0, 0, 3, 1024, 2000, 40, 3000, 1, 0])
    found = sampling._truncated(logits, top_p, top_k)
    expected = sampling._cut(logits, top_p, top_k)
    expected[11] = logits[11]
    # A float32 sum over a vocabulary may put the last token of a nucleus on either side.
    differing = (found.isinf() != expected.isinf()).sum(dim=1)
    assert int(differing.max()) <= 1
    same = ~found.isinf() & ~expected.isinf()
    assert torch.equal(found[same], expected[same])
