"""Benchmarks start, and the options that the documentation gives them are theirs."""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from doc_commands import PAGES, ROOT, codes

SCRIPTS = sorted(
    path for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text(encoding="utf-8")
)
_COMMAND = re.compile(r"(?:^|\s)(?:benchmarks/)?(\w+\.py)\b(.*)")


def help_of(
    script: Path, words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> str:
    """What `--help` prints."""
    monkeypatch.syspath_prepend(script.parent)  # as if it were started: benchmarks import one another
    monkeypatch.setattr(sys, "argv", [str(script), *words, "--help"])
    monkeypatch.setenv("COLUMNS", "200")
    before = set(sys.modules)
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(script), run_name="__main__")
    for name in set(sys.modules) - before:
        if (script.parent / f"{name}.py").exists():
            del sys.modules[name]
    assert stop.value.code == 0
    return capsys.readouterr().out


def told(name: str) -> Iterator[list[str]]:
    """The words that the documentation gives a benchmark, each time."""
    for page in PAGES:
        for code in codes(page.read_text(encoding="utf-8")):
            for line in code.text.splitlines():
                if (found := _COMMAND.search(line)) and found[1] == name:
                    yield found[2].partition("#")[0].split()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_benchmark_explains_itself_and_has_the_options_that_pages_give_it(
    script: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    general = help_of(script, [], capsys, monkeypatch)
    assert "usage: " in general
    for words in told(script.name):
        verbs = [word for word in words[:1] if re.search(rf"[{{,]{re.escape(word)}[,}}]", general)]
        shown = help_of(script, verbs, capsys, monkeypatch) if verbs else general
        options = {word.partition("=")[0] for word in words if re.match(r"--\w", word)}
        assert options <= set(re.findall(r"--[\w-]+", shown)), " ".join(words)


def test_pages_name_most_benchmarks_with_options() -> None:
    assert sum(any(told(script.name)) for script in SCRIPTS) > 10
