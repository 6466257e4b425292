"""Lots that depend on a name alone, so that adding items moves no other."""

from __future__ import annotations

import hashlib


def draw(key: str) -> float:
    """A number in [0, 1) that depends on the key alone."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
