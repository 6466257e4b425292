"""Run folders: continued with the same recipe, never mixed, never broken by a kill."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydantic import Field

from candor.core import run as run_module
from candor.core.errors import CandorError
from candor.core.files import read_json, read_json_lines, sha256_of
from candor.core.recipe import Settings
from candor.core.run import Run


class Recipe(Settings):
    seed: int = Field(default=0, description="Seed.")
    name: str | None = Field(default=None, description="Name.")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "first"


def events(folder: Path) -> list[str]:
    return [row["event"] for _, row in read_json_lines(folder / "events.jsonl")]


def test_run_is_continued_with_the_same_recipe(folder: Path) -> None:
    run = Run.start(folder, Recipe(seed=3))
    with run.stage("probe"):
        pass
    before = run.manifest
    assert run.fresh
    run.close()
    again = Run.start(folder, Recipe(seed=3))
    assert again.done("probe")
    assert not again.done("build")
    assert again.manifest == before
    assert not again.fresh
    assert before["versions"]["torch"]
    assert before["machine"]["memory_bytes"] > 0


def test_run_of_another_recipe_is_refused_by_the_name_of_the_setting(folder: Path) -> None:
    Run.start(folder, Recipe(seed=3)).close()
    with pytest.raises(CandorError, match="seed: 3 → 4") as caught:
        Run.start(folder, Recipe(seed=4))
    assert "--out" in str(caught.value.fix)
    assert Run.open(folder, Recipe).recipe.seed == 3


def test_unset_setting_differs_from_a_set_one(folder: Path) -> None:
    Run.start(folder, Recipe()).close()
    with pytest.raises(CandorError, match="name: None → 'x'"):
        Run.start(folder, Recipe(name="x"))


def test_folder_with_other_things_is_refused_and_left_alone(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(CandorError, match="not empty and holds no run"):
        Run.start(folder, Recipe())
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_empty_folder_and_one_with_hidden_files_only_are_taken(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / ".gitkeep").touch()
    assert Run.start(folder, Recipe()).path("recipe.toml").is_file()


def test_file_is_no_folder_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CandorError, match="is a file"):
        Run.start(tmp_path / "file", Recipe())
    with pytest.raises(CandorError, match="can't write here"):
        Run.start(tmp_path / "file" / "inner", Recipe())
    assert (tmp_path / "file").read_text() == "mine"


def test_opening_what_is_no_run_says_so_and_makes_nothing(folder: Path) -> None:
    with pytest.raises(CandorError, match="no run here"):
        Run.open(folder, Recipe)
    assert not folder.exists()


_HOLD = """
import sys
from pathlib import Path
from candor.core.recipe import Settings
from candor.core.run import Run
class Recipe(Settings):
    seed: int = 0
    name: str | None = None
run = Run.start(Path(sys.argv[1]), Recipe())
print("held", flush=True)
sys.stdin.read()
"""


def test_second_process_is_kept_out_until_the_first_ends_even_by_a_kill(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        events_file = folder / "events.jsonl"
        events_file.write_text('{"event": "half')  # what a line under way looks like from here
        with pytest.raises(CandorError, match="another process is working"):
            Run.start(folder, Recipe())
        opened = Run.open(folder, Recipe)
        with pytest.raises(CandorError, match="another process is working"):
            opened.lock()
        assert events_file.read_text() == '{"event": "half'
        holder.kill()
    Run.start(folder, Recipe()).event("again")
    assert events(folder) == ["again"]


def test_lock_is_free_again_after_close(folder: Path) -> None:
    first = Run.start(folder, Recipe())
    with pytest.raises(CandorError, match="another process"):
        Run.start(folder, Recipe())
    first.close()
    Run.start(folder, Recipe())


def test_last_event_line_that_a_kill_cut_in_two_is_dropped(folder: Path) -> None:
    run = Run.start(folder, Recipe())
    run.event("one")
    run.close()
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"time": "2026-01-0')
    opened = Run.open(folder, Recipe)
    opened.lock()
    opened.event("two")
    assert events(folder) == ["one", "two"]


def test_event_that_is_not_whole_leaves_no_part(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run.start(folder, Recipe())
    run.event("one")
    real = Path.open

    class Nearly:
        """A file on a disk with room for ten more bytes."""

        def __init__(self, file: object) -> None:
            self.file, self.room = file, 10

        def __enter__(self) -> Nearly:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()  # type: ignore[attr-defined]

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

        def write(self, data: bytes) -> int:
            if not self.room:
                raise OSError(28, "No space left on device")
            part, self.room = data[: self.room], 0
            return self.file.write(part)  # type: ignore[attr-defined]

    def nearly(path: Path, *args: object, **named: object) -> object:
        file = real(path, *args, **named)  # type: ignore[arg-type]
        return Nearly(file) if path.name == "events.jsonl" else file

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", nearly)
        with pytest.raises(CandorError, match="disk is full"):
            run.event("two")
    run.event("three")
    assert events(folder) == ["one", "three"]


def test_first_error_is_told_even_if_the_disk_is_too_full_to_note_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.start(folder, Recipe())

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(ZeroDivisionError), run.stage("probe"):
        monkeypatch.setattr(run_module.json, "dumps", full)
        raise ZeroDivisionError


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    # The module's name for it, not time.monotonic itself: other threads (a server's) go by that.
    monkeypatch.setattr(run_module, "time", clock)
    return clock


def test_time_of_interrupted_attempts_is_added(folder: Path, clock: Clock) -> None:
    run = Run.start(folder, Recipe())
    for seconds, error in ((5, KeyboardInterrupt), (7, ValueError)):
        with pytest.raises(error), run.stage("probe"):
            clock.now += seconds
            raise error
        assert not run.done("probe")
    with run.stage("probe"):
        clock.now += 11
    assert run.manifest["stages"]["probe"]["seconds"] == 23
    assert events(folder).count("stage interrupted") == 2


def test_forgotten_stage_begins_its_time_anew(folder: Path, clock: Clock) -> None:
    run = Run.start(folder, Recipe())
    with pytest.raises(KeyboardInterrupt), run.stage("probe"):
        clock.now += 5
        raise KeyboardInterrupt
    with run.stage("probe"):
        clock.now += 5
    run.forget(["probe"], {})
    with run.stage("probe"):
        clock.now += 3
    assert run.manifest["stages"]["probe"]["seconds"] == 3
    with pytest.raises(KeyboardInterrupt), run.stage("build"):
        clock.now += 50
        raise KeyboardInterrupt
    run.forget(["build"], {})
    with run.stage("build"):
        clock.now += 2
    assert run.manifest["stages"]["build"]["seconds"] == 2


def test_forget_deletes_the_outputs_of_these_stages_only(folder: Path) -> None:
    run = Run.start(folder, Recipe())
    for stage in ("a", "b", "c"):
        with run.stage(stage):
            run.path(stage).mkdir()
            run.path(stage, "rows").touch()
            run.path(f"{stage}.json").touch()
    outputs = {name: [name, f"{name}.json", "never-made"] for name in ("a", "b", "c")}
    run.forget(["b", "c"], outputs)
    assert [run.done(name) for name in ("a", "b", "c")] == [True, False, False]
    left = {path.name for path in folder.iterdir()}
    assert left == {"recipe.toml", "manifest.json", "events.jsonl", ".lock", "a", "a.json"}


def test_stage_that_needs_another_says_how_to_run_it(folder: Path) -> None:
    run = Run.start(folder, Recipe())
    with pytest.raises(CandorError, match="'probe' has not been run") as caught:
        run.need("probe", "`candor probe`")
    assert caught.value.fix == "run `candor probe` first"
    with run.stage("probe"):
        pass
    run.need("probe", "`candor probe`")


def test_manifest_is_the_old_or_the_new_one_and_never_a_part(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.start(folder, Recipe())
    run.update_manifest(note="old")

    def killed(_: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("candor.core.files.os.fsync", killed)
        run.update_manifest(note="new")
    assert run.manifest["note"] == "old"
    assert [path.name for path in folder.glob(".*")] == [".lock"]


def test_kill_between_recipe_and_manifest_is_mended(folder: Path) -> None:
    Run.start(folder, Recipe()).close()
    (folder / "manifest.json").unlink()
    assert Run.start(folder, Recipe()).manifest["stages"] == {}


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_broken_manifest_is_named(folder: Path, content: str) -> None:
    run = Run.start(folder, Recipe())
    (folder / "manifest.json").write_text(content)
    with pytest.raises(CandorError, match=r"manifest\.json"):
        run.done("probe")


def test_inputs_are_noted_by_hash(folder: Path, tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    (documents / "deep").mkdir(parents=True)
    (documents / "a.txt").write_text("a")
    (documents / "deep" / "b.txt").write_text("b")
    run = Run.start(folder, Recipe())
    run.record_input("documents", documents)
    run.record_input("questions", documents / "a.txt")
    assert run.manifest["inputs"] == {
        "documents": {
            "documents/a.txt": sha256_of(documents / "a.txt"),
            "documents/deep/b.txt": sha256_of(documents / "deep" / "b.txt"),
        },
        "questions": {"a.txt": sha256_of(documents / "a.txt")},
    }


def test_run_that_nothing_was_written_for_can_be_discarded(folder: Path) -> None:
    run = Run.start(folder, Recipe())
    with pytest.raises(CandorError), run.stage("questions"):
        raise CandorError("no such documents")
    assert run.discard_if_empty()
    assert not folder.exists()
    Run.start(folder, Recipe(seed=9))  # the corrected command is no "other recipe"


def test_folder_that_was_there_before_stays_when_its_run_is_discarded(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / ".gitkeep").touch()
    run = Run.start(folder, Recipe())
    assert not run.discard_if_empty()  # not certain that .gitkeep is nobody's
    (folder / ".gitkeep").unlink()
    assert run.discard_if_empty()
    assert list(folder.iterdir()) == []


def test_run_with_work_in_it_or_begun_earlier_is_not_discarded(folder: Path) -> None:
    run = Run.start(folder, Recipe())
    run.path("questions.jsonl").touch()
    assert not run.discard_if_empty()
    run.path("questions.jsonl").unlink()
    run.close()
    assert not Run.start(folder, Recipe()).discard_if_empty()
    assert (folder / "recipe.toml").is_file()


def test_events_are_json_whatever_they_hold(folder: Path) -> None:
    run = Run.start(folder, Recipe())
    run.event("odd", path="caf\udce9", text="a\nb")
    rows = [row for _, row in read_json_lines(folder / "events.jsonl")]
    assert rows[0]["text"] == "a\nb"
    assert time.strptime(rows[0]["time"][:19], "%Y-%m-%dT%H:%M:%S")
    assert json.dumps(read_json(folder / "manifest.json"))
