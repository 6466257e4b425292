"""√χ² in verl's PPO trainers: in its registry and functions as they are in 0.9.1; no training was run.

    from verl.trainer.ppo import core_algos, ray_trainer
    from verl.trainer.ppo.v1 import trainer_base
    from candor.rewards.adapters.verl import install

    install(core_algos, ray_trainer, trainer_base, weight=calibration.residual_sd)

(versions without `v1` have the first two), to be done in the process that runs the trainer's `fit`, with

    algorithm.adv_estimator=candor_chi2             algorithm.use_kl_in_reward=True
    actor_rollout_ref.actor.use_kl_loss=False       actor_rollout_ref.rollout.temperature=1.0
    actor_rollout_ref.rollout.top_p=1.0             actor_rollout_ref.rollout.top_k=-1

verl hands a registered advantage estimator rewards, a mask, prompts' ids and its configuration, but no
log-probabilities; these are at hand where rewards are shaped (`apply_kl_penalty`). So there are two:
`apply_chi2_penalty` in place of that one takes λ · min(ρ, cap) / √χ² off each completion's last token, and
`chi2_advantage`, for the registry, centres by prompt and divides by nothing. A policy loss is not replaced:
PPO's ratio stays what it is for, old completions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from candor.core.errors import CandorError
from candor.rewards.adapters.shaping import group_centred, shaped_rewards
from candor.rl.regularizer import ChiSquare

NAME = "candor_chi2"


def install(core_algos: Any, *trainers: Any, weight: float, cap: float = 1e4) -> None:
    """Put √χ² into verl's modules.

    Args:
        core_algos: `verl.trainer.ppo.core_algos`, whose registry gets the estimator `candor_chi2`.
        trainers: modules with an `apply_kl_penalty`, which is replaced: `verl.trainer.ppo.ray_trainer`, and
            `verl.trainer.ppo.v1.trainer_base`, which takes that name from it when it is imported.
        weight: λ, in units of the reward.
        cap: largest ratio that counts.

    Raises:
        CandorError: a module has no `apply_kl_penalty`: training would go on without √χ².
    """
    for module in trainers:
        if not hasattr(module, "apply_kl_penalty"):
            raise CandorError(
                f"{getattr(module, '__name__', module)} has no apply_kl_penalty to replace",
                fix="name the module in which verl's trainer shapes rewards (0.9.1: ppo.ray_trainer and "
                "ppo.v1.trainer_base)",
            )
    core_algos.register_adv_est(NAME)(chi2_advantage)
    regularizer = ChiSquare(weight, cap)

    def apply_kl_penalty(data: Any, kl_ctrl: Any, kl_penalty: str = "kl") -> tuple[Any, dict[str, float]]:
        return apply_chi2_penalty(data, regularizer)

    for module in trainers:
        module.apply_kl_penalty = apply_kl_penalty


def apply_chi2_penalty(data: Any, regularizer: ChiSquare) -> tuple[Any, dict[str, float]]:
    """Write `token_level_rewards`: the scores, less the penalty at each completion's last token.

    Args:
        data: a DataProto; of its `batch`: `token_level_scores`, `old_log_probs`, `ref_log_prob` and
            `response_mask`, [completions, tokens] each.
        regularizer: √χ² with its weight.

    Returns:
        The same DataProto, and metrics.
    """
    batch = data.batch
    mask = batch["response_mask"].bool()
    scores = batch["token_level_scores"]
    gap = batch["old_log_probs"].double() - batch["ref_log_prob"].double()
    log_ratio = torch.where(mask, gap, 0.0).sum(dim=-1)
    summed = torch.where(mask, scores.double(), 0.0).sum(dim=-1)
    shaped, chi2 = shaped_rewards(summed.cpu().numpy(), log_ratio.cpu().numpy(), regularizer)
    penalty = summed - torch.as_tensor(shaped).to(summed)
    # The last drawn token; where a tool wrote in between, drawn ones follow.
    places = torch.arange(mask.size(1), device=mask.device).expand_as(mask)
    last = torch.where(mask, places, -1).argmax(dim=-1)
    rewards = scores.clone()
    rewards[torch.arange(len(last), device=last.device), last] -= penalty.to(scores)
    batch["token_level_rewards"] = rewards
    metrics = {
        "actor/chi2": chi2,
        "actor/kl_to_reference": float(log_ratio.mean()),
        "actor/chi2_penalty": float(penalty.mean()),
    }
    return data, metrics


def chi2_advantage(
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    index: np.ndarray | None = None,
    config: Any = None,
    **others: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Advantages for verl's registry: each completion's reward less the mean of its prompt's.

    Args:
        token_level_rewards: [completions, tokens], as `apply_chi2_penalty` left them.
        response_mask: where a token was drawn.
        index: the prompt's id of each completion, `uid`.
        config: verl's `algorithm` section; not looked at.
        others: what else verl passes.

    Returns:
        Advantages and returns, which are the same, [completions, tokens].

    Raises:
        CandorError: each prompt has one completion only.
    """
    if index is None:
        raise ValueError("verl passed no uid: rewards can't be compared within prompts")
    if len(index) > 1 and len(np.unique(index)) == len(index):
        raise CandorError(
            "every prompt has one completion, with nothing to compare it with: all advantages would be 0",
            fix="set actor_rollout_ref.rollout.n to 2 or more",
        )
    with torch.no_grad():
        rewards = token_level_rewards.double().sum(dim=-1)
        centred = group_centred(rewards.cpu().numpy(), index)
        advantages = torch.as_tensor(centred).to(token_level_rewards).unsqueeze(-1) * response_mask
    return advantages, advantages
