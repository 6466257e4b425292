"""A run's folder: what was asked, with what, what happened, and what came out.

    recipe.toml      every setting, resolved        events.jsonl   metrics as they happen
    manifest.json    versions, machine, inputs by hash, stages done with their times

Stages write their own files beside these. All writes are atomic; a killed run continues where it stopped;
a second run refuses to mix with a different recipe.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

import psutil

import candor
from candor.core.errors import CandorError, InputError, printable, unwritable
from candor.core.files import read_json, sha256_of, write_json, write_text
from candor.core.lock import hold
from candor.core.memory import peak_memory
from candor.core.recipe import Settings, differences, read_recipe, to_toml

AnyRecipe = TypeVar("AnyRecipe", bound=Settings)

_PACKAGES = ("torch", "transformers", "tokenizers", "peft", "numpy", "scipy", "scikit-learn")


class Run(Generic[AnyRecipe]):
    """An open run folder, locked for this process.

    Use `Run.start` to create or continue one with a recipe, `Run.open` to read one that exists.
    """

    def __init__(self, folder: Path, recipe: AnyRecipe) -> None:
        self.folder = folder
        self.recipe = recipe
        self.fresh = False  # whether this process began it
        self._made_folder = False
        self._lock: Any = None

    @classmethod
    def start(cls, folder: Path, recipe: AnyRecipe) -> Run[AnyRecipe]:
        """Create the folder, or continue the run that is there if its recipe is the same.

        Raises:
            CandorError: the folder holds something else, another recipe, or a run that is under way.
        """
        file = folder / "recipe.toml"
        _refuse_other(folder, recipe)  # before the lock, which is a file in that folder
        run = cls(folder, recipe)
        run._made_folder = not folder.exists()
        run.lock()
        _refuse_other(folder, recipe)  # again: another process may have begun a run in between
        if not file.exists():
            run.fresh = True
            write_text(file, to_toml(recipe))
        elif read_recipe(type(recipe), file) != recipe:  # in nothing that results depend on
            write_text(file, to_toml(recipe))
        if not run.manifest:
            run.update_manifest(
                candor=candor.__version__, created=_now(), versions=versions(), machine=machine(), stages={}
            )
        return run

    @classmethod
    def open(cls, folder: Path, kind: type[AnyRecipe]) -> Run[AnyRecipe]:
        """Open a run that exists.

        Raises:
            CandorError: there is none.
        """
        file = folder / "recipe.toml"
        if not file.is_file():
            raise CandorError(
                f"{folder}: no run here (it has no recipe.toml)",
                fix="name the folder that was given as --out to the command that began the run",
            )
        return cls(folder, read_recipe(kind, file))

    def lock(self) -> None:
        """Hold the folder until `close` or the end of this process.

        Raises:
            CandorError: another process holds it, or it can't be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = hold(self.folder)
        except BlockingIOError as error:
            raise CandorError(
                f"{self.folder}: another process is working on this run", fix="wait for it, or stop it first"
            ) from error
        except OSError as error:
            raise CandorError(
                f"{self.folder}: can't write here ({error.strerror})", fix="choose another --out"
            ) from error
        self._mend_events()  # only now: while another process works here, its last line may be under way

    def close(self) -> None:
        """Let other processes work on the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def discard_if_empty(self) -> bool:
        """Delete a run that this process began and that no stage has written anything for.

        A typing error that shows only when the first stage reads its input would otherwise leave a folder
        that refuses the corrected command as another recipe.

        Returns:
            Whether it was deleted.
        """
        own = {"recipe.toml", "manifest.json", "events.jsonl", ".lock"}
        if not self.fresh or {path.name for path in self.folder.iterdir()} - own:
            return False
        for name in own:
            self.path(name).unlink(missing_ok=True)
        self.close()
        if self._made_folder:
            self.folder.rmdir()
        return True

    @contextlib.contextmanager
    def discarding(self) -> Iterator[None]:
        """Delete the run again if it is refused (`CandorError`) before anything was written for it."""
        try:
            yield
        except CandorError:
            self.discard_if_empty()
            raise

    def path(self, *parts: str) -> Path:
        """A path inside the run."""
        return self.folder.joinpath(*parts)

    # --- manifest and events ------------------------------------------------------------------------

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest as it is on disk; empty when there is none yet."""
        file = self.path("manifest.json")
        value = read_json(file) if file.exists() else {}
        if not isinstance(value, dict):
            raise InputError(f"expected a JSON object, found {type(value).__name__}", path=file)
        return value

    def update_manifest(self, **fields: Any) -> None:
        """Add or replace top-level fields of the manifest."""
        write_json(self.path("manifest.json"), {**self.manifest, **fields})

    def record_input(self, name: str, path: Path) -> None:
        """Note an input file, or every file of an input folder, by SHA-256."""
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        hashes = {printable(p.relative_to(path.parent)): sha256_of(p) for p in files[:10_000]}
        self.update_manifest(inputs={**self.manifest.get("inputs", {}), name: hashes})

    def event(self, kind: str, **fields: Any) -> None:
        """Append one line to events.jsonl, whole or not at all.

        Raises:
            CandorError: the disk is full or the file can't be written.
        """
        line = json.dumps({"time": _now(), "event": kind, **fields}, ensure_ascii=False)
        data = f"{line}\n".encode("utf-8", "backslashreplace")
        path = self.path("events.jsonl")
        try:
            with path.open("ab", buffering=0) as file:
                size = file.seek(0, os.SEEK_END)
                try:
                    written = file.write(data)
                    if written != len(data):  # a disk that has room for a part of it only
                        file.write(data[written:])
                except OSError:
                    file.truncate(size)
                    raise
        except OSError as error:
            raise unwritable(error, path) or error from error

    def _mend_events(self) -> None:
        """Drop a last line that a kill cut in two."""
        file = self.path("events.jsonl")
        if not file.exists():
            return
        data = file.read_bytes()
        if data and not data.endswith(b"\n"):
            with file.open("r+b") as handle:
                handle.truncate(data.rfind(b"\n") + 1)

    # --- stages -------------------------------------------------------------------------------------

    def done(self, stage: str) -> bool:
        """Whether a stage has finished."""
        return stage in self.manifest.get("stages", {})

    def need(self, stage: str, command: str) -> None:
        """Raise unless a stage has finished; `command` is what makes it."""
        if not self.done(stage):
            raise CandorError(
                f"{self.folder}: the stage '{stage}' has not been run", fix=f"run {command} first"
            )

    def cost(self) -> dict[str, Any]:
        """Seconds by stage, and the largest memory that any of them had, for metrics.json."""
        stages = self.manifest.get("stages", {})
        return {
            "timings": {name: stage["seconds"] for name, stage in stages.items()},
            "peak_memory_bytes": max((stage["peak_memory_bytes"] for stage in stages.values()), default=0),
        }

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage and mark it done when the block ends without an error.

        The time of interrupted attempts is added up.
        """
        self.event("stage started", stage=name)
        begun = time.monotonic()
        spent = self.manifest.get("interrupted", {}).get(name, 0.0)
        try:
            yield
        except BaseException as error:
            # On a full disk these fail too, and the first error is the one to tell.
            with contextlib.suppress(CandorError, OSError):
                self.event("stage interrupted", stage=name, error=f"{type(error).__name__}: {error}"[:500])
                interrupted = self.manifest.get("interrupted", {})
                self.update_manifest(interrupted={**interrupted, name: spent + time.monotonic() - begun})
            raise
        seconds = round(spent + time.monotonic() - begun, 3)
        stages = self.manifest.get("stages", {})
        stages[name] = {"seconds": seconds, "finished": _now(), "peak_memory_bytes": peak_memory()}
        self.update_manifest(stages=stages, interrupted=self._interrupted_but([name]))
        self.event("stage finished", stage=name, seconds=seconds)

    def go_through(
        self, stages: Mapping[str, Callable[[], None]], last: str, say: Callable[[str], None]
    ) -> None:
        """Do every stage up to `last` that is not done yet, in order.

        Args:
            stages: what makes each, in their order; `evaluate` leaves a metrics.json, to which all costs are
                added.
            last: the last one to do.
            say: told of stages that were done before.
        """
        for name in list(stages)[: list(stages).index(last) + 1]:
            if self.done(name):
                say(f"{name}: done before")
                continue
            with self.stage(name):
                stages[name]()
            if name == "evaluate":  # its own time is known only now
                file = self.path("metrics.json")
                write_json(file, {**read_json(file), **self.cost()})

    def forget(self, stages: list[str], outputs: dict[str, list[str]]) -> None:
        """Delete the outputs of these stages and mark them not done, so that they run again."""
        kept = {name: value for name, value in self.manifest.get("stages", {}).items() if name not in stages}
        self.update_manifest(stages=kept, interrupted=self._interrupted_but(stages))
        for stage in stages:
            for name in outputs.get(stage, []):
                path = self.path(name)
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
            self.event("stage forgotten", stage=stage)

    def _interrupted_but(self, stages: Sequence[str]) -> dict[str, float]:
        interrupted = self.manifest.get("interrupted", {})
        return {name: seconds for name, seconds in interrupted.items() if name not in stages}


def _refuse_other(folder: Path, recipe: Settings) -> None:
    """Raise if the folder is something else than a place for this recipe's run."""
    file = folder / "recipe.toml"
    if folder.exists() and not folder.is_dir():
        raise CandorError(f"{folder} is a file", fix="name a folder with --out")
    if file.exists():
        if changed := differences(read_recipe(type(recipe), file), recipe):
            shown = "; ".join(changed[:4]) + ("; …" if len(changed) > 4 else "")
            raise CandorError(
                f"{folder} holds a run of another recipe ({shown})",
                fix="choose another --out, repeat the settings of that run to continue it, "
                "or delete the folder",
            )
    elif folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise CandorError(
            f"{folder} is not empty and holds no run", fix="choose another --out, or empty the folder"
        )


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version(), "candor-lm": candor.__version__}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def machine() -> dict[str, Any]:
    """What the run was measured on, without names or paths."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": name,
        "cores": cores,
        "memory_bytes": psutil.virtual_memory().total,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
