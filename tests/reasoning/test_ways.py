"""Ways of asking: what is prompted, what is read, and what is never read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor.core.errors import CandorError
from candor.reasoning.numbers import number_in
from candor.reasoning.ways import register_way, ways_of
from candor.reasoning.ways.asking import ASKING, Asking, Direct, reversed_digits
from candor.rl.problem import Problem, Way

ASKED = [way.name for way in ASKING]

PROBLEM = Problem(id="a", question="What is 12 + 34?", answer="46", steps="2 + 4 = 6\n1 + 3 = 4")
OTHER = Problem(id="b", question="What is 50 + 7?", answer="57", steps="0 + 7 = 7\n5 + 0 = 5")


def way(name: str, *, chat: bool = True) -> Asking:
    (found,) = ways_of([name], chat=chat)
    assert isinstance(found, Asking)
    return found


@pytest.mark.parametrize(
    ("name", "completion", "answer"),
    [
        ("direct", "Answer: 46", "46"),
        ("direct", "46", "46"),
        ("direct", "**Answer:** 46", "46"),
        ("direct", "The answer is 46.", "46."),
        ("direct", "Answer: 46\nAnswer: 47", "46"),
        ("direct", "I add.\nThat makes 46", "46"),
        ("direct", "", None),
        ("direct", "Answer:", None),
        ("direct", "Let me see.\nWhat is 12 + 34?", None),
        ("direct", "Sum of these:\n12 + 34 =", None),
        ("direct", "Answer: 46\n\nQuestion: What is 1 + 1?\nAnswer: 2", "46"),
        ("reversed", "Answer: 64", "46"),
        ("reversed", "Answer: The sum is 64.", "The sum is 46."),
        ("steps", "Steps:\n2 + 4 = 6\n1 + 3 = 4\nAnswer: 46", "46"),
        ("steps", "The answer is not 40.\nAnswer: 46", "46"),
        ("steps", "2 + 4 = 6\nso it is 46", "46"),
        ("steps", "Steps:\nFirst\nAnswer: ", None),
        ("explain", "Answer: 45\nExplanation:\n12 + 34 = 46\nSo the answer is 46", "45"),
        ("explain", "Answer: 45\nBecause it is.", "45"),
        ("scratchpad", "<scratch>\nAnswer: 1\n</scratch>\nAnswer: 46", "46"),
        ("scratchpad", "<scratch>\n2 + 4 = 6\nAnswer: 46", None),
        ("scratchpad", "Answer: 46", "46"),
    ],
)
def test_answers_are_found_by_their_mark_else_as_the_last_number(
    name: str, completion: str, answer: str | None
) -> None:
    assert way(name).read(completion) == answer


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("chat", [True, False])
def test_a_completion_that_repeats_its_question_gives_no_answer_of_it(name: str, chat: bool) -> None:
    asking = way(name, chat=chat)
    for said in (" What is 12 + 34?\nWhat is 12 + 34?", "\n12 + 34\n12 + 34 =", "\n\nQuestion: 12 + 34?"):
        read = asking.read(said)
        assert read is None or number_in(read) is None, read


@pytest.mark.parametrize("name", ASKED)
def test_a_base_model_reads_solved_problems_and_goes_on_where_the_prompt_ends(name: str) -> None:
    asking = way(name, chat=False)
    prompt = asking.prompt(PROBLEM, [OTHER])
    assert isinstance(prompt, str)
    assert prompt.endswith(f"Question: {PROBLEM.question}\n{asking.opening}")
    assert asking.prompt(OTHER, ()) + asking.written(OTHER) in prompt  # type: ignore[operator]
    assert not prompt[-1].isspace()  # a space there would be a token of its own
    assert "46" not in prompt


@pytest.mark.parametrize("name", ASKED)
def test_a_chat_model_is_told_how_to_answer_and_shown_it(name: str) -> None:
    asking = way(name)
    messages = asking.prompt(PROBLEM, [OTHER])
    assert [message["role"] for message in messages] == [  # type: ignore[index]
        "system", "user", "assistant", "user",
    ]  # fmt: skip
    assert messages[2]["content"] == asking.written(OTHER)  # type: ignore[index]
    assert "Answer:" in messages[0]["content"]  # type: ignore[index]
    (alone,) = asking.prompt(PROBLEM)
    assert alone["role"] == "user"  # type: ignore[index]
    assert alone["content"] == f"{PROBLEM.question}\n{asking.instruction}"  # type: ignore[index]


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("chat", [True, False])
def test_a_completion_cut_anywhere_can_be_made_to_answer(name: str, chat: bool) -> None:
    asking = way(name, chat=chat)
    whole = asking.written(PROBLEM)
    answer = "64" if name == "reversed" else "46"
    for end in range(len(whole)):
        cut = whole[:end]
        closing = asking.closing(cut)
        if closing is None:
            assert number_in(asking.read(cut) or "") == 46, cut
        elif closing:
            assert asking.read(f"{cut}{closing} {answer}") == "46", cut
        else:  # within its answer
            assert asking.read(whole[: whole.find("\n", end)] if "\n" in whole[end:] else whole) == "46"


@given(st.text(alphabet="0123456789.,- ab\n", max_size=30))
def test_reversing_digits_twice_changes_nothing(text: str) -> None:
    assert reversed_digits(reversed_digits(text)) == text


def test_signs_points_and_words_stay_where_they_are() -> None:
    assert reversed_digits("-120 and 9.11.") == "-021 and 11.9."


@given(st.sampled_from(ASKED), st.booleans(), st.text(max_size=200))
def test_anything_can_be_read_and_cut_without_an_error(name: str, chat: bool, text: str) -> None:
    asking = way(name, chat=chat)
    assert asking.read(text) != ""
    assert asking.closing(text) != "x"


def test_an_unknown_way_is_told_with_the_nearest() -> None:
    with pytest.raises(CandorError) as error:
        ways_of(["direct", "reverse"], chat=True)
    assert "'reverse'" in str(error.value)
    assert "did you mean 'reversed'?" in str(error.value)


def test_other_packages_can_add_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    from candor.reasoning import ways

    monkeypatch.setattr(ways, "_MAKERS", dict(ways._MAKERS))

    class Loud(Direct):
        name = "loud"

    register_way("loud", Loud)
    found: list[Way] = ways_of(["loud", "direct"], chat=False)
    assert [one.name for one in found] == ["loud", "direct"]
