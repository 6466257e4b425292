"""Scores that rank answers, from scripted engines and answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from candor.core.errors import CandorError
from candor.engine.endpoint import RefusedError
from candor.engine.protocol import Completion, Generation, Prompt, Sampling
from candor.knowledge.recipe import ProbeSettings
from candor.knowledge.records import Answer, ProbeRow
from candor.knowledge.scores import LABELS, agreement, answer_scores, p_true

QUESTION = "What is the capital of France?"


def row(greedy: str, *samples: str, logprobs: tuple[float, ...] = ()) -> ProbeRow:
    return ProbeRow(
        id="q",
        greedy=Answer(text=greedy, logprobs=logprobs),
        samples=tuple(Answer(text=text) for text in samples),
        prompt_tokens=1,
    )


@pytest.mark.parametrize("text", ["Paris", "It's Paris, of course.", "", "France", "?!"])
def test_identical_samples_agree_fully(text: str) -> None:
    assert agreement(row(text, text, text, text), QUESTION) == 1


def test_samples_without_a_common_word_do_not_agree_even_if_they_repeat_the_question() -> None:
    assert agreement(row("The capital of France is Paris", "The capital of France is Lyon"), QUESTION) == 0
    assert agreement(row("Paris", ""), QUESTION) == 0


def test_agreement_is_the_mean_overlap_in_words() -> None:
    # F1 with "Paris on Seine": 1, 2·1/(3+1) = 1/2, 0.
    found = agreement(row("Paris on Seine", "paris ON seine!", "Paris", "Lyon"), QUESTION)
    assert found == pytest.approx((1 + 0.5 + 0) / 3)


def test_probabilities_are_those_of_the_greedy_answer() -> None:
    scores = answer_scores(row("Paris", "Paris", logprobs=(-0.5, -1.5)), QUESTION)
    assert scores["token_probability"] == -1.0
    assert scores["sequence_probability"] == -2.0
    assert scores["first_token_probability"] == -0.5
    assert scores["question_length"] == -len(QUESTION)
    assert set(scores) <= set(LABELS)


def test_without_log_probabilities_their_scores_are_missing_and_the_others_are_not() -> None:
    scores = answer_scores(row("Paris", "Paris"), QUESTION)
    assert math.isnan(scores["token_probability"])
    assert math.isnan(scores["first_token_probability"])
    assert scores["agreement"] == 1


class Scripted:
    """Answers each prompt with given first-token alternatives."""

    model_name = "scripted"
    chat = True
    error: CandorError = RefusedError("this server gives no alternatives", status=400)

    def __init__(self, *alternatives: dict[str, float] | None, layers: int = 0) -> None:
        self.alternatives = alternatives
        self.layers = layers
        self.prompts: Sequence[Prompt] = ()

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling | Sequence[Sampling],
        *,
        hidden_layers: Sequence[int] = (),
    ) -> list[Generation]:
        if not self.alternatives:
            raise self.error
        self.prompts = prompts
        assert isinstance(sampling, Sampling)
        # 20 alternatives are the most that OpenAI's API gives.
        assert (sampling.max_tokens, sampling.temperature, sampling.top_logprobs) == (1, 0, 20)
        return [
            Generation(
                (
                    Completion(
                        "x",
                        (1,),
                        (0.0,),
                        "length",
                        () if given is None else ({k: math.log(v) for k, v in given.items()},),
                    ),
                ),
                prompt_tokens=1,
            )
            for given in self.alternatives
        ]

    def score(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[list[float]]:
        raise NotImplementedError


def ask_p_true(engine: Any, count: int) -> list[float]:
    rows = [row("Paris")] * count
    return p_true(engine, [QUESTION] * count, rows, ProbeSettings())


def test_p_true_is_the_share_of_yes_among_yes_and_no_in_any_spelling() -> None:
    engine = Scripted({"Yes": 0.3, " yes": 0.1, "No": 0.2, "Maybe": 0.4}, {"No": 0.9}, {"YES": 0.01})
    assert ask_p_true(engine, 3) == pytest.approx([4 / 6, 0, 1])


def test_p_true_shows_the_model_its_own_answer_to_the_question_as_it_was_asked() -> None:
    engine = Scripted({"Yes": 1.0})
    ask_p_true(engine, 1)
    first, second, third = engine.prompts[0]
    assert first == {"role": "user", "content": f"{QUESTION} Answer briefly."}
    assert second == {"role": "assistant", "content": "Paris"}
    assert third["role"] == "user"  # type: ignore[index]


def test_p_true_is_missing_where_nothing_tells() -> None:
    assert all(math.isnan(value) for value in ask_p_true(Scripted({"Maybe": 0.4}, None), 2))


def test_a_server_that_refuses_alternatives_leaves_the_score_out_but_an_outage_is_an_error() -> None:
    engine = Scripted()
    assert all(math.isnan(value) for value in ask_p_true(engine, 2))
    engine.error = CandorError("the server is down")
    with pytest.raises(CandorError):
        ask_p_true(engine, 2)
