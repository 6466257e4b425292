"""Near-duplicates are found as often as MinHash in bands should find them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from candor.base.near_duplicates import BANDS, ROWS, SHINGLE, Seen, band_hashes, digest


def words(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choices("abcdefghij", k=6)) for _ in range(count)]


def test_case_and_punctuation_do_not_make_another_text() -> None:
    assert digest("The cat, sat!") == digest("the cat  sat")
    assert digest("the cat sat") != digest("the cat sits")


def test_the_same_words_have_the_same_bands_and_others_share_none() -> None:
    text = " ".join(words(200, 1))
    assert np.array_equal(band_hashes(text), band_hashes(text.upper()))
    assert not set(band_hashes(text).tolist()) & set(band_hashes(" ".join(words(200, 2))).tolist())


def test_texts_of_fewer_words_than_a_sequence_are_compared_whole() -> None:
    assert np.array_equal(band_hashes("one two"), band_hashes("One, two"))
    assert set(band_hashes("one two").tolist()).isdisjoint(band_hashes("one three").tolist())


def jaccard(a: list[str], b: list[str]) -> float:
    one, two = ({tuple(t[i : i + SHINGLE]) for i in range(len(t) - SHINGLE + 1)} for t in (a, b))
    return len(one & two) / len(one | two)


@pytest.mark.parametrize("changed", [2, 8, 30])
def test_pairs_are_found_as_often_as_the_theory_says(changed: int) -> None:
    found, expected, trials = 0, 0.0, 60
    for seed in range(trials):
        before = words(300, seed)
        after = list(before)
        for place in random.Random(seed + 1000).sample(range(300), changed):
            after[place] = "changed"
        similarity = jaccard(before, after)
        expected += 1 - (1 - similarity**ROWS) ** BANDS
        found += bool(
            set(band_hashes(" ".join(before)).tolist()) & set(band_hashes(" ".join(after)).tolist())
        )
    # Three standard deviations of a binomial count.
    assert abs(found - expected) <= 3 * (trials * 0.25) ** 0.5 + 1e-9


def test_what_was_seen_is_known_again_after_it_was_added() -> None:
    seen, text = Seen(), " ".join(words(100, 3))
    again, mark = seen.again(text)
    nearly, bands = seen.nearly_again(text)
    assert not again
    assert not nearly
    seen.add([mark], bands)
    assert seen.again(text.upper())[0]
    assert seen.nearly_again(text + " and one more word")[0]
