"""Candor: language models that know what they don't know, measured at every step."""

import os

# Before torch loads GNU OpenMP: threads that wait spin for microseconds, then sleep. Its default spins on:
# with one other process on two cores, decoding fell from 484 tokens/s to 98. Sleeping at once costs wake-ups
# (training at 545 tokens/s against 660 with this, on two idle cores).
os.environ.setdefault("GOMP_SPINCOUNT", "20000")
# Large tensors in huge pages: a 512th of the page faults (see core.memory).
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

__version__ = "0.1.0"
