"""A run's result in the sentence that its page begins with, without drawing the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from candor.report import (
    audit_page,
    base_page,
    chat_page,
    emerge_page,
    hacking_page,
    reward_page,
    rl_page,
    served_page,
    story,
    think_page,
)
from candor.report.evidence import Evidence

_OF: dict[str, Callable[[Evidence], str]] = {
    "knowledge": story.headline,
    "base": base_page.headline,
    "chat": chat_page.headline,
    "think": think_page.headline,
    "rl": rl_page.headline,
    "emerge": emerge_page.headline,
    "serve": served_page.headline,
    "reward": reward_page.headline,
    "audit": audit_page.headline,
    "rlhf": lambda evidence: audit_page.headline(replace(evidence, metrics=evidence.table("audit"))),
    "hacking": lambda evidence: hacking_page.headline(evidence.rows("arms")),
}


def headline_of(evidence: Evidence) -> str:
    """The result of a run of any kind in one sentence, "" where there is none yet."""
    if not evidence.metrics:
        return ""
    found = _OF.get(evidence.kind)
    return evidence.text("headline") if found is None else found(evidence)
