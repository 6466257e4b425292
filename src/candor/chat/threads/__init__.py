"""What in a conversation depends on its earlier turns: our own cases, two measures, a comparison."""

from __future__ import annotations

from candor.chat.threads.case import CATEGORIES, Case, Category, Check
from candor.chat.threads.evaluate import REPLY_TOKENS, evaluate
from candor.chat.threads.results import MEASURES, Measure, ThreadResults, ThreadRow, compare, gaps, rates
from candor.chat.threads.write import cases

__all__ = [
    "CATEGORIES",
    "MEASURES",
    "REPLY_TOKENS",
    "Case",
    "Category",
    "Check",
    "Measure",
    "ThreadResults",
    "ThreadRow",
    "cases",
    "compare",
    "evaluate",
    "gaps",
    "rates",
]
