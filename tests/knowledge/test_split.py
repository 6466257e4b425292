"""Documents are split by a hash of their names: stable, in the right shares, whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor.core.draws import draw
from candor.knowledge.recipe import SplitSettings
from candor.knowledge.split import sizes, split_of

DOCUMENTS = [f"document {place}" for place in range(4000)]


def test_adding_documents_moves_no_other() -> None:
    settings = SplitSettings()
    before = {name: split_of(name, settings, 0) for name in DOCUMENTS[:50]}
    after = {name: split_of(name, settings, 0) for name in [*DOCUMENTS, "another"]}
    assert before == {name: after[name] for name in before}


@pytest.mark.parametrize(("validation", "test"), [(0.2, 0.3), (0.1, 0.1), (0.45, 0.5)])
def test_shares_come_out_as_asked(validation: float, test: float) -> None:
    settings = SplitSettings(validation=validation, test=test)
    sides = [split_of(name, settings, 0) for name in DOCUMENTS]
    shares = {name: sides.count(name) / len(sides) for name in ("train", "validation", "test")}
    # Three standard deviations of a share of 4,000 draws are below 0.024.
    wanted = {"train": 1 - validation - test, "validation": validation, "test": test}
    assert shares == pytest.approx(wanted, abs=0.024)


def test_larger_training_share_only_moves_documents_into_training() -> None:
    wide, narrow = SplitSettings(validation=0.3, test=0.3), SplitSettings(validation=0.1, test=0.3)
    for name in DOCUMENTS[:500]:
        old, new = split_of(name, wide, 0), split_of(name, narrow, 0)
        assert new in {old, "train"}


def test_another_seed_is_another_split_drawn_independently() -> None:
    settings = SplitSettings(validation=0.2, test=0.5)
    both = [(split_of(name, settings, 0), split_of(name, settings, 1)) for name in DOCUMENTS]
    assert sum(a == b == "test" for a, b in both) / len(both) == pytest.approx(0.25, abs=0.024)


@given(st.text(st.characters(codec="utf-8")))
def test_draw_is_in_the_unit_interval_and_depends_on_the_key_alone(key: str) -> None:
    assert 0 <= draw(key) < 1
    assert draw(key) == draw(key)
    assert draw(key) != draw(key + "x")


def test_sizes_count_questions_and_documents_of_each_side() -> None:
    splits = {"q1": "train", "q2": "train", "q3": "test"}
    documents = {"q1": "a", "q2": "a", "q3": "b"}
    assert sizes(splits, documents) == {  # type: ignore[arg-type]
        "train": {"questions": 2, "documents": 1},
        "validation": {"questions": 0, "documents": 0},
        "test": {"questions": 1, "documents": 1},
    }
