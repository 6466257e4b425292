"""The same documents pass, and the others break the same rules, in a datatrove pipeline as in a corpus.

The slow tests need datatrove, which `make test-slow` installs: without it they fail.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from test_corpus import built, prose
from test_filters import BREAKS

from candor.base.corpus import documents
from candor.base.filters import FilterSettings
from candor.base.recipe import CorpusSettings, SourceSettings
from candor.core.errors import CandorError

FILTERS = FilterSettings(min_words=40)
NO_REPETITIONS: dict[str, Any] = {"filters": FILTERS, "passages": 0, "validation": 0.2}


def test_without_datatrove_the_fix_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "datatrove"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "datatrove", None)
    monkeypatch.delitem(sys.modules, "candor.base.datatrove", raising=False)
    with pytest.raises(CandorError, match="needs the package 'datatrove'") as error:
        import candor.base.datatrove  # noqa: F401
    assert 'pip install "candor-lm[datatrove]"' in str(error.value)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Four files of prose, and one of every rule's breaches among it."""
    folder = tmp_path / "raw"
    folder.mkdir()
    rows = [{"id": f"doc{number:03d}", "text": f" {prose(number)}\n"} for number in range(60)]
    rows += [{"id": rule, "text": text} for rule, text in BREAKS.items()]
    rows += [{"id": "mail", "text": prose(950) + " Write to jo@example.net or ask 8.8.4.4 now."}]
    rows += [{"id": "blank", "text": " \n"}]
    for number in range(4):
        lines = "".join(json.dumps(row) + "\n" for row in rows[number::4])
        (folder / f"{number}.jsonl").write_text(lines, encoding="utf-8")
    return folder


@pytest.fixture
def clean(raw: Path) -> Path:
    """What two tasks of datatrove make of it, with what they drop beside it."""
    from candor.base.datatrove import CandorFilter, CandorScrubber  # an error here says what to install

    from datatrove.executor.local import LocalPipelineExecutor  # isort: skip
    from datatrove.pipeline.readers import JsonlReader  # isort: skip
    from datatrove.pipeline.writers.jsonl import JsonlWriter  # isort: skip

    home = raw.parent
    LocalPipelineExecutor(
        [
            JsonlReader(str(raw)),
            CandorFilter(FILTERS, JsonlWriter(str(home / "dropped"))),
            CandorScrubber(),
            JsonlWriter(str(home / "clean")),
        ],
        tasks=2,
        logging_dir=str(home / "logs"),
    ).run()
    return home / "clean"


@pytest.mark.slow
def test_two_tasks_drop_what_a_corpus_leaves_out_for_the_same_reasons(raw: Path, clean: Path) -> None:
    settings = CorpusSettings(sources=(SourceSettings(path=raw),), near_duplicates=False, **NO_REPETITIONS)
    table = built(raw.parent / "corpus", settings)
    assert [file.name for file in sorted(clean.iterdir())] == ["00000.jsonl.gz", "00001.jsonl.gz"]
    assert {row["id"] for row in _rows(clean)} == {
        document.id
        for split in ("train", "validation")
        for document in documents(raw.parent / "corpus", split)
    }
    reasons = Counter(row["metadata"]["filter_reason"] for row in _rows(raw.parent / "dropped"))
    assert reasons.pop("empty") == table["removed"]["empty or unreadable"]["documents"] == 1
    assert reasons == table["removed"]["rules"]["reasons"]
    assert len(reasons) >= 8
    stats = json.loads((raw.parent / "logs" / "stats.json").read_text(encoding="utf-8"))
    counted = {step["name"].partition(": ")[2]: step["stats"] for step in stats}
    assert counted["Candor's rules"]["dropped_symbols"] == reasons["symbols"] == 1
    assert counted["Candor's scrubber"]["scrubbed"]["total"] == table["scrubbed"] == 2


@pytest.mark.slow
def test_a_corpus_of_datatroves_output_is_the_corpus_of_what_it_read(raw: Path, clean: Path) -> None:
    direct = CorpusSettings(sources=(SourceSettings(path=raw),), near_duplicates=False, **NO_REPETITIONS)
    source = SourceSettings(path=clean, filtered=False)
    through = CorpusSettings(sources=(source,), near_duplicates=False, **NO_REPETITIONS)
    built(raw.parent / "direct", direct)
    assert built(raw.parent / "through", through)["removed"] == {}
    for split in ("train", "validation"):
        one, other = (
            {document.id: document.text for document in documents(raw.parent / name, split)}
            for name in ("direct", "through")
        )
        assert one == other
        assert len(one) > 5


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for file in sorted(folder.glob("*.jsonl.gz"))
        for line in gzip.decompress(file.read_bytes()).splitlines()
    ]
