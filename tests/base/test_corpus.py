"""A corpus: each step leaves out what it should, counts are exact, and a killed build ends the same."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from candor.base import corpus as corpora
from candor.base.corpus import Build, documents, read_passages, texts
from candor.base.filters import FilterSettings
from candor.base.recipe import CorpusSettings, SourceSettings
from candor.core.errors import CandorError, InputError

LOOSE = FilterSettings(min_words=5, max_short_lines=1, min_stop_words=0)
ITEM = "which river runs through the capital of the country that borders the sea in the north and the east"


def prose(seed: int, sentences: int = 12) -> str:
    draw = random.Random(seed)
    nouns = [
        "harbour",
        "river",
        "market",
        "tower",
        "bridge",
        "garden",
        "school",
        "forest",
        "castle",
        "valley",
        "station",
        "museum",
    ]
    verbs = ["stands near", "was built by", "belongs to", "looks over", "is older than", "leads to"]
    return " ".join(
        f"The {draw.choice(nouns)} {draw.randrange(1000)} {draw.choice(verbs)} the {draw.choice(nouns)} "
        f"of {draw.choice(nouns)} {draw.randrange(1000)} and is there since {draw.randrange(1200, 2000)}."
        for _ in range(sentences)
    )


def folder_of(tmp_path: Path, count: int = 60) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    rows = [{"id": f"doc{number:03d}", "text": prose(number)} for number in range(count)]
    rows.insert(5, {"id": "again", "text": prose(1).upper()})
    rows.insert(9, {"id": "nearly", "text": prose(2) + " One sentence more."})
    rows.insert(12, {"id": "short", "text": "Too short."})
    rows.insert(20, {"id": "item", "text": prose(900) + f" {ITEM}? " + prose(901)})
    rows.insert(30, {"id": "mail", "text": prose(950) + " Write to jo@example.net now."})
    rows.insert(31, {"id": "empty", "text": " "})
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "items.jsonl").write_text(json.dumps({"q": ITEM}) + "\n", encoding="utf-8")
    return folder


def settings_of(tmp_path: Path, **changes: object) -> CorpusSettings:
    values: dict[str, object] = {
        "sources": (SourceSettings(path=tmp_path / "source"),),
        "filters": LOOSE,
        "decontaminate": (tmp_path / "items.jsonl",),
        "validation": 0.2,
        "passages": 2,
        "repeated": (3, 5),
        "shard_bytes": 1 << 16,
        **changes,
    }
    return CorpusSettings(**values)


def built(folder: Path, settings: CorpusSettings) -> dict[str, object]:
    return Build(folder, settings, 0).run(lambda read, kept: None)


def test_each_step_leaves_out_its_own_and_nothing_else(tmp_path: Path) -> None:
    folder_of(tmp_path)
    table = built(tmp_path / "corpus", settings_of(tmp_path))
    left_out = {
        step: [sample["id"] for sample in found["samples"]] for step, found in table["removed"].items()
    }
    assert left_out == {
        "empty or unreadable": [f"{tmp_path}/source/rows.jsonl:32"],
        "the same text again": ["again"],
        "rules": ["short"],
        "nearly the same again": ["nearly"],
        "evaluation items": ["item"],
    }
    assert table["removed"]["rules"]["reasons"] == {"too few words": 1}
    assert table["scrubbed"] == 1
    kept = [*documents(tmp_path / "corpus", "train"), *documents(tmp_path / "corpus", "validation")]
    assert {document.id for document in kept} == {f"doc{n:03d}" for n in range(60)} | {"mail"}
    assert "jo@example.net" not in next(document.text for document in kept if document.id == "mail")
    assert sum(split["documents"] for split in table["splits"].values()) == 61
    (source,) = table["sources"].values()
    assert (source["read"], source["kept"]) == (66, 61)


def test_splits_share_no_document_and_hold_about_their_share(tmp_path: Path) -> None:
    folder_of(tmp_path, 400)
    built(tmp_path / "corpus", settings_of(tmp_path))
    train, held = (
        {document.id for document in documents(tmp_path / "corpus", split)}
        for split in ("train", "validation")
    )
    assert not train & held
    assert 0.13 < len(held) / len(train | held) < 0.27


def test_passages_stand_in_the_training_text_as_often_as_they_say(tmp_path: Path) -> None:
    folder_of(tmp_path)
    built(tmp_path / "corpus", settings_of(tmp_path))
    passages = read_passages(tmp_path / "corpus")
    assert sorted(passage.times for passage in passages) == [0, 0, 1, 1, 3, 3, 5, 5]
    whole = list(texts(tmp_path / "corpus", "train"))
    for passage in passages:
        assert sum(text.startswith(passage.text) for text in whole) == passage.times
    held = list(texts(tmp_path / "corpus", "validation"))
    assert all(any(text.startswith(p.text) for text in held) for p in passages if p.times == 0)


def test_a_killed_build_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    folder_of(tmp_path, 300)
    settings = settings_of(tmp_path)
    table = built(tmp_path / "whole", settings)

    class KilledError(Exception):
        pass

    def killed_at(count: int):
        def on_progress(read: int, kept: int) -> None:
            if read >= count:
                raise KilledError

        return on_progress

    for count in (130, 140, 290):
        with pytest.raises(KilledError):
            Build(tmp_path / "parts", settings, 0).run(killed_at(count))
    assert len(list((tmp_path / "parts").glob("shard-*.parquet"))) >= 1
    assert built(tmp_path / "parts", settings) == table
    for file in (tmp_path / "whole").iterdir():
        assert (tmp_path / "parts" / file.name).read_bytes() == file.read_bytes(), file.name
    # And once more, when all is done.
    assert built(tmp_path / "parts", settings) == table


def test_an_unfiltered_source_is_still_cleared_of_what_comes_twice(tmp_path: Path) -> None:
    folder_of(tmp_path)
    source = SourceSettings(path=tmp_path / "source", filtered=False)
    table = built(tmp_path / "corpus", settings_of(tmp_path, sources=(source,)))
    assert set(table["removed"]) == set(corpora.STEPS) - {"rules"}


def test_a_source_stops_at_its_limit(tmp_path: Path) -> None:
    folder_of(tmp_path)
    source = SourceSettings(path=tmp_path / "source", documents=10)
    table = built(tmp_path / "corpus", settings_of(tmp_path, sources=(source,)))
    assert next(iter(table["sources"].values()))["read"] == 10


def test_facts_are_never_held_out_or_taken_for_duplicates(tmp_path: Path) -> None:
    folder_of(tmp_path)
    sources = (SourceSettings(path=tmp_path / "source"), SourceSettings(embedded="facts", filtered=False))
    stated = ((0, 2), (1, 2), (10, 2))
    table = built(tmp_path / "corpus", settings_of(tmp_path, sources=sources, stated=stated))
    assert table["sources"]["embedded facts"] == {
        "read": 22, "kept": 22, "kept_bytes": table["sources"]["embedded facts"]["kept_bytes"]
    }  # fmt: skip
    assert all(
        not document.id.startswith(("element/", "country/"))
        for document in documents(tmp_path / "corpus", "validation")
    )
    stated_times = json.loads((tmp_path / "corpus" / "stated.json").read_text())
    assert set(stated_times.values()) == {0, 1, 10}
    from candor.data.questions import read_given_questions

    given = read_given_questions(tmp_path / "corpus" / "questions.jsonl")
    assert len(given.questions) == table["facts"] == len(stated_times)


def test_nothing_left_is_an_error_that_says_where_it_went(tmp_path: Path) -> None:
    folder_of(tmp_path)
    strict = FilterSettings(min_words=10_000)
    with pytest.raises(CandorError, match=r"rules: 6\d \(6\d too few words\)") as error:
        built(tmp_path / "corpus", settings_of(tmp_path, filters=strict))
    assert "loosen corpus.filters" in str(error.value)
    assert not (tmp_path / "corpus").exists()


def test_a_corpus_of_which_nothing_is_held_out_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    """One long text is what many begin with; without this, training would end with nothing to measure on."""
    (tmp_path / "book.txt").write_text(prose(1, 400), encoding="utf-8")
    source = SourceSettings(path=tmp_path / "book.txt", filtered=False)
    with pytest.raises(CandorError, match="of 1 documents none was held out") as error:
        built(tmp_path / "corpus", settings_of(tmp_path, sources=(source,), decontaminate=()))
    assert "split -C" in str(error.value)
    assert not (tmp_path / "corpus").exists()


def test_a_parquet_column_of_another_name_is_read_and_a_wrong_one_told(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "source").mkdir()
    (tmp_path / "items.jsonl").write_text(json.dumps({"q": ITEM}) + "\n", encoding="utf-8")
    rows = {"content": [prose(n) for n in range(30)]}
    pq.write_table(pa.table(rows), tmp_path / "source" / "rows.parquet")
    right = SourceSettings(path=tmp_path / "source", column="content")
    assert built(tmp_path / "a", settings_of(tmp_path, sources=(right,)))["splits"]["train"]["documents"] > 10
    with pytest.raises(InputError, match="no such column; it has content"):
        built(tmp_path / "b", settings_of(tmp_path))


def test_a_hub_data_set_is_streamed_and_a_wrong_name_told(tmp_path: Path) -> None:
    folder_of(tmp_path)
    (tmp_path / "hub").mkdir()
    rows = [{"text": prose(number)} for number in range(40)]
    (tmp_path / "hub" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = SourceSettings(hub=str(tmp_path / "hub"), documents=30)
    table = built(tmp_path / "a", settings_of(tmp_path, sources=(source,)))
    assert table["sources"][str(tmp_path / "hub")]["kept"] == 30
    wrong = SourceSettings(hub=str(tmp_path / "hub"), column="content")
    with pytest.raises(InputError, match="no such column; it has text"):
        built(tmp_path / "b", settings_of(tmp_path, sources=(wrong,)))
    with pytest.raises(CandorError, match="can't be read"):
        built(tmp_path / "c", settings_of(tmp_path, sources=(SourceSettings(hub="no/such-data"),)))


@pytest.mark.parametrize("values", [{}, {"path": "a", "hub": "b/c"}, {"embedded": "facts", "path": "a"}])
def test_a_source_has_one_place(values: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="one of path, hub and embedded"):
        SourceSettings(**values)
