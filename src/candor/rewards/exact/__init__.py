"""Laboratories in which reward hacking can be computed exactly; only training samples.

`bandit` and `optimum` (finite arms, closed forms), `tomato`, `process` and `occupancies` (a gridworld with
occupancy measures solved exactly), `sequences` and `learning` (a language model small enough to enumerate).
"""
