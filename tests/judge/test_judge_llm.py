from __future__ import annotations

import pytest

from candor.engine.protocol import Completion, Generation
from candor.judge import LLMJudge, Verdict, read_letter

PARIS = ("What is the capital of France?", ["Paris"], "It is Paris.")
LYON = ("What is the capital of France?", ["Paris"], "It is Lyon.")
SILENT = ("What is the capital of France?", ["Paris"], "")


class ScriptedEngine:
    """Replies with the given texts in turn and keeps what it was asked."""

    model_name, layers = "scripted", 0

    def __init__(self, replies, chat=True):
        self.replies, self.chat, self.prompts, self.sampling = replies, chat, [], None

    def generate(self, prompts, sampling, *, hidden_layers=()):
        self.prompts, self.sampling = list(prompts), sampling
        return [Generation((Completion(reply, (), (), "stop"),), 1) for reply in self.replies]

    def score(self, prompts, completions):
        raise AssertionError("the judge reads text only")


def test_letters_become_verdicts_in_order():
    engine = ScriptedEngine(["C", " b.", "Grade: A"])
    judge = LLMJudge(engine)
    assert judge.judge_many([PARIS, LYON, SILENT]) == [
        Verdict.NOT_ATTEMPTED,
        Verdict.INCORRECT,
        Verdict.CORRECT,
    ]
    assert judge.fallbacks == 0
    assert engine.sampling.temperature == 0


def test_unreadable_replies_fall_back_to_the_rules_and_are_counted():
    judge = LLMJudge(ScriptedEngine(["", "I believe so", "Absolutely"]))
    assert judge.judge_many([PARIS, LYON, SILENT]) == [
        Verdict.CORRECT,
        Verdict.INCORRECT,
        Verdict.NOT_ATTEMPTED,
    ]
    assert judge.fallbacks == 3


def test_prompt_holds_question_answers_and_response_for_chat_and_base_models():
    for chat in (True, False):
        engine = ScriptedEngine(["A"], chat=chat)
        LLMJudge(engine).judge_many([("Who?", ["Ann", "Bo"], "It is Bo.")])
        prompt = engine.prompts[0]
        text = prompt[0]["content"] if chat else prompt
        assert isinstance(prompt, str) is not chat
        assert all(part in text for part in ("Who?", "Ann; Bo", "It is Bo."))


def test_nothing_to_judge_asks_nothing():
    engine = ScriptedEngine([])
    assert LLMJudge(engine).judge_many([]) == []
    assert engine.sampling is None


@pytest.mark.parametrize(
    ("reply", "verdict"), [("A", "correct"), ("(B)", "incorrect"), ("**C**", "not_attempted")]
)
def test_decorated_letters_are_read(reply, verdict):
    assert read_letter(reply) == verdict


@pytest.mark.parametrize("reply", ["", "Absolutely", "D", "Both", "C'est"])
def test_words_that_begin_with_a_letter_are_not_verdicts(reply):
    assert read_letter(reply) is None


def test_braces_in_a_response_are_kept():
    engine = ScriptedEngine(["A"])
    LLMJudge(engine).judge_many([("Set {x}?", ["{1}"], "{question}")])
    assert "{question}" in engine.prompts[0][0]["content"]
