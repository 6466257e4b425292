"""The dial: one depth gives a whole model and its training."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from candor.base.recipe import PretrainSettings, ShapeSettings
from candor.base.shape import new_model, training_for
from candor.base.tokenizer import train_tokenizer

TOKENIZER = train_tokenizer(["some words of a text"], 300, 64)


def test_depth_twelve_is_the_shape_of_gpt2() -> None:
    model = new_model(ShapeSettings(depth=12, context=1024), TOKENIZER, 0)
    config = model.config
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (768, 12, 12)
    inner = sum(p.numel() for name, p in model.named_parameters() if "embed" not in name)
    assert abs(inner - 85e6) < 1e6  # GPT-2's blocks have 85M


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_a_new_model_depends_on_its_seed_alone(family: str) -> None:
    shape = ShapeSettings(depth=2, family=family)
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first, again, other = (new_model(shape, TOKENIZER, seed) for seed in (0, 0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    weights = [model.get_input_embeddings().weight for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert first.config.model_type == family
    assert weights[0].shape[0] % 64 == 0
    assert weights[0].shape[0] >= len(TOKENIZER)


def test_an_untrained_model_expects_all_tokens_about_alike() -> None:
    model = new_model(ShapeSettings(depth=4), TOKENIZER, 0)
    logits = model(input_ids=torch.arange(40)[None]).logits
    assert logits.float().std() < 0.7


def test_a_width_that_heads_do_not_divide_is_told() -> None:
    with pytest.raises(ValidationError, match="100 is no multiple of 64"):
        ShapeSettings(depth=2, width=100)


def test_tokens_follow_from_the_weights_and_stay_within_four_passes() -> None:
    enough = training_for(PretrainSettings(), 1_000_000, 256, 100_000_000, 0)
    assert enough.tokens == 20_000_000
    little = training_for(PretrainSettings(), 1_000_000, 256, 1_000_000, 0)
    assert little.settings.epochs == 4
    given = training_for(PretrainSettings(epochs=1.5), 1_000_000, 256, 1_000_000, 0)
    assert given.tokens == 1_500_000


def test_larger_runs_have_larger_updates_and_wider_models_lower_rates() -> None:
    def of(weights: int, width: int):
        return training_for(PretrainSettings(), weights, width, 10**12, 0).settings

    small, large = of(4_000_000, 256), of(124_000_000, 768)
    assert small.batch_tokens < large.batch_tokens
    assert small.learning_rate > large.learning_rate
    assert large.batch_tokens & (large.batch_tokens - 1) == 0
    chosen = training_for(PretrainSettings(learning_rate=1e-5, batch_tokens=99), 10, 256, 10, 0).settings
    assert (chosen.learning_rate, chosen.batch_tokens) == (1e-5, 99)
