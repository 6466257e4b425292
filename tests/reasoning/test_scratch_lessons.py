"""What small models learn from: characters as tokens, balanced additions, the mixture."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from candor.core.errors import CandorError, InputError
from candor.engine.local import LocalEngine
from candor.engine.protocol import Sampling
from candor.model.load import load_tokenizer, save_checkpoint
from candor.reasoning.scratch.addition import (
    ALPHABET,
    FORMATS,
    Additions,
    Written,
    addition,
    balanced,
    carries,
)
from candor.reasoning.scratch.mixture import Without, mixture
from candor.reasoning.tasks.sequences import sequence_task
from candor.reasoning.ways.free import Free
from candor.train.characters import UNKNOWN, Characters, character_tokenizer
from candor.train.small import SmallModel, small_model


def test_every_character_is_one_token_and_comes_back() -> None:
    tokenizer = character_tokenizer(ALPHABET + " ", 64)
    text = "12 + 345=090,31:357"
    ids = tokenizer(text)["input_ids"]
    assert len(ids) == len(text)
    assert tokenizer.decode(ids) == text
    assert Characters(tokenizer)(text) == ids


def test_a_character_outside_the_alphabet_is_told_and_never_dropped() -> None:
    tokenizer = character_tokenizer("01=", 64)
    with pytest.raises(InputError, match="the character '2'"):
        Characters(tokenizer)("0120=")
    assert tokenizer.convert_ids_to_tokens(tokenizer("020")["input_ids"])[1] == UNKNOWN
    with pytest.raises(CandorError, match="no alphabet"):
        character_tokenizer("0é", 64)


def test_loss_is_on_the_completion_and_its_end_alone() -> None:
    write = Characters(character_tokenizer("0123456789=", 64))
    example = write.example("12=", "3")
    assert example.supervised == (False, False, False, True, True)
    assert example.token_ids[-1] == write.end


def test_a_small_model_loads_in_transformers_and_stops_at_its_end_token(tmp_path: Path) -> None:
    tokenizer = character_tokenizer("0123456789=>:", 40)
    model = small_model(SmallModel(depth=1, width=32, head=16), tokenizer, 40, 0)
    save_checkpoint(model, tokenizer, tmp_path / "small")
    again, loaded = load_tokenizer(str(tmp_path / "small")), AutoTokenizer.from_pretrained(tmp_path / "small")
    assert again("31=")["input_ids"] == loaded("31=")["input_ids"] == tokenizer("31=")["input_ids"]
    assert Characters(again)("31=>4:") == Characters(tokenizer)("31=>4:")
    ordinary = AutoModelForCausalLM.from_pretrained(tmp_path / "small")
    assert ordinary.config.eos_token_id == tokenizer.eos_token_id
    engine = LocalEngine(ordinary.eval(), again)
    assert engine.ends == {tokenizer.eos_token_id}
    (found,) = engine.generate(["31="], Sampling(max_tokens=5, n=4, temperature=1.0))
    assert found.prompt_tokens == 3


@pytest.mark.parametrize("name", FORMATS)
def test_a_sum_is_read_from_what_its_format_writes(name) -> None:
    way = Written(name)
    for one, other in ((123, 456), (999, 1), (5, 5), (100, 900), (0, 0)):
        problem = addition(one, other)
        assert way.read(way.written(problem)) == str(one + other)
    assert way.read("") is None


def test_the_formats_are_what_the_paper_compares() -> None:
    problem = addition(128, 367)
    written = {name: Written(name).written(problem) for name in FORMATS}
    assert written == {"plain": "495", "reversed": "594", "scratchpad": "51,90,40:495"}
    assert carries(128, 367) == 1
    assert carries(999, 1) == 3


def test_training_sums_are_balanced_by_digits_and_carries() -> None:
    found = balanced(4000, 3, 0)
    assert len({problem.id for problem in found}) == 4000
    lengths = Counter(problem.kind for problem in found)
    assert lengths == {"1 digits": 36, "2 digits": 360, "3 digits": 3604}
    pairs = [tuple(map(int, p.id.split("+"))) for p in found if p.kind == "3 digits"]
    assert Counter(carries(*pair) for pair in pairs) == {0: 901, 1: 901, 2: 901, 3: 901}


def test_held_out_sums_are_never_in_training() -> None:
    held_out = {problem.id for length in (2, 3) for problem in Additions(length).problems(500, 1)}
    assert not held_out & {problem.id for problem in balanced(8000, 3, 0, held_out)}


def test_more_sums_than_there_are_is_told() -> None:
    with pytest.raises(CandorError, match="there are not"):
        balanced(20_000, 2, 0)


def test_held_out_questions_are_never_in_the_mixture() -> None:
    task = sequence_task("parity:8")
    held_out = {problem.id for problem in task.problems(100, 1)}
    lessons = mixture(Without(task, held_out), Free(), 1000, 0.1, 0)
    assert len(lessons) == 156  # all the others
    assert not held_out & {lesson.problem.id for lesson in lessons}
    with pytest.raises(CandorError, match="held out"):
        mixture(Without(task, {p.id for p in task.problems(256, 0)}), Free(), 10, 0.1, 0)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 1.0])
def test_the_mixture_has_the_share_of_demonstrations_that_was_asked_for(share: float) -> None:
    task, way = sequence_task("digit-sum:12"), Free()
    lessons = mixture(task, way, 2000, share, 0)
    worked = [lesson for lesson in lessons if way.is_reasoning(lesson.completion)]
    assert len(worked) == round(2000 * share)
    # Short answers are right ones, too.
    assert all(task.right(one.problem, str(way.read(one.completion))) for one in lessons)
