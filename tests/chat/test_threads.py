from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from candor.chat.threads import (
    CATEGORIES,
    MEASURES,
    Case,
    Check,
    ThreadRow,
    cases,
    compare,
    evaluate,
    gaps,
    rates,
)
from candor.chat.threads.case import mentions
from candor.chat.threads.material import fillers, pools, templates
from candor.core.errors import CandorError
from candor.engine.local import LocalEngine
from candor.engine.protocol import Completion, Generation
from tiny_models import SIZES, tiny_model

CASES = cases()
THREADS = [case for case in CASES if case.category != "single"]
SINGLES = [case for case in CASES if case.category == "single"]


class Scripted:
    """Answers and prefers whatever `choose` picks of a case's two replies, given the texts it may read."""

    model_name, layers, chat = "scripted", 0, True

    def __init__(self, choose: Callable[[Case, list[str]], str]) -> None:
        self.choose = choose
        self.calls: Counter[str] = Counter()
        # A prompt of one turn is that of a control, or of a case (and its twin) without its earlier turns.
        self.by_prompt = {self._key(case.last): case for case in THREADS}
        self.by_prompt |= {self._key(case.prompt): case for case in CASES}

    def generate(self, prompts: Sequence[Any], sampling: Any, **how: Any) -> list[Generation]:
        self.calls["generate"] += 1
        how["on_progress"](len(prompts))
        return [Generation((Completion(self._chosen(p), (), (), "stop"),), 1) for p in prompts]

    def score(self, prompts: Sequence[Any], completions: Sequence[str]) -> list[list[float]]:
        self.calls["score"] += 1
        scored = zip(prompts, completions, strict=True)
        return [[-1.0, -1.0 if self._chosen(prompt) == text else -2.0] for prompt, text in scored]

    def _chosen(self, prompt: Any) -> str:
        return self.choose(self.by_prompt[self._key(prompt)], [message["content"] for message in prompt])

    @staticmethod
    def _key(prompt: Any) -> str:
        return "\n".join(message["content"] for message in prompt)


def measured(choose: Callable[[Case, list[str]], str]) -> dict[str, dict[Any, float | None]]:
    results = evaluate(Scripted(choose), CASES, on_progress=lambda _: None)
    return {group: {m: cell[m].value for m in MEASURES} for group, cell in results.rates().items()}


def by_position(case: Case, texts: list[str], place: int) -> str:
    # The reply whose value the conversation mentions first (0) or last (-1).
    whole = "\n".join(texts)
    found = sorted(
        (match.start(), reply)
        for value, reply in zip(case.values, (case.right, case.wrong), strict=True)
        for match in re.finditer(rf"(?<![\w:]){re.escape(value)}(?!\w)", whole)
    )
    return found[place][1] if found else min(case.right, case.wrong)


def test_there_are_enough_cases_and_templates_of_each_category() -> None:
    assert len(THREADS) >= 300
    assert len(CASES) >= 360
    count = Counter(case.category for case in CASES)
    assert set(count) == set(CATEGORIES)
    assert min(count.values()) >= 60
    assert min(Counter(row.category for row in templates()).values()) >= 16
    assert {case.about for case in SINGLES} == set(CATEGORIES) - {"single"}
    assert {case.template for case in SINGLES} == {row.id for row in templates()}


def test_cases_follow_from_the_seed_and_no_two_are_equal() -> None:
    assert cases() == CASES
    assert len({case.id for case in CASES}) == len(CASES)
    assert len({tuple(turn.content for turn in case.messages) for case in CASES}) == len(CASES)
    other = cases(1)
    assert len({case.messages for case in other} & {case.messages for case in CASES}) < len(CASES) / 10


def test_more_rounds_give_more_values_and_no_case_twice() -> None:
    twice = cases(rounds=2)
    assert len(twice) == 2 * len(CASES)
    assert len({case.id for case in twice}) == len({case.messages for case in twice}) == len(twice)
    with pytest.raises(ValueError, match="fewer rounds"):
        cases(rounds=1000)


def test_roles_alternate_and_the_user_has_the_last_word() -> None:
    for case in CASES:
        roles = [turn.role for turn in case.messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"], case.id
        assert not [turn for turn in case.messages if re.search(r"[{}]|  ", turn.content)], case.id
        assert all(place < len(roles) - 1 for place in case.needs) == (case.category != "single"), case.id


def test_right_replies_pass_and_distractors_fail() -> None:
    assert [case.id for case in CASES if not case.check.holds(case.right)] == []
    assert [case.id for case in CASES if case.check.holds(case.wrong)] == []


def test_listing_both_replies_or_refusing_fails() -> None:
    # Where a whole sentence is wanted, the answer in one word before it does no harm.
    listed = [case for case in CASES if case.template != "constraint-length"]
    assert [case.id for case in listed if case.check.holds(f"{case.right} {case.wrong}")] == []
    assert [case.id for case in CASES if case.check.holds("I don't know.") or case.check.holds("")] == []


def test_replies_of_a_case_differ_in_the_value_alone() -> None:
    for case in (case for case in CASES if case.about != "constraint"):
        right, wrong = (
            reply.replace(value, "VALUE")
            for reply, value in zip((case.right, case.wrong), case.values, strict=True)
        )
        assert right == wrong, case.id


def test_only_controls_hold_the_answer_in_their_last_turn() -> None:
    twins = {case.id: case for case in CASES}
    for case in CASES:
        last = case.messages[-1].content
        twin = twins[case.id[:-1] + ("b" if case.id.endswith("a") else "a")]
        forms = (*case.values, *case.check.any_of, *twin.check.any_of)
        told = [form for form in forms if mentions(last, form, case=case.check.case)]
        assert bool(told) == (case.category == "single"), (case.id, told)


def test_both_values_are_mentioned_before_and_never_outside_what_is_needed() -> None:
    for case in CASES:
        for value in case.values:
            places = {i for i, turn in enumerate(case.messages) if mentions(turn.content, value)}
            assert places and places <= {*case.needs}, (case.id, value)


def test_twins_have_one_last_turn_and_exchanged_replies() -> None:
    pairs: dict[str, list[Case]] = {}
    for case in CASES:
        pairs.setdefault(case.pair, []).append(case)
    for name, (one, two) in pairs.items():
        assert (one.right, one.wrong) == (two.wrong, two.right), name
        assert one.values == two.values[::-1], name
        assert one.messages != two.messages
        if one.category != "single":
            assert one.messages[-1] == two.messages[-1], name


def test_order_of_mention_decides_nothing() -> None:
    for place in (0, -1):
        found = measured(lambda case, texts, place=place: by_position(case, texts, place))
        for category in (*CATEGORIES, "threads"):
            assert found[category]["preferred"] == pytest.approx(0.5, abs=0.04), (category, place)
            assert found[category]["written"] == found[category]["preferred"]


def test_distances_reach_from_one_to_four_turns_back() -> None:
    def back(case: Case) -> int:
        return sum(turn.role == "user" for turn in case.messages[max(case.needs) + 1 :])

    assert {back(case) for case in THREADS if case.category == "recall"} == {1, 2, 3, 4}
    assert {back(case) for case in THREADS if case.category == "constraint"} == {2, 3, 4}
    # Whether the first or the second value is asked for does not go with the distance.
    far = [case for case in THREADS if case.category == "recall" and back(case) > 2]
    first = [by_position(case, [turn.content for turn in case.messages], 0) == case.right for case in far]
    assert sum(first) / len(first) == pytest.approx(0.5, abs=0.1)


def test_fillers_and_pools_are_free_of_doubles() -> None:
    for kind in ("chat", "pause", "answer"):
        rows = fillers(kind)
        assert len({(row.user, row.assistant) for row in rows}) == len(rows)
    for name, values in pools().items():
        forms = [form.lower() for value in values for form in value.accepted]
        assert len(forms) == len(set(forms)), name
        # No value is a word of another, or a reply with the one would count for the other.
        assert not [
            (a, b) for a in forms for b in forms if a != b and mentions(a, b) and not _same(values, a, b)
        ]


def _same(values: Sequence[Any], a: str, b: str) -> bool:
    return any({a, b} <= {form.lower() for form in value.accepted} for value in values)


def test_a_perfect_model_scores_one_in_one_call_each() -> None:
    engine = Scripted(lambda case, texts: case.right)
    steps: list[int] = []
    results = evaluate(engine, CASES, on_progress=steps.append)
    assert engine.calls == {"generate": 1, "score": 1}
    assert sum(steps) == 2 * len(CASES)
    table = results.rates()
    for category in (*CATEGORIES, "threads"):
        assert table[category]["written"].value == table[category]["preferred"].value == 1
    assert all(cell.value == 0 for row in results.gaps().values() for cell in row.values())


@pytest.mark.parametrize("taste", [1, 2, 3])
def test_reading_the_last_turn_alone_is_chance(taste: int) -> None:
    # Any taste for words, and whatever the last turn says: right for one twin, wrong for the other.
    def choose(case: Case, texts: list[str]) -> str:
        return min(case.right, case.wrong, key=lambda text: zlib.crc32(f"{taste}{texts[-1]}{text}".encode()))

    found = measured(choose)
    for category in (*CATEGORIES[:-1], "threads"):
        assert found[category]["preferred"] == found[category]["written"] == 0.5, category
        assert found[category]["alone"] == found[category]["moved"] == 0.5, category


def test_a_model_that_does_the_task_but_forgets_has_a_gap_to_the_controls() -> None:
    def choose(case: Case, texts: list[str]) -> str:
        return case.right if case.category == "single" else min(case.right, case.wrong)

    results = evaluate(Scripted(choose), CASES, on_progress=lambda _: None)
    gap = results.gaps()["threads"]["preferred"]
    assert gap.value == pytest.approx(0.5)
    assert gap.low is not None and gap.low > 0.45
    assert results.rates()["single"]["written"].value == 1


class WordModel(LocalEngine):
    """A random model that sees each word as one of a few: a real engine without any knowledge."""

    def score(self, prompts: Sequence[Any], completions: Sequence[str]) -> list[list[float]]:
        def ids(text: str) -> list[int]:
            return [3 + zlib.crc32(word.encode()) % (SIZES["vocab_size"] - 3) for word in text.split()]

        texts = [" ".join(message["content"] for message in prompt) for prompt in prompts]
        pairs = zip(texts, completions, strict=True)
        return self.score_tokens([(ids(text)[-90:], ids(tail)) for text, tail in pairs])

    def generate(self, prompts: Sequence[Any], sampling: Any, **how: Any) -> list[Generation]:
        return [Generation((Completion("w1", (), (), "stop"),), 1) for _ in prompts]


def test_the_control_of_a_random_word_model_is_exactly_chance() -> None:
    core = Tokenizer(models.WordLevel({f"w{i}": i for i in range(SIZES["vocab_size"])}, unk_token="w1"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # type: ignore[assignment]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="w0")
    engine = WordModel(tiny_model("llama").eval(), tokenizer, name="words")
    # Twelve pairs of each category: the control is exact for any number.
    some = [case for category in CATEGORIES for case in [c for c in CASES if c.category == category][:24]]
    rows = evaluate(engine, some).rows
    table = rates(rows)
    for category in (*CATEGORIES[:-1], "threads"):
        assert table[category]["alone"].value == 0.5
        assert table[category]["written"].value == 0
    for measure in ("preferred", "moved"):
        estimate = table["threads"][measure]
        assert estimate.low is not None and estimate.high is not None
        assert estimate.low < 0.5 < estimate.high


def test_ties_count_half() -> None:
    class Uniform(Scripted):
        def score(self, prompts: Sequence[Any], completions: Sequence[str]) -> list[list[float]]:
            return [[-5.0] for _ in prompts]

    rows = evaluate(Uniform(lambda case, texts: ""), CASES, on_progress=lambda _: None).rows
    table = rates(rows)
    assert {table["threads"][m].value for m in ("preferred", "moved", "alone")} == {0.5}


def test_an_engine_without_log_probabilities_is_an_error() -> None:
    class Mute(Scripted):
        def score(self, prompts: Sequence[Any], completions: Sequence[str]) -> list[list[float]]:
            return [[] for _ in prompts]

    with pytest.raises(CandorError, match="no log-probabilities"):
        evaluate(Mute(lambda case, texts: ""), CASES)


@pytest.mark.parametrize(
    ("reply", "fine"),
    [
        ("Your name is Marta.", True),
        ("It's MARTA!", True),
        ("**Marta**", True),
        ("Marta, not Elena.", True),
        ("Your name isn't Elena, it's Marta.", True),
        ("Your name is Elena.", False),
        ("Not Marta.", False),
        ("Marta or Elena.", False),
        ("Your name is Martha.", False),
        ("Your name is Martas.", False),
        ("Your name is Marta.\nUser: And my sister's?\nAssistant: Elena.", True),
        ("Hello!\nUser: My name is Marta.", False),
        ("", False),
    ],
)
def test_checks_read_whole_words_and_denials(reply: str, fine: bool) -> None:
    assert Check(any_of=("Marta",), none_of=("Elena",)).holds(reply) is fine


def test_checks_know_times_case_and_length() -> None:
    time = Check(any_of=("7:15", "quarter past seven"), none_of=("17:15",))
    assert time.holds("At 7:15am.") and time.holds("At quarter past seven.") and not time.holds("At 17:15.")
    loud = Check(any_of=("COLD",), none_of=("cold",), case=True)
    assert loud.holds("COLD.") and not loud.holds("cold") and not loud.holds("Cold")
    short, long = Check(any_of=("Paris",), most=1), Check(any_of=("Paris",), least=4)
    assert short.holds("Paris.") and not short.holds("It is Paris.")
    assert long.holds("The capital is Paris.") and not long.holds("Paris.")


def toy(name: str, template: str, right: bool, **fields: Any) -> ThreadRow:
    margin = 1.0 if right else -1.0
    values: dict[str, Any] = {"category": "recall", "about": "recall", "margin": margin, "margin_alone": 0.0}
    return ThreadRow(id=name, template=template, reply="", passed=right, **{**values, **fields})


def test_the_right_value_for_the_wrong_person_fails() -> None:
    mine = next(
        case for case in THREADS if case.template == "reference-mine" and "mine" in case.messages[-1].content
    )
    assert mine.check.holds(f"Yours is {mine.values[0]}.")
    assert not mine.check.holds(f"Your sister's favourite colour is {mine.values[0]}.")
    signed = next(case for case in THREADS if case.template == "constraint-signature")
    assert signed.check.holds(f"Sleep well!\n{signed.values[0]}")
    assert not signed.check.holds(f"Dear {signed.values[0]},\nall the best")


def test_comparison_is_paired_and_clustered_by_template() -> None:
    # Eight templates of four cases; in two of the templates all cases turn from wrong to right.
    before = [toy(f"{t}/{i}", f"t{t}", False) for t in range(8) for i in range(4)]
    after = [toy(f"{t}/{i}", f"t{t}", t < 2) for t in range(8) for i in range(4)]
    found = compare(before, after[::-1])["recall"]["written"]
    assert (found.value, found.n) == (0.25, 32)
    assert (
        found.low == 0
    )  # a quarter of 32 independent cases would exclude zero; two of eight templates do not
    loose = compare(before, [row.model_copy(update={"template": row.id}) for row in after])
    assert loose["recall"]["written"] == found  # the clusters are those of the first
    apart = [row.model_copy(update={"template": row.id}) for row in before]
    independent = compare(apart, after)["recall"]["written"]
    assert independent.low is not None and independent.low > 0.05


def test_comparison_refuses_other_cases() -> None:
    row = toy("a", "t", True)
    with pytest.raises(CandorError, match=r"same cases.*b"):
        compare([row], [row, toy("b", "t", True)])
    with pytest.raises(CandorError, match="twice"):
        compare([row, row], [row, row])


def test_gap_is_the_mean_over_templates() -> None:
    single = {"category": "single", "margin_alone": None}
    rows = [toy("a", "s", True), toy("b", "s", False), toy("c", "t", False), toy("d", "t", False)]
    rows += [toy("e", "s", True, **single), toy("f", "t", True, **single)]
    found = gaps(rows)["recall"]["written"]
    assert (found.value, found.n) == (0.75, 2)
    assert rates(rows)["single"]["alone"].n == 0
