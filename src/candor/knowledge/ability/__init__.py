"""Whether tuning ruined the model: plain instructions with rule checks, prose for perplexity, rehearsal."""

from __future__ import annotations

from candor.knowledge.ability.checks import (
    REPLY_TOKENS,
    Instruction,
    Passage,
    Rehearsal,
    instructions,
    passages,
    passes,
    perplexity,
    perplexity_estimate,
    rehearsal,
    rehearsal_rows,
    scoring_pairs,
    texts,
)

__all__ = [
    "REPLY_TOKENS",
    "Instruction",
    "Passage",
    "Rehearsal",
    "instructions",
    "passages",
    "passes",
    "perplexity",
    "perplexity_estimate",
    "rehearsal",
    "rehearsal_rows",
    "scoring_pairs",
    "texts",
]
