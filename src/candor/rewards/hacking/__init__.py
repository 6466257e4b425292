"""RLHF where reward hacking is certain: a tiny world with a known true reward, small enough to watch."""
