"""Held-out by document: a document's questions are all trained on, all validated on, or all tested on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from candor.core.draws import draw
from candor.knowledge.recipe import SplitSettings
from candor.knowledge.records import Split


def split_of(document: str, settings: SplitSettings, seed: int) -> Split:
    """The side of a document: a hash of its id, so that adding documents moves no other."""
    place = draw(f"split:{seed}:{document}")
    if place < settings.test:
        return "test"
    return "validation" if place < settings.test + settings.validation else "train"


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
