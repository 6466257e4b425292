"""Blending untuned and tuned weights, and the search for how far to go."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from candor.knowledge.blend import Trial, choose_alpha, set_blend


def model_and_weights(
    dtype: torch.dtype,
) -> tuple[nn.Module, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 3)).to(dtype)
    untuned = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    tuned = {name: value.float() + 0.01 * torch.randn(value.shape) for name, value in untuned.items()}
    return model, untuned, tuned


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_endpoints_are_the_two_models_bit_by_bit(dtype: torch.dtype) -> None:
    model, untuned, tuned = model_and_weights(dtype)
    for alpha, expected in ((1.0, tuned), (0.5, None), (0.0, untuned)):  # back again loses nothing
        set_blend(model, untuned, tuned, alpha)
        if expected is not None:
            for name, parameter in model.named_parameters():
                assert torch.equal(parameter, expected[name].to(dtype))
                assert parameter.dtype == dtype


@pytest.mark.parametrize("alpha", [0.25, 0.5, 1.5])
def test_blend_is_linear_in_float32_and_rounded_once(alpha: float) -> None:
    model, untuned, tuned = model_and_weights(torch.bfloat16)
    set_blend(model, untuned, tuned, alpha)
    for name, parameter in model.named_parameters():
        start = untuned[name].double()
        exact = start + alpha * (tuned[name].double() - start)
        assert torch.allclose(parameter.double(), exact, rtol=2**-8, atol=0)


def test_weights_that_were_not_tuned_stay() -> None:
    model, untuned, tuned = model_and_weights(torch.float32)
    del tuned["0.weight"]
    set_blend(model, untuned, tuned, 0.7)
    assert torch.equal(model.get_parameter("0.weight"), untuned["0.weight"])
    assert not torch.equal(model.get_parameter("1.weight"), untuned["1.weight"])


def rising(edge: float) -> Callable[[float], Trial]:
    """Over-refusal that grows with alpha and meets 0.1 at `edge`."""
    return lambda alpha: Trial(alpha, 0.1 + 0.2 * (alpha - edge), 0.5)


@pytest.mark.parametrize("edge", [0.3, 0.42, 0.625, 0.9, 0.999, 1.0, 1.01, 1.27, 1.49])
def test_boundary_is_found_from_below_within_tolerance(edge: float) -> None:
    alpha, trials = choose_alpha(rising(edge), 0.1)
    assert edge - 0.05 <= alpha <= edge
    assert trials[0].alpha == 1.0
    assert len(trials) <= 5


def test_model_that_never_refuses_too_much_goes_almost_to_the_highest() -> None:
    alpha, _ = choose_alpha(lambda alpha: Trial(alpha, 0.0, 0.5), 0.1)
    assert 1.45 <= alpha <= 1.5


def test_model_that_always_refuses_too_much_ends_at_the_lowest() -> None:
    alpha, trials = choose_alpha(lambda alpha: Trial(alpha, 0.9, 0.9), 0.1)
    assert alpha == 0.25
    assert all(trial.over_refusal > 0.1 for trial in trials)


@given(st.floats(0, 1), st.randoms(use_true_random=False))
def test_alpha_is_never_one_that_broke_the_limit_however_the_model_behaves(
    limit: float, random: Random
) -> None:
    alpha, trials = choose_alpha(lambda alpha: Trial(alpha, random.random(), 0.5), limit)
    kept = [trial.alpha for trial in trials if trial.over_refusal <= limit]
    assert alpha == (max(kept) if kept else 0.25)
    assert all(math.isfinite(trial.alpha) and 0.25 <= trial.alpha <= 1.5 for trial in trials)
