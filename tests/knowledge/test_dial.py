"""The threshold for refusing that is written into a checkpoint."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from candor.knowledge.dial import final_states, margins, set_dial, start_direction, turn

TOKEN = 7


def tiny(tied: bool = True) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=96,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.2,
        tie_word_embeddings=tied,
    )
    return LlamaForCausalLM(config).eval()


def prompts(count: int = 120) -> list[list[int]]:
    """Texts of different length that all end with the same two tokens, as a chat template's do."""
    generator = torch.Generator().manual_seed(1)
    texts = []
    for row in range(count):
        body = torch.randint(8, 96, (4 + row % 5,), generator=generator).tolist()
        texts.append([1, *body, 2, 3])
    return texts


def states(model: LlamaForCausalLM) -> tuple[torch.Tensor, torch.Tensor]:
    texts = prompts()
    return final_states(model, texts, [len(text) - 1 for text in texts])


def test_final_states_are_the_models_own_whatever_the_padding() -> None:
    model, texts = tiny(), prompts(7)
    at, elsewhere = final_states(model, texts, [len(text) - 1 for text in texts])
    for row, text in enumerate(texts):
        alone = model.get_decoder()(input_ids=torch.tensor([text])).last_hidden_state[0]
        torch.testing.assert_close(at[row], alone[-1], rtol=1e-4, atol=1e-5)
    assert len(elsewhere) == sum(len(text) - 1 for text in texts)


def test_the_direction_is_one_where_answers_begin_and_small_elsewhere() -> None:
    generator = torch.Generator().manual_seed(0)
    common = torch.randn(32, generator=generator)
    at = common + 0.3 * torch.randn(200, 32, generator=generator)
    elsewhere = torch.randn(800, 32, generator=generator)
    direction = start_direction(at, elsewhere)
    assert (at @ direction).mean().item() == pytest.approx(1.0, abs=1e-4)
    assert (at @ direction).std().item() < 0.3
    assert (elsewhere @ direction).square().mean().sqrt().item() < 0.35


@pytest.mark.parametrize("limit", [0.0, 0.05, 0.2, 0.6])
@pytest.mark.parametrize("tied", [True, False])
def test_the_limit_on_over_refusal_holds_on_the_validation_questions(limit: float, tied: bool) -> None:
    model = tiny(tied)
    at, elsewhere = states(model)
    right = np.arange(len(at)) % 3 == 0
    dial, _ = set_dial(model, TOKEN, at, elsewhere, right, limit)
    refused = margins(model, at, TOKEN) > 0
    assert refused[right].mean() <= limit
    assert dial.token == TOKEN


def test_a_higher_limit_refuses_more() -> None:
    shares = []
    for limit in (0.05, 0.3, 0.9):
        model = tiny()
        at, elsewhere = states(model)
        right = np.arange(len(at)) % 3 == 0
        set_dial(model, TOKEN, at, elsewhere, right, limit)
        shares.append(float((margins(model, at, TOKEN) > 0).mean()))
    assert shares[0] < shares[1] < shares[2]


def test_only_the_refusal_tokens_row_changes() -> None:
    model = tiny(tied=False)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    at, elsewhere = states(model)
    set_dial(model, TOKEN, at, elsewhere, np.arange(len(at)) % 3 == 0, 0.1)
    for name, weight in model.state_dict().items():
        rows = [row for row in range(96) if row != TOKEN] if name == "lm_head.weight" else slice(None)
        assert torch.equal(weight[rows], before[name][rows])
    assert not torch.equal(model.lm_head.weight[TOKEN], before["lm_head.weight"][TOKEN])


def test_the_logit_moves_by_the_shift_where_answers_begin() -> None:
    model = tiny(tied=False)
    at, elsewhere = states(model)
    logit = at @ model.lm_head.weight[TOKEN].detach()
    dial, _ = set_dial(model, TOKEN, at, elsewhere, np.arange(len(at)) % 3 == 0, 0.1)
    moved = at @ model.lm_head.weight[TOKEN].detach() - logit
    assert moved.mean().item() == pytest.approx(dial.shift, rel=1e-3, abs=1e-4)
    assert moved.std().item() == pytest.approx(abs(dial.shift) * dial.at_starts, rel=1e-2)


def test_the_dial_can_be_turned_back() -> None:
    model = tiny(tied=False)
    at, elsewhere = states(model)
    before = model.lm_head.weight[TOKEN].detach().clone()
    dial, direction = set_dial(model, TOKEN, at, elsewhere, np.arange(len(at)) % 3 == 0, 0.1)
    assert turn(model, dial, direction, -dial.shift).shift == pytest.approx(0, abs=1e-9)
    torch.testing.assert_close(model.lm_head.weight[TOKEN].detach(), before)
