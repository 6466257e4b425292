"""Master weights: what their gradients are, what a step does with them, and what the model has afterwards."""

from __future__ import annotations

import pytest
import torch

from candor.train.masters import Masters
from candor.train.settings import TrainSettings
from tiny_models import tiny_model


def line(dtype: torch.dtype = torch.float32, bias: bool = False) -> torch.nn.Linear:
    model = torch.nn.Linear(4, 1, bias=bias).to(dtype)
    for parameter in model.parameters():
        parameter.data.fill_(1.0)
    return model


def pull(model: torch.nn.Linear, *values: float) -> None:
    """A backward pass that adds these to the weight's gradient."""
    (model.weight * torch.tensor([values], dtype=model.weight.dtype)).sum().backward()


def master(masters: Masters, name: str = "weight") -> torch.Tensor:
    return dict(masters.tensors())[f"master.{name}"]


def test_gradients_of_micro_batches_add_up_in_float32_and_leave_the_model():
    model = line(torch.bfloat16)
    masters = Masters(model, TrainSettings(grad_clip=0))
    for value in (256.0, 1.0, 1.0, 1.0):  # in bfloat16 256 + 1 is 256
        pull(model, value, 0, 0, 0)
        assert model.weight.grad is None
    assert masters.step(0.1) == 259.0


def test_a_step_starts_over_with_its_gradients():
    for dtype in (torch.bfloat16, torch.float32):
        model = line(dtype)
        masters = Masters(model, TrainSettings(grad_clip=0))
        for value in (3.0, 4.0):
            pull(model, value, 0, 0, 0)
            assert masters.step(0.1) == value


def test_the_first_step_is_the_rate_against_each_gradients_sign():
    """Adam's ratio of averages is ±1 at first; the model has the master rounded."""
    model = line(torch.bfloat16)
    masters = Masters(model, TrainSettings(grad_clip=0))
    pull(model, 5.0, -0.01, 100.0, 0.0)
    masters.step(1e-3)
    torch.testing.assert_close(master(masters), torch.tensor([[0.999, 1.001, 0.999, 1.0]]))
    pull(model, 5.0, -0.01, 100.0, 0.0)
    masters.step(1.0)  # each step has its own rate
    assert float(master(masters)[0, 0]) == pytest.approx(-0.001, abs=1e-4)
    assert torch.equal(model.weight, master(masters).bfloat16()) and float(model.weight.detach()[0, 0]) < 0


def test_what_took_no_part_stays_where_it_is_and_counts_as_nothing():
    """As an expert that no token chose, in its first step and after one in which it was chosen."""
    for dtype in (torch.bfloat16, torch.float32):
        both = torch.nn.ModuleList([line(dtype), line(dtype)])
        masters = Masters(both, TrainSettings(grad_clip=0))
        pull(both[0], 3.0, 0, 4.0, 0)  # type: ignore[arg-type]
        assert masters.step(0.1) == 5.0
        assert torch.equal(master(masters, "1.weight"), torch.ones(1, 4))
        pull(both[1], 2.0, 0, 0, 0)  # type: ignore[arg-type]
        assert masters.step(0.1) == 2.0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("limit", "left"), [(0.0, 10.0), (20.0, 10.0), (10.0, 10.0), (2.5, 2.5)])
def test_the_norm_is_told_as_it_was_and_cut_to_the_limit(dtype, limit: float, left: float):
    model = line(dtype)
    masters = Masters(model, TrainSettings(grad_clip=limit, betas=(0.9, 0.99)))
    for _ in range(2):  # what one step divided by is forgotten in the next
        pull(model, 6.0, 0, 8.0, 0)
        assert masters.step(0.0) == pytest.approx(10)
    # Two steps of one gradient g leave an average of (1 - 0.9²) g.
    average = dict(masters.tensors())["exp_avg.weight"]
    assert float(average.norm()) == pytest.approx(left * (1 - 0.9**2), rel=1e-4)


def test_a_small_gradient_after_a_large_one_is_not_divided():
    model = line()
    masters = Masters(model, TrainSettings(grad_clip=1.0, betas=(0.0, 0.99)))
    for value, left in ((50.0, 1.0), (0.5, 0.5)):
        pull(model, value, 0, 0, 0)
        masters.step(0.0)
        assert float(dict(masters.tensors())["exp_avg.weight"].norm()) == pytest.approx(left, rel=1e-4)


def test_only_matrices_decay():
    model = line(bias=True)
    masters = Masters(model, TrainSettings(weight_decay=0.5, grad_clip=0))
    (model.weight.sum() * 0 + model.bias.sum() * 0).backward()
    masters.step(0.1)
    torch.testing.assert_close(master(masters), torch.full((1, 4), 1 - 0.1 * 0.5))
    torch.testing.assert_close(master(masters, "bias"), torch.ones(1))


def test_muon_has_the_matrices_between_embedding_and_head_with_a_clipped_gradient():
    model = tiny_model("qwen3")  # embedding and head are two
    masters = Masters(model, TrainSettings(optimizer="muon", grad_clip=0.5))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    norm = masters.step(0.0)
    assert norm == pytest.approx(sum(p.numel() for p in model.parameters()) ** 0.5, rel=1e-5)
    kept = dict(masters.tensors())
    by_muon = {name for name in masters.names if f"momentum_buffer.{name}" in kept}
    assert by_muon == {name for name in masters.names if name.endswith("_proj.weight")}
    assert {name for name in masters.names if f"exp_avg_sq.{name}" in kept} == set(masters.names) - by_muon
    buffers = torch.cat([kept[f"momentum_buffer.{name}"].flatten() for name in sorted(by_muon)])
    # torch's Muon keeps an average at .95: 1/20 of a first gradient.
    torch.testing.assert_close(buffers, torch.full_like(buffers, 0.05 * 0.5 / norm))


def test_state_is_there_before_the_first_step_and_frozen_weights_have_none():
    model = line(torch.bfloat16, bias=True)
    model.bias.requires_grad_(False)
    masters = Masters(model, TrainSettings())
    kept = dict(masters.tensors())
    assert set(kept) == {"master.weight", "step.weight", "exp_avg.weight", "exp_avg_sq.weight"}
    assert not any(value.any() for name, value in kept.items() if name != "master.weight")
    assert all(value.dtype == torch.float32 for value in kept.values())


def test_after_closing_the_model_keeps_its_gradients_itself():
    model = line(torch.bfloat16)
    masters = Masters(model, TrainSettings())
    pull(model, 1.0, 2.0, 3.0, 4.0)
    masters.close()
    assert model.weight.grad is None
    pull(model, 1.0, 2.0, 3.0, 4.0)
    assert model.weight.grad is not None and model.weight.grad.float().tolist() == [[1, 2, 3, 4]]
