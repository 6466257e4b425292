"""Rewards: models of preference, a guarantee against reward hacking, and an audit of any run.

The mathematics is in `bound` (what a proxy's gain says of the true one), `candor.rl.divergence` (how far a
policy has gone, from samples) and `calibration` (how far to trust a proxy, from a few gold labels).
"""
