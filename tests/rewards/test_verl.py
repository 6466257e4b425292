"""√χ² in verl's own registry, reward shaping and policy loss, on batches of its own kind; no cluster."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from candor.core.errors import CandorError
from candor.rewards.adapters.verl import NAME, install

pytestmark = pytest.mark.slow

WEIGHT = 0.6
# All completions of two tokens out of three.
COMPLETIONS = torch.tensor(list(product(range(3), repeat=2)))
REWARDS = torch.tensor(np.random.default_rng(0).normal(size=9))


def token_logprobs(first_V: torch.Tensor, second_VV: torch.Tensor) -> torch.Tensor:
    """Of every completion's two tokens, [9, 2]; the second depends on the first."""
    one, two = COMPLETIONS.T
    return torch.stack([first_V.log_softmax(-1)[one], second_VV.log_softmax(-1)[one, two]], dim=1)


def objective(policy_N: torch.Tensor, reference_N: torch.Tensor) -> torch.Tensor:
    chi2 = ((policy_N - reference_N) ** 2 / reference_N).sum()
    return policy_N @ REWARDS - WEIGHT * chi2.sqrt()


@pytest.fixture
def verl(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """verl's modules, as they were before."""
    from verl.trainer.ppo import core_algos, ray_trainer  # type: ignore[import-not-found]

    monkeypatch.setattr(ray_trainer, "apply_kl_penalty", ray_trainer.apply_kl_penalty)
    monkeypatch.setattr(core_algos, "ADV_ESTIMATOR_REGISTRY", dict(core_algos.ADV_ESTIMATOR_REGISTRY))
    return core_algos, ray_trainer


def test_verls_own_loss_has_the_gradient_of_the_objective(verl: tuple[Any, Any]) -> None:
    from verl import DataProto  # type: ignore[import-not-found]
    from verl.trainer.config import AlgoConfig  # type: ignore[import-not-found]
    from verl.workers.config import ActorConfig  # type: ignore[import-not-found]

    core_algos, ray_trainer = verl
    install(core_algos, ray_trainer, weight=WEIGHT)
    make = torch.Generator().manual_seed(0)
    logits = [torch.randn(*shape, generator=make, dtype=torch.float64) for shape in ((3,), (3, 3))]
    old_NT = token_logprobs(*logits)
    reference_NT = token_logprobs(*(one + 0.4 * torch.randn(one.shape, generator=make) for one in logits))
    policy_N, reference_N = old_NT.sum(1).exp(), reference_NT.sum(1).exp()
    # As many copies of each completion as its probability says: means over the batch are expectations.
    row = torch.repeat_interleave(torch.arange(9), (policy_N * 400_000).round().long())
    scores = torch.zeros(len(row), 3)
    scores[:, 1] = REWARDS[row].float()  # at the last token; a third one is padding

    def padded(found: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(found, (0, 1))

    data = DataProto.from_dict(
        tensors={
            "response_mask": padded(torch.ones(len(row), 2, dtype=torch.int64)),
            "token_level_scores": scores,
            "old_log_probs": padded(old_NT[row].float()),
            "ref_log_prob": padded(reference_NT[row].float()),
        },
        non_tensors={"uid": np.array(["one prompt"] * len(row), dtype=object)},
    )
    controller = core_algos.get_kl_controller(AlgoConfig(adv_estimator=NAME).kl_ctrl)
    data, metrics = ray_trainer.apply_kl_penalty(data, kl_ctrl=controller, kl_penalty="kl")
    chi2 = ((policy_N - reference_N) ** 2 / reference_N).sum()
    assert metrics["actor/chi2"] == pytest.approx(float(chi2), rel=1e-3)
    data = ray_trainer.compute_advantage(data, NAME, config=AlgoConfig(adv_estimator=NAME))
    parameters = [one.clone().requires_grad_() for one in logits]
    loss, _ = core_algos.get_policy_loss_fn("vanilla")(
        old_log_prob=data.batch["old_log_probs"],
        log_prob=padded(token_logprobs(*parameters)[row].float()),
        advantages=data.batch["advantages"],
        response_mask=data.batch["response_mask"],
        config=ActorConfig(strategy="fsdp", rollout_n=2, ppo_micro_batch_size_per_gpu=1),
    )
    loss.backward()
    exact = [one.clone().requires_grad_() for one in logits]
    objective(token_logprobs(*exact).sum(1).exp(), reference_N).backward()
    for ours, true in zip(parameters, exact, strict=True):
        assert ours.grad is not None and true.grad is not None
        # verl's mean is over tokens, of which each completion has two.
        torch.testing.assert_close(-2 * ours.grad, true.grad, atol=2e-4, rtol=2e-3)


def test_other_estimators_of_verl_and_their_kl_stay_what_they_were(verl: tuple[Any, Any]) -> None:
    core_algos, ray_trainer = verl
    before = dict(core_algos.ADV_ESTIMATOR_REGISTRY)
    install(core_algos, ray_trainer, weight=WEIGHT)
    install(core_algos, ray_trainer, weight=2 * WEIGHT)  # again, with another weight
    assert {**core_algos.ADV_ESTIMATOR_REGISTRY, **before} == core_algos.ADV_ESTIMATOR_REGISTRY
    assert set(core_algos.ADV_ESTIMATOR_REGISTRY) - set(before) == {NAME}


def test_a_module_that_shapes_no_rewards_is_refused(verl: tuple[Any, Any]) -> None:
    core_algos, _ = verl
    with pytest.raises(CandorError, match=r"core_algos has no apply_kl_penalty"):
        install(core_algos, core_algos, weight=WEIGHT)
    assert NAME not in core_algos.ADV_ESTIMATOR_REGISTRY
