"""Candor: language models that know what they don't know, measured at every step."""

import os

# Before torch loads OpenMP: threads that wait should sleep, not spin. On two cores shared with one other
# process, spinning cost a factor of five (98 against 484 tokens a second of decoding, SmolLM2-135M).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
