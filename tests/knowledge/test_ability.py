from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest
from pydantic import TypeAdapter, ValidationError

from candor.knowledge.ability import (
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
from candor.knowledge.ability.checks import Check

REFUSALS = (
    "I don't know.",
    "I'm sorry, I don't know.",
    "I do not know the answer to that question.",
    "I'm not sure about that.",
    "I have no information about that.",
    "I don't have enough information to answer.",
)

# A good reply to every instruction, written by hand: the checks must accept what a person would accept.
REPLIES = {
    "hello": "Hello! I'm doing well, thank you. How are you?",
    "morning": "Good morning, Clara! How can I help you today?",
    "thanks": "You're welcome! I'm glad I could help.",
    "luck": "Good luck! I'm sure that you will do well.",
    "goodbye": "Goodbye, my dear friend. I will miss you, and I wish you all the best.",
    "colours": "Red, yellow and green.",
    "farm": "1. Cow\n2. Pig\n3. Sheep\n4. Chicken",
    "week": "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday.",
    "kitchen": "A stove, a sink, a fridge, plates and knives.",
    "instruments": "The piano and the violin.",
    "feelings": "Happiness, anger and fear.",
    "count": "One, two, three, four, five.",
    "past": "I walked to school.",
    "negative": "I do not like fish.",
    "capitals": "HELLO WORLD",
    "spelling": "I received a letter from my friend.",
    "question": "Do you like tea?",
    "replace": "The horse ran across the field.",
    "shorter": "It was very cold and windy outside.",
    "plural": "The plural of 'apple' is 'apples'.",
    "adjective": "The old house stands on a hill.",
    "hot": "The opposite of hot is cold.",
    "up": "Down.",
    "happy": "Joyful.",
    "rhyme": "'Hat' rhymes with 'cat'.",
    "start-b": "Balloon",
    "spanish": "'Hello' in Spanish is '¡Hola!'",
    "french": "You say 'merci'.",
    "name": "The person's name is Maria.",
    "number": "The number is 27.",
    "city": "The city is Lisbon.",
    "colour": "Green.",
    "day": "The meeting is on Thursday.",
    "mail": "The e-mail address is anna@example.com.",
    "even": "10, 12, 14",
    "letters": "The next letter is E.",
    "alternate": "The next colour is blue.",
    "bread": "Butter.",
    "plus": "2 + 3 = 5",
    "minus": "10 - 4 is 6.",
    "apples": "You have five apples now.",
    "larger": "7 is larger than 3.",
    "review": "The review is positive.",
    "animal": "A rose is a plant.",
    "yes": "Yes, ice is cold.",
    "only": "Ready.",
    "rain": "Soft the rain is falling down\non every roof in sleepy town.",
    "dog": "Our dog sleeps by the door. He barks when the postman comes.",
    "birthday": "Happy birthday, dear sister! I wish you a wonderful year.",
    "title": "The Last Dragon of Ember Hill",
    "story": "Once upon a time a fox lived under an old oak and counted the stars every night.",
    "sea": "The sea is wide and blue, and its waves never rest on the shore.",
    "slogan": "Fresh bread, warm heart.",
    "day-off": "Dear Ms Gray,\n\nmay I take a day off next Friday? I have to help at home.\n\nRegards, Tom",
    "tea": "Boil some water, pour it over a tea bag in a cup, and wait for three minutes.",
    "sleep": "Go to bed at the same time every night and keep your room dark and quiet.",
    "nervous": "Practise it aloud a few times, breathe slowly before you begin, and smile.",
    "money": "Make a simple budget, cook at home more often, and put a fixed sum aside on payday.",
    "photosynthesis": "Plants use sunlight to turn water and carbon dioxide into sugar.",
    "hands": "Washing removes germs that could make them ill.",
    "bridge": "A bridge lets people and cars cross a river or a road.",
    "umbrella": "People use an umbrella when it rains.",
    "pets": "I prefer a dog, because dogs love to play and go for walks.",
    "season": "The days are long and warm, and you can swim outside.",
    "reading": "Yes, reading is a good habit, because it teaches you new words and ideas.",
    "storm": "A storm on the coast felled trees and cut off electricity.",
    "shop": "The old toy shop has closed.",
    "baker": "She is a baker.",
    "ship": "It carries salt.",
    "village": "It has two teachers.",
    "painter": "It showed a red barn.",
    "cat": "Button sleeps in a basket by the stove.",
    "metal": "Tarvium is blue.",
    "match": "The Hask Rovers won.",
    "train": "It leaves from platform nine.",
}


def _content(text: str) -> set[str]:
    # Words of four letters and more, but those that many instructions share.
    small = {
        "this",
        "that",
        "what",
        "which",
        "with",
        "would",
        "write",
        "give",
        "name",
        "sentence",
        "word",
        "words",
    }
    return set(re.findall(r"[a-z]{4,}", text.lower())) - small


def test_texts_are_forty_passages_of_many_kinds_and_of_one_length() -> None:
    rows = passages()
    assert len(rows) == 40
    assert len({row.id for row in rows}) == len({row.text for row in rows}) == 40
    assert len({row.kind for row in rows}) >= 15
    assert all(90 <= len(row.text.split()) <= 160 for row in rows)
    assert texts() == [row.text for row in rows]


def test_instructions_and_rehearsal_are_unique_and_of_the_promised_size() -> None:
    rows, others = instructions(), rehearsal_rows()
    assert len({row.id for row in rows}) == len({row.instruction for row in rows}) == len(rows) >= 60
    assert len({row.id for row in others}) == len(set(rehearsal())) == len(others) >= 80
    assert sum(row.kind == "open-book" for row in others) == 20
    assert all(bool(row.answers) == (row.kind == "open-book") for row in others)


def test_open_book_answers_stand_in_their_passage() -> None:
    for row in rehearsal_rows():
        passage = row.instruction.split("\n\n")[0]
        assert not row.answers or any(answer in passage for answer in row.answers), row.id


def test_no_rehearsed_instruction_resembles_a_tested_one() -> None:
    for tested in instructions():
        for other in rehearsal():
            a, b = _content(tested.instruction), _content(other)
            assert len(a & b) / max(1, len(a | b)) < 0.34, (tested.instruction, other)


def test_invented_names_of_the_rehearsal_are_not_tested() -> None:
    def names(text: str) -> set[str]:
        # Capitals inside a sentence.
        return set(re.findall(r"(?<![.?!'\n] )(?<!^)(?<![\n'])\b[A-Z][a-z]{2,}", text))

    tested = set().union(*(names(row.instruction) for row in instructions() if row.kind == "open_book"))
    rehearsed = set().union(*(names(text) for text in rehearsal()))
    assert {"Ruddle", "Ondermoor", "Quillport"} <= tested
    assert not tested & rehearsed


def test_every_instruction_accepts_a_good_reply() -> None:
    assert set(REPLIES) == {row.id for row in instructions()}
    assert [row.id for row in instructions() if not passes(row, REPLIES[row.id])] == []


@pytest.mark.parametrize("refusal", REFUSALS)
def test_every_instruction_fails_a_refusal(refusal: str) -> None:
    assert [row.id for row in instructions() if passes(row, refusal)] == []


@pytest.mark.parametrize("nothing", ["", "  \n", ".", "the the the the the the the the the the the"])
def test_every_instruction_fails_an_empty_reply_and_a_loop(nothing: str) -> None:
    assert [row.id for row in instructions() if passes(row, nothing)] == []


def test_every_instruction_fails_its_own_echo() -> None:
    assert [row.id for row in instructions() if passes(row, f" {row.instruction}\n")] == []


def test_checks_tell_instructions_apart() -> None:
    # A good reply to one instruction is a bad reply to almost every other.
    rows = instructions()
    wrong = [passes(row, REPLIES[other.id]) for row in rows for other in rows if other is not row]
    assert sum(wrong) / len(wrong) < 0.04
    neighbours = [(a.id, b.id) for a, b in pairwise(rows) if passes(a, REPLIES[b.id])]
    assert len(neighbours) <= 5, neighbours


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        ({"type": "contains_all", "words": ["red", "a hill"]}, "Red, on A HILL.", "A bored man on a hill"),
        ({"type": "contains_any", "words": ["bak*", "tea"]}, "the bakery", "teak"),
        ({"type": "contains_any", "words": ["red", "blue"], "least": 2}, "red, blue", "red, red"),
        ({"type": "contains_none", "words": ["no"]}, "nothing", "No!"),
        ({"type": "regex", "pattern": "HELLO"}, "HELLO", "hello"),
        ({"type": "starts_with", "words": ["yes"]}, "“Yes, it is", "Yesterday"),
        ({"type": "words", "least": 3}, "one two three", "one two two one"),
        ({"type": "words", "most": 3}, "it's not it", "it is not it"),
        ({"type": "lines", "least": 2, "most": 2}, "a\n\nb\n", "a\na"),
    ],
)
def test_each_check_accepts_and_rejects(check: dict[str, object], good: str, bad: str) -> None:
    parsed = TypeAdapter(Check).validate_python(check)
    assert parsed.holds(good)
    assert not parsed.holds(bad)


def test_a_size_without_bounds_is_refused() -> None:
    with pytest.raises(ValidationError, match="least, most or both"):
        TypeAdapter(Check).validate_python({"type": "words"})


def test_a_rehearsed_reply_is_usable_only_if_it_answers() -> None:
    row = Rehearsal(id="x", kind="open-book", instruction="q", answers=("four", "4"))
    assert row.usable("It needs four players.")
    assert not row.usable("It needs fourteen players.")
    assert not row.usable("I don't know.")
    assert Rehearsal(id="y", kind="plain", instruction="q").usable("A joke about an elephant.")


def test_scoring_pairs_give_back_the_texts_and_a_first_word_to_start_from() -> None:
    prompts, completions = scoring_pairs()
    assert [a + b for a, b in zip(prompts, completions, strict=True)] == texts()
    assert all(prompt and not re.search(r"\s", prompt) for prompt in prompts)


def test_perplexity_of_a_uniform_model_is_its_vocabulary() -> None:
    scores = [[-math.log(50.0)] * length for length in (3, 7, 12)]
    assert perplexity(scores) == [(pytest.approx(n * math.log(50.0)), n) for n in (3, 7, 12)]
    estimate = perplexity_estimate(scores)
    assert estimate.value == pytest.approx(50)
    assert estimate.low == pytest.approx(50)
    assert estimate.high == pytest.approx(50)
    assert estimate.n == 3


def test_perplexity_weighs_tokens_and_not_passages() -> None:
    # Ten tokens at 1/2 and thirty at 1/8: exp((10 ln 2 + 30 ln 8) / 40) = 2 ** (100 / 40).
    estimate = perplexity_estimate([[-math.log(2)] * 10, [-math.log(8)] * 30])
    assert estimate.value == pytest.approx(2**2.5)
    assert estimate.low == pytest.approx(2)
    assert estimate.high == pytest.approx(8)


def test_a_constant_loss_gives_an_exact_ratio_however_different_the_passages() -> None:
    before = [[-0.1 * (i + 1)] * (5 + i) for i in range(12)]
    after = [[score - math.log(1.03) for score in row] for row in before]
    ratio = perplexity_estimate(before, after)
    assert ratio.value == pytest.approx(1.03)
    assert ratio.low == pytest.approx(1.03)
    assert ratio.high == pytest.approx(1.03)


def test_the_ratio_is_that_of_the_two_perplexities() -> None:
    before = [[-1.0, -2.0], [-0.5, -0.25, -3.0], [-2.5]]
    after = [[-1.5, -2.0], [-0.5, -0.75, -2.0], [-3.5]]
    old, new, ratio = (
        perplexity_estimate(before),
        perplexity_estimate(after),
        perplexity_estimate(before, after),
    )
    assert old.value and new.value and ratio.value
    assert ratio.value == pytest.approx(new.value / old.value)
    assert ratio.low is not None and ratio.high is not None
    assert ratio.low < ratio.value < ratio.high


def test_scores_of_different_tokens_are_not_compared() -> None:
    with pytest.raises(ValueError, match="same tokens"):
        perplexity_estimate([[-1.0, -1.0]], [[-1.0]])
    with pytest.raises(ValueError, match="same tokens"):
        perplexity_estimate([[-1.0]], [[-1.0], [-1.0]])


def test_no_passages_give_no_number() -> None:
    assert perplexity_estimate([]).value is None
    assert perplexity_estimate([[]]).value is None
