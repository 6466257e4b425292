"""The table of a mix counts what is there, source by source, and keeps nothing of what passes."""

from __future__ import annotations

import builtins
import json
import random
import statistics
import sys
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from candor.chat.mix import MixCounter
from candor.chat.mix_table import mix_table
from candor.data.conversations import Conversation, Example
from candor.data.long_chats import Pieces


def talk(*turns: str, system: str | None = None, weight: float = 1.0) -> Conversation:
    messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(turns)]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    return Conversation.model_validate({"messages": messages, "weight": weight})


def example(tokens: int, learned: int = 1, weight: float = 1.0) -> Pieces:
    return Pieces((Example((7,) * tokens, (False,) * (tokens - learned) + (True,) * learned, weight),))


def test_each_source_and_the_whole_are_counted() -> None:
    counter = MixCounter(max_tokens=100, languages=False)
    counter.source("a", weight=3.0)
    counter.source("nothing")
    assert counter.add("a", talk("Hi", "Ho"), example(10, 4))
    assert counter.add("a", talk("Hi", "Ho", "And?", "So.", "More?"), example(30, 6))
    assert not counter.add("a", talk("x", "y"), example(101))
    assert counter.add("b", talk(*["x", "y"] * 9, weight=0.5), example(100, 40, weight=0.5))
    mix = counter.mix()
    a, nothing, b = mix.sources
    assert (a.name, a.conversations, a.too_long, a.unanswered, a.weight) == ("a", 2, 1, 1, 3.0)
    assert (a.assistant_turns, a.by_assistant_turns) == (1.5, {"1": 1, "2-3": 1, "4-7": 0, "8+": 0})
    assert (a.tokens, a.tokens_mean, a.tokens_max, a.supervised, a.supervised_share) == (40, 20, 30, 10, 0.25)
    assert (nothing.conversations, nothing.tokens_p95, nothing.supervised_share) == (0, 0, 0)
    assert b.by_assistant_turns["8+"] == 1
    # By weight: 3 × 10 of the first, 1 × 0.5 × 40 of the second.
    assert (a.share_of_loss, b.share_of_loss) == pytest.approx((0.6, 0.4))
    assert (mix.total.conversations, mix.total.tokens, mix.total.too_long) == (3, 140, 1)
    assert mix.total.by_assistant_turns == {"1": 1, "2-3": 1, "4-7": 0, "8+": 1}
    assert json.loads(json.dumps(mix.as_json()))["total"]["supervised_share"] == 50 / 140


def test_duplicates_are_found_within_a_source_and_across_sources() -> None:
    counter = MixCounter(languages=False)
    for name, conversation in [
        ("a", talk("Hi", "Ho")),
        ("a", talk("Hi", "Ho")),
        ("a", talk("Hi", "Hello")),
        ("b", talk("Hi", "Ho")),
        ("b", talk("Hi", "Ho", system="Be kind.")),
        ("b", talk("Hi Ho", "x")),
        ("b", talk("Hi", "Hox")),
    ]:
        counter.add(name, conversation, example(5))
    mix = counter.mix()
    assert [(s.duplicates, s.same_opening) for s in mix.sources] == [(1, 2), (0, 2)]
    assert (mix.total.duplicates, mix.total.same_opening) == (2, 5)


@settings(deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=60))
def test_percentiles_are_those_of_all_lengths(lengths: list[int]) -> None:
    counter = MixCounter(languages=False)
    for number, length in enumerate(lengths):
        counter.add("a", talk(str(number), "x"), example(length))
    mix = counter.mix().total
    for share, found in ((0.5, mix.tokens_p50), (0.95, mix.tokens_p95)):
        assert sum(length <= found for length in lengths) >= share * len(lengths)
        assert sum(length < found for length in lengths) < share * len(lengths)
    assert mix.tokens_mean == pytest.approx(statistics.mean(lengths))


def test_languages_are_recognised_where_there_is_enough_to_read() -> None:
    counter = MixCounter()
    english = "The weather is lovely today and we should go for a walk in the park."
    german = "Das Wetter ist heute sehr schön und wir sollten im Park spazieren gehen."
    for texts in ((english, "Yes, that is a good idea."), (german, "Ja, das machen wir gern."), ("Hi", "Ho")):
        counter.add("a", talk(*texts), example(5))
    mix = counter.mix()
    assert mix.recognised == "yes"
    assert mix.total.languages == {"en": 1, "de": 1, "too short to tell": 1}


def test_without_the_recogniser_the_table_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "py3langid":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    counter = MixCounter()
    counter.add("a", talk("Hi", "Ho"), example(5))
    mix = counter.mix()
    assert (mix.recognised, mix.total.languages) == ("not installed", {})
    assert "candor-lm[corpus]" in shown(mix_table(mix))


def shown(table: Any, width: int = 100) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_the_table_has_a_column_for_each_source_and_one_for_all_of_several() -> None:
    counter = MixCounter(max_tokens=50, languages=False)
    counter.add("[bold]a[/]", talk("Hi", "Ho"), example(10, 4))
    alone = shown(mix_table(counter.mix()))
    assert "[bold]a[/]" in alone
    assert alone.count("┳") == 1
    counter.add("b", talk("Hi", "Ho", "And?", "So."), example(40, 6))
    text = shown(mix_table(counter.mix()))
    lines = {line.split("│")[1].strip(): line for line in text.splitlines() if line.startswith("│")}
    cells = {name: [cell.strip() for cell in line.split("│")[2:-1]] for name, line in lines.items()}
    assert cells["conversations"] == ["1", "1", "2"]
    assert cells["of all tokens"] == ["40.0%", "15.0%", "20.0%"]
    assert cells["with 2–3"] == ["0%", "100%", "50%"]
    assert cells["left out as too long (more than 50 tokens)"] == ["0", "0", "0"]
    assert shown(mix_table(MixCounter(languages=False).mix()))


def test_what_was_cut_is_counted_and_told() -> None:
    counter = MixCounter(max_tokens=50, languages=False)
    (whole,) = example(40, 6).examples
    assert "cut into pieces that fit" not in shown(mix_table(counter.mix()))
    assert counter.add("a", talk("Hi", "Ho", "And?", "So."), Pieces((whole, whole, whole), lost=2, cut=True))
    assert counter.add("a", talk("Hi", "Ho"), Pieces((whole, whole)))  # a template that wants two examples
    assert not counter.add("b", talk("x", "y"), Pieces((), lost=1, cut=True))
    mix = counter.mix()
    a, b = mix.sources
    assert (a.conversations, a.split, a.pieces, a.lost_turns, a.tokens, a.supervised) == (2, 1, 3, 2, 200, 30)
    assert (b.conversations, b.too_long, b.split, b.lost_turns) == (0, 1, 0, 0)
    assert mix.told() == [
        "cut between turns, more than 50 tokens: 1, into 3 pieces",
        "replies left out, more than 50 tokens even alone: 2",
        "left out, more than 50 tokens: 1",
    ]
    text = shown(mix_table(mix))
    lines = {
        line.split("│")[1].strip(): line.split("│")[-2].strip() for line in text.splitlines() if "│" in line
    }
    assert lines["cut into pieces that fit"] == "1"
    assert lines["into so many pieces"] == "3"
    assert lines["replies left out: too long alone"] == "2"


def sizes(parts: Iterable[Any]) -> int:
    return sum(map(sys.getsizeof, parts))


def test_of_a_conversation_only_hashes_are_kept() -> None:
    counter = MixCounter(languages=False)
    rng = random.Random(0)
    for _ in range(50):
        text = "".join(rng.choices("abcdefgh ", k=20_000))
        counter.add("a", talk(text, text[::-1]), example(50))
    whole = [
        *counter._seen,
        *counter._seen[0],
        *counter._seen[1],
        counter._total.lengths,
        counter._total.turns,
    ]
    assert sizes(whole) < 20_000
