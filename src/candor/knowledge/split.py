"""Held-out by document: a document's questions are all trained on, all validated on, or all tested on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from candor.knowledge.recipe import SplitSettings
from candor.knowledge.records import Split


def split_of(document: str, settings: SplitSettings, seed: int) -> Split:
    """The side of a document: a hash of its id, so that adding documents moves no other."""
    place = draw(f"split:{seed}:{document}")
    if place < settings.test:
        return "test"
    return "validation" if place < settings.test + settings.validation else "train"


def draw(key: str) -> float:
    """A number in [0, 1) that depends on the key alone."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


def sizes(splits: Mapping[str, Split], documents: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Questions and documents on each side.

    Args:
        splits: question id to side.
        documents: question id to document.
    """
    names: Iterable[Split] = ("train", "validation", "test")
    return {
        name: {
            "questions": sum(side == name for side in splits.values()),
            "documents": len({documents[key] for key, side in splits.items() if side == name}),
        }
        for name in names
    }
