"""The vllm engine on real vLLM, beside the local engine: `make test-vllm` (in its own environment)."""

from __future__ import annotations

import pytest
import torch

from candor.core.errors import CandorError
from candor.engine.local import LocalEngine
from candor.engine.prompts import encode_prompt
from candor.engine.protocol import Sampling

pytestmark = pytest.mark.vllm

QUESTIONS = [
    "What is the capital of France?",
    "Name a primary colour.",
    "What is 2 + 2?",
    "Who wrote Hamlet?",
]
PROMPTS = [[{"role": "user", "content": text}] for text in QUESTIONS]


@pytest.fixture(scope="module")
def local() -> LocalEngine:
    return LocalEngine.load("smollm2")


@pytest.fixture(scope="module")
def engine():
    from candor.engine.vllm import VllmEngine

    return VllmEngine.load("smollm2", max_rows=32)


def test_greedy_answers_are_the_local_engines_up_to_ties(engine, local):
    found = engine.generate(PROMPTS, Sampling(max_tokens=12))
    for prompt, one in zip(PROMPTS, found, strict=True):
        ids, tokens = encode_prompt(local.tokenizer, prompt), one.completions[0].token_ids
        assert one.prompt_tokens == len(ids)
        with torch.no_grad():
            logits = local.model(torch.tensor([[*ids, *tokens]])).logits[0, len(ids) - 1 : -1]
        expected = logits.float().log_softmax(-1)
        chosen = expected.gather(1, torch.tensor(tokens)[:, None]).squeeze(1)
        gaps = (torch.tensor(one.completions[0].logprobs) - chosen).abs()
        assert float(gaps.mean()) < 0.15 and float(gaps.max()) < 0.6  # bfloat16 through 30 layers
        assert bool((chosen >= expected.max(-1).values - 0.6).all())


def test_scores_are_the_local_engines(engine, local):
    texts = [" Paris.", " Red", "", " It was William Shakespeare"]
    found, expected = engine.score(PROMPTS, texts), local.score(PROMPTS, texts)
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=0.25)
    assert [len(one) for one in found] == [len(one) for one in expected]


def test_samples_repeat_by_seed_and_differ_by_place(engine):
    heard: list[int] = []
    warm = [Sampling(max_tokens=1), Sampling(max_tokens=16, temperature=1.0, n=4, seed=5, top_logprobs=3)]
    first = engine.generate(PROMPTS, warm, on_progress=heard.append)
    again = engine.generate(PROMPTS, warm)
    assert sum(heard) == len(PROMPTS)
    assert [len(one.completions) for one in first] == [5] * len(PROMPTS)
    texts = [[c.text for c in one.completions[1:]] for one in first]
    assert any(len(set(some)) > 1 for some in texts)
    assert texts == [[c.text for c in one.completions[1:]] for one in again]
    for completion in first[0].completions[1:]:
        assert len(completion.top_logprobs) == len(completion.token_ids)
        assert all(1 <= len(step) <= 3 for step in completion.top_logprobs)


def test_a_stop_string_ends_the_text_before_it(engine):
    plain = engine.generate(PROMPTS[:1], Sampling(max_tokens=12))[0].completions[0].text
    word = plain.split()[2]
    cut = engine.generate(PROMPTS[:1], Sampling(max_tokens=12, stop=(word,)))[0].completions[0]
    assert cut.text == plain[: plain.index(word)]
    assert cut.finish_reason == "stop"


def test_weights_are_replaced_in_place(engine, local):
    before = engine.score(PROMPTS[:1], [" Paris."])
    state = {name: value.clone() for name, value in local.model.state_dict().items()}
    changed = {
        name: torch.roll(value, 1, 0) if "mlp.down_proj" in name else value for name, value in state.items()
    }
    engine.update_weights(changed)
    local.model.load_state_dict(changed)
    try:
        assert engine.score(PROMPTS[:1], [" Paris."])[0] == pytest.approx(
            local.score(PROMPTS[:1], [" Paris."])[0], abs=0.25
        )
        assert engine.score(PROMPTS[:1], [" Paris."])[0] != pytest.approx(before[0], abs=0.5)
    finally:
        engine.update_weights(state)
        local.model.load_state_dict(state)
    assert engine.score(PROMPTS[:1], [" Paris."])[0] == pytest.approx(before[0], abs=0.05)


def test_what_it_can_not_do_is_an_error_with_a_way_out(engine):
    with pytest.raises(CandorError, match="local engine"):
        engine.generate(PROMPTS, Sampling(forbid_first=(3,)))
    with pytest.raises(CandorError, match=r"prompt 0 .* does not fit"):
        engine.generate(["word " * 5000], Sampling())
