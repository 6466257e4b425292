"""Reward models: preference pairs in, a number for every completion out.

    from candor.rewards.model import Pair, RewardSettings, load_reward, train_reward

`train_reward` trains one in this process, `candor reward train` makes a run of it; `load_reward` reads what
either left, or any checkpoint with one label.
"""

from candor.rewards.model.checkpoint import read_reward, save_reward
from candor.rewards.model.ensemble import (
    EnsembleReward,
    averaged,
    combined,
    load_reward,
    members,
    need_rewards,
)
from candor.rewards.model.pairs import Labelled, Pair
from candor.rewards.model.scorer import RewardModel
from candor.rewards.model.settings import RewardSettings
from candor.rewards.model.training import RewardStep, train_reward

__all__ = [
    "EnsembleReward",
    "Labelled",
    "Pair",
    "RewardModel",
    "RewardSettings",
    "RewardStep",
    "averaged",
    "combined",
    "load_reward",
    "members",
    "need_rewards",
    "read_reward",
    "save_reward",
    "train_reward",
]
