"""Reinforcement learning of a policy: problems, rollouts, rewards, advantages, regularisers and the loop.

Stages bring what is asked and what is rewarded: `reasoning` answers that can be checked, `rewards` a reward
that was learned. `candor.rl.loop.train_policy` is the way in.
"""
