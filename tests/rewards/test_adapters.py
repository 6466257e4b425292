"""Adapters for other trainers: the shaped rewards' gradient, verl's data layout, the log's writer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from candor.core.errors import CandorError, InputError
from candor.rewards.adapters import verl
from candor.rewards.adapters.shaping import group_centred, shaped_rewards
from candor.rewards.adapters.writer import AuditLog
from candor.rewards.audit import read_log
from candor.rewards.audit.simulate import bandits, logged
from candor.rl.regularizer import ChiSquare


def test_shaped_rewards_have_the_gradient_of_the_objective() -> None:
    """Over all arms of a bandit, each weighted by π: E_π[A · ∇log π] is d/dlogits of J - λ√χ², exactly."""
    random = np.random.default_rng(0)
    reference, rewards, logits = random.dirichlet(np.ones(5)), random.normal(size=5), random.normal(size=5)
    weight = 0.7

    def objective(logits: np.ndarray) -> float:
        policy = np.exp(logits) / np.exp(logits).sum()
        return policy @ rewards - weight * np.sqrt(((policy - reference) ** 2 / reference).sum())

    numeric = np.array(
        [(objective(logits + 1e-6 * e) - objective(logits - 1e-6 * e)) / 2e-6 for e in np.eye(5)]
    )
    policy = np.exp(logits) / np.exp(logits).sum()
    # As many copies of each arm as its probability says, so that means over completions are expectations.
    arm = np.repeat(np.arange(5), np.round(policy * 2_000_000).astype(int))
    log_ratio = np.log(policy / reference)[arm]
    shaped, chi2 = shaped_rewards(rewards[arm], log_ratio, ChiSquare(weight))
    assert chi2 == pytest.approx(((policy - reference) ** 2 / reference).sum(), rel=1e-4)
    advantages = group_centred(shaped, np.zeros(len(arm)))
    score_function = np.eye(5)[arm] - policy
    assert (advantages[:, None] * score_function).mean(axis=0) == pytest.approx(numeric, abs=1e-4)


def test_groups_are_centred_in_their_own_units_and_what_has_no_score_teaches_nothing() -> None:
    found = group_centred([1.0, 3.0, 10.0, np.nan, 30.0, 20.0], ["a", "a", "b", "b", "b", "b"])
    assert found.tolist() == [-1.0, 1.0, -10.0, 0.0, 10.0, 0.0]


def _verl_batch() -> Any:
    """Two prompts with two completions each of up to four tokens, as verl's DataProto holds them."""
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 1, 1], [1, 1, 1, 1]])
    scores = torch.zeros(4, 4)
    scores[0, 2], scores[1, 1], scores[2, 3], scores[3, 3] = 1.0, 0.0, 2.0, 1.0
    old = torch.full((4, 4), -1.0)
    reference = old - torch.tensor([[0.3], [-0.2], [0.1], [0.0]])
    batch = {
        "response_mask": mask, "token_level_scores": scores, "old_log_probs": old, "ref_log_prob": reference,
    }  # fmt: skip
    return SimpleNamespace(
        batch=batch, non_tensor_batch={"uid": np.array(["x", "x", "y", "y"], dtype=object)}
    )


def test_verl_functions_fit_its_registry_and_its_batches() -> None:
    """A stand-in for verl's modules with what is used of them: the decorator and the penalty's name."""
    registry: dict[str, Any] = {}
    core = SimpleNamespace(register_adv_est=lambda name: lambda function: registry.setdefault(name, function))
    trainer = SimpleNamespace(apply_kl_penalty=None)
    verl.install(core, trainer, weight=0.5)
    data, metrics = trainer.apply_kl_penalty(_verl_batch(), kl_ctrl=object(), kl_penalty="kl")
    # ρ of whole completions, over drawn tokens only.
    log_ratio = np.array([0.9, -0.4, 0.3, 0.0])
    ratio = np.exp(log_ratio)
    chi2 = (ratio + 1 / ratio - 2).mean()
    assert metrics["actor/chi2"] == pytest.approx(chi2)
    shaped = np.array([1.0, 0.0, 2.0, 1.0]) - 0.5 * (ratio - 1) / np.sqrt(chi2)
    rewards = data.batch["token_level_rewards"]
    assert rewards.sum(dim=1).numpy() == pytest.approx(shaped, rel=1e-5)
    assert torch.equal(
        rewards != 0, torch.tensor([[0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]]).bool()
    )
    advantages, returns = registry["candor_chi2"](
        token_level_rewards=rewards,
        response_mask=data.batch["response_mask"],
        config=SimpleNamespace(),
        index=data.non_tensor_batch["uid"],
    )
    assert advantages.dtype == torch.float32
    assert torch.equal(advantages, returns)
    assert advantages[0, :3].tolist() == pytest.approx([(shaped[0] - shaped[1]) / 2] * 3, rel=1e-5)
    assert advantages[2].tolist() == pytest.approx(
        [(shaped[2] - shaped[3]) / 2 * on for on in (1, 0, 1, 1)], rel=1e-5
    )


def test_what_the_writer_writes_is_read(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    log = logged(bandits("wide", 30, 0.3, random), random, samples=3)
    for goes in range(2):  # it goes on with a file
        with AuditLog(tmp_path / "log.jsonl") as written:
            for policy, source in ((False, "reference"), (True, "policy")):
                side = log.of(policy=policy) & (log.prompt % 2 == goes)
                own, other = log.logp_own[side], (1 if policy else -1) * log.log_ratio[side]
                pair = (own, own - other) if policy else (own - other, own)
                prompts = [str(one) for one in log.prompt[side]]
                written.add(prompts, source, log.proxy[side], *pair, gold=log.gold[side], step=3)
    found = read_log(tmp_path / "log.jsonl")
    assert np.sort(found.proxy) == pytest.approx(np.sort(log.proxy))
    assert np.isnan(found.gold).sum() == np.isnan(log.gold).sum()
    assert np.sort(found.log_ratio[found.policy]) == pytest.approx(
        np.sort(log.log_ratio[log.policy]), abs=1e-9
    )


def test_columns_of_different_length_are_refused_and_unscored_completions_left_out(tmp_path: Path) -> None:
    with AuditLog(tmp_path / "log.jsonl") as log:
        with pytest.raises(InputError, match="logp_policy 1"):
            log.add(["a", "b"], "policy", [1.0, 2.0], [-1.0], [-1.0, -2.0])
        log.add(["a", "b"], "policy", [1.0, float("nan")], [-1.0, -1.0], [-1.0, -2.0])
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("columns", "field"),
    [
        (([1.0, 2.0], [-1.0, float("nan")], [-1.0, -2.0]), "logp_policy"),
        (([1.0, 2.0], [-1.0, -2.0], [-1.0, float("-inf")]), "logp_reference"),
        (([1.0, 2.0], [-1.0, 31.0], [-1.0, -2.0]), "logp_policy"),
        (([1.0, float("inf")], [-1.0, -2.0], [-1.0, -2.0]), "proxy"),
    ],
)
def test_what_is_no_log_probability_or_no_reward_is_refused_and_not_written(
    tmp_path: Path, columns: tuple[list[float], ...], field: str
) -> None:
    """A NaN that became 0 on its way would be a completion of probability 1."""
    with AuditLog(tmp_path / "log.jsonl") as log, pytest.raises(InputError) as caught:
        log.add(["a", "b"], "policy", *columns)
    assert caught.value.field == field
    assert (tmp_path / "log.jsonl").read_text() == ""


def test_one_log_ratio_that_is_nan_does_not_silence_all_rewards() -> None:
    with pytest.raises(CandorError, match="1 of 3 log-ratios"):
        shaped_rewards([1.0, 2.0, 3.0], [0.1, float("nan"), 0.0], ChiSquare(0.5))


def test_verl_with_one_completion_a_prompt_is_told_that_nothing_would_be_learned() -> None:
    with pytest.raises(CandorError, match="all advantages would be 0") as caught:
        verl.chi2_advantage(torch.ones(3, 2), torch.ones(3, 2), index=np.array(["x", "y", "z"]))
    assert "rollout.n" in str(caught.value.fix)
