"""The policy gradient is autograd's, whatever the batch looks like."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from candor.train.policy import PolicyObjective, Trajectory, micro_batches
from tiny_models import tiny_model


def trajectories(groups: int = 3, samples: int = 4, prompt: int = 6, seed: int = 0) -> list[Trajectory]:
    """Completions of a few prompts that start alike; in every third one two tokens are a tool's."""
    draw, found = random.Random(seed), []
    start = tuple(draw.randrange(3, 97) for _ in range(prompt))
    for _ in range(groups):
        head = (*start, *(draw.randrange(3, 97) for _ in range(draw.randint(2, 4))))
        for sample in range(samples):
            tokens = tuple(draw.randrange(3, 97) for _ in range(draw.randint(4, 9)))
            own = [True] * len(tokens)
            if sample % 3 == 2:
                own[1:3] = [False, False]
            found.append(Trajectory(head, tokens, tuple(own)))
    return found


def by_autograd(model, given, weights, old, temperature, low, high):
    """Loss and log-probabilities one trajectory at a time, by the formula."""
    loss, found, place = torch.zeros(()), [], 0
    for one in given:
        ids = torch.tensor([[*one.prompt, *one.tokens]])
        logits = model(input_ids=ids, use_cache=False).logits[0, len(one.prompt) - 1 : -1] / temperature
        logprobs = logits.log_softmax(-1).gather(1, torch.tensor(one.tokens)[:, None]).squeeze(1)
        logprobs = logprobs[torch.tensor(one.own)]
        part = slice(place, place + len(logprobs))
        place += len(logprobs)
        before = logprobs.detach() if old is None else torch.from_numpy(old[part])
        ratio, weight = (logprobs - before).exp(), torch.from_numpy(weights[part])
        loss = loss - torch.minimum(ratio * weight, ratio.clamp(1 - low, 1 + high) * weight).sum()
        found.append(logprobs.detach())
    return loss, torch.cat(found).numpy()


@pytest.mark.parametrize("own", [True, False])  # our kernels, or transformers' modules
@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("off_policy", [False, True])
def test_the_gradient_is_autograds(off_policy, temperature, own, monkeypatch):
    if not own:
        monkeypatch.setattr("candor.model.forward.stack_of", lambda model: None)
    monkeypatch.setattr("candor.model.forward.CHUNK_BYTES", 97 * 4 * 7)  # several chunks, the last one short
    model, given = tiny_model(), trajectories()
    random_numbers = np.random.default_rng(0)
    tokens = sum(one.drawn for one in given)
    weights = random_numbers.normal(size=tokens).astype(np.float32) / tokens
    weights[::5] = 0  # what has no advantage is not clipped either
    _, now = by_autograd(model, given, weights, None, temperature, 0.2, 0.3)
    old = (now + 0.4 * random_numbers.normal(size=tokens)).clip(max=0).astype(np.float32)
    old = old if off_policy else None
    loss, now = by_autograd(model, given, weights, old, temperature, 0.2, 0.3)
    loss.backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters()}

    ratio = np.ones(tokens) if old is None else np.exp(now - old)
    outside = ((weights > 0) & (ratio > 1.3)) | ((weights < 0) & (ratio < 0.8))
    if off_policy:
        assert 0.1 < outside.mean() < 0.6, "or nothing is clipped, or all"
    for budget in (10_000, 60, 1):  # one pass, several, one for each completion
        model.zero_grad()
        objective = PolicyObjective(
            model, given[0].prompt, temperature=temperature, clip_low=0.2, clip_high=0.3, budget=budget
        )
        assert (objective.forward.plain_logits(torch.zeros(1, 32)) is not None) == own
        read = objective.read(given)
        np.testing.assert_allclose(read.logprobs, now, rtol=1e-4, atol=1e-5)
        found = objective.backward(given, weights, old)
        np.testing.assert_allclose(found.logprobs, now, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.ratios, ratio, rtol=1e-3)
        assert np.array_equal(found.clipped, outside)
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize(
    ("ratio", "weight", "clipped"),
    [
        (0.78, -1, True),
        (0.82, -1, False),
        (0.78, 1, False),
        (1.22, 1, True),
        (1.18, 1, False),
        (1.22, -1, False),
    ],
)
@pytest.mark.parametrize("own", [True, False])
def test_by_default_ratios_are_clipped_a_fifth_from_1_at_temperature_1(
    own, ratio, weight, clipped, monkeypatch
):
    if not own:
        monkeypatch.setattr("candor.model.forward.stack_of", lambda model: None)
    model, one = tiny_model(), Trajectory((5, 6, 7), (8, 9, 10), (True, True, True))
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*one.prompt, *one.tokens]])).logits[0, 2:-1]
    now = logits.log_softmax(-1).gather(1, torch.tensor(one.tokens)[:, None]).squeeze(1).numpy()
    old = (now - np.log(ratio)).astype(np.float32)
    assert (old <= 0).all()
    found = PolicyObjective(model, one.prompt).backward([one], np.full(3, weight, np.float32), old)
    np.testing.assert_allclose(found.logprobs, now, rtol=1e-4, atol=1e-5)
    assert found.clipped.tolist() == [clipped] * 3
    moved = any(p.grad is not None and p.grad.abs().max() > 1e-6 for p in model.parameters())
    assert moved != clipped


def test_packed_equals_padded(monkeypatch):
    """Also where every prompt's tokens are computed once for all of its completions."""
    monkeypatch.setattr("candor.train.policy._LEAST_TOKENS", 1)
    gradients = []
    for packs in (True, False):
        model, given = tiny_model("qwen3"), trajectories(prompt=20)
        assert len(micro_batches(given, 10_000, packs=packs)) == (3 if packs else 1)
        objective = PolicyObjective(model, given[0].prompt)
        objective.forward.packs = packs
        weights = np.linspace(-1, 1, sum(one.drawn for one in given)).astype(np.float32)
        objective.backward(given, weights)
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    for name in gradients[0]:
        torch.testing.assert_close(gradients[0][name], gradients[1][name], rtol=1e-4, atol=1e-4, msg=name)


def test_a_tools_words_send_nothing_back():
    """What a completion's inserted tokens are matters for what follows them, never as something to say."""
    model = tiny_model()
    plain = Trajectory((5, 6, 7), (8, 9, 10, 11), (True, False, False, True))
    objective = PolicyObjective(model, plain.prompt)
    found = objective.backward([plain], np.ones(2, np.float32))
    seen = []
    model.zero_grad()
    model.lm_head.register_full_backward_hook(lambda _, into, out: seen.append(out[0]))
    objective.backward([plain], np.ones(2, np.float32))
    assert len(found.logprobs) == 2 and seen[0].shape[0] == 2


def test_every_completion_is_in_one_pass_of_bounded_size():
    given = trajectories(groups=5, samples=6)
    for packs in (True, False):
        parts = micro_batches(given, 64, packs=packs)
        assert sorted(i for part in parts for i in part) == list(range(len(given)))
        sizes = [sum(len(given[i].prompt) + len(given[i].tokens) for i in part) for part in parts]
        assert max(sizes) <= 64 and len(parts) > 5


@pytest.mark.parametrize(
    ("prompt", "tokens", "shared"),
    [
        (600, 50, True),
        (100, 400, False),  # too little of all is saved
        (300, 10, False),  # too little is left for a pass of each
        (400, 10, True),
        (100, 130, True),  # 594 of 1,840 are a third
        (300, 597, True),  # a quarter to the token
        (301, 20, True),  # 384 for each to the token
        (300, 20, False),
        (134, 100, True),  # 2 · 3 · 133 of 1,872 tokens, 798 are 43 %; 1,074 are left
    ],
)
def test_a_prompts_tokens_are_computed_once_where_that_saves_much_and_leaves_enough(prompt, tokens, shared):
    given = [
        Trajectory((group,) * prompt, (5,) * tokens, (True,) * tokens) for _ in range(4) for group in (3, 4)
    ]
    parts = micro_batches(given, 100_000, packs=True)
    assert sorted(i for part in parts for i in part) == list(range(8))
    assert [sorted(given[i].prompt[0] for i in part) for part in parts] == (
        [[3] * 4, [4] * 4] if shared else [[3] * 4 + [4] * 4]
    )
    assert len(micro_batches(given, 100_000, packs=False)) == 1
    # With the prompt's tokens once, as many completions go together as fit beside it.
    if shared:
        few = micro_batches(given, prompt + 2 * (tokens + 1), packs=True)
        assert [len(part) for part in few] == [2, 2, 2, 2]
        few = micro_batches(given, prompt + 2 * (tokens + 1) - 1, packs=True)
        assert [len(part) for part in few] == [1] * 8


def test_nothing_to_learn_from_is_no_pass():
    assert micro_batches([], 10, packs=True) == micro_batches([], 10, packs=False) == []


def test_bfloat16_gradient_points_the_way_of_float32():
    given, flat = trajectories(), []
    for dtype in (torch.float32, torch.bfloat16):
        model = tiny_model(dtype=dtype)
        weights = np.linspace(-1, 1, sum(one.drawn for one in given)).astype(np.float32)
        PolicyObjective(model, given[0].prompt).backward(given, weights)
        flat.append(torch.cat([p.grad.flatten().float() for p in model.parameters()]))
    assert float(torch.nn.functional.cosine_similarity(flat[0], flat[1], dim=0)) > 0.99
