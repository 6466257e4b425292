"""RLHF where reward hacking happens: a tiny world with a known true reward, small enough to watch."""
