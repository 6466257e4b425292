"""RL with verifiable rewards: `train_policy`, its settings, and rewards as plain functions."""

from candor.reasoning.rl.loop import RlResult, RlStep, train_policy
from candor.reasoning.rl.reward import reward, rewards_of, task_reward, validate
from candor.reasoning.rl.settings import RlSettings

__all__ = [
    "RlResult",
    "RlSettings",
    "RlStep",
    "reward",
    "rewards_of",
    "task_reward",
    "train_policy",
    "validate",
]
