"""Judging free-text answers to short factual questions: correct, incorrect or not attempted."""

from __future__ import annotations

from candor.judge.cases import JudgeCase, judge_accuracy, judge_cases
from candor.judge.llm import LLMJudge, read_letter
from candor.judge.refusal import is_refusal
from candor.judge.rules import Verdict, judge

__all__ = [
    "JudgeCase",
    "LLMJudge",
    "Verdict",
    "is_refusal",
    "judge",
    "judge_accuracy",
    "judge_cases",
    "read_letter",
]
