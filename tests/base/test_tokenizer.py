"""A trained tokenizer gives every text back, keeps digits apart, and begins a text as documents begin."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from candor.base.tokenizer import END, bytes_per_token, compared, spread, train_tokenizer

TEXTS = [
    f"In {year} there were {year * 7} people in the town, and {year // 3} of them had a boat."
    for year in range(1800, 1990)
]
TOKENIZER = train_tokenizer(TEXTS, 400, 128)


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_every_text_comes_back(text: str) -> None:
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    assert TOKENIZER.decode(ids) == text


def test_each_digit_is_a_token() -> None:
    tokens = TOKENIZER.tokenize("in 1871 and 12,345")
    assert [token for token in tokens if any(c.isdigit() for c in token)] == list("187112345")


def test_a_prompt_begins_with_the_token_that_begins_documents() -> None:
    assert TOKENIZER("in the town").input_ids[0] == TOKENIZER.convert_tokens_to_ids(END)
    assert TOKENIZER.eos_token == TOKENIZER.bos_token == END


def test_training_again_gives_the_same_tokenizer() -> None:
    again = train_tokenizer(TEXTS, 400, 128)
    assert again.get_vocab() == TOKENIZER.get_vocab()


def test_it_is_the_same_after_saving(tmp_path) -> None:
    from candor.model.load import load_tokenizer

    TOKENIZER.save_pretrained(tmp_path)
    loaded = load_tokenizer(str(tmp_path))
    for text in TEXTS[:5]:
        assert loaded(text).input_ids == TOKENIZER(text).input_ids


def test_more_vocabulary_means_more_bytes_a_token(smollm2: str) -> None:
    small = train_tokenizer(TEXTS, 265, 128)
    assert bytes_per_token(TEXTS, TOKENIZER) > bytes_per_token(TEXTS, small) > 1
    rows = compared(TEXTS, TOKENIZER, [smollm2, "no/such-model"])
    assert [row["name"] for row in rows] == ["ours", smollm2, "no/such-model"]
    assert rows[1]["bytes_per_token"] > 1
    assert rows[2]["bytes_per_token"] is None
    assert "no/such-model" in rows[2]["note"]


def test_a_sample_is_spread_over_all_texts() -> None:
    texts = [f"{number:03d}" for number in range(100)]
    assert list(spread(texts, 300, 300)) == texts
    some = list(spread(texts, 300, 30))
    assert len(some) in (9, 10)
    assert int(some[-1]) >= 90


def test_a_folder_with_nothing_but_a_tokenizer_file_can_be_compared(tmp_path) -> None:
    TOKENIZER.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    ours, theirs = compared(TEXTS, TOKENIZER, [str(tmp_path)])
    assert theirs == {**ours, "name": str(tmp_path)}
