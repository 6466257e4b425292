"""The folder that is shown: which runs it has, and no way out of it.

A name is a run's path below the folder. Nothing is opened that a link leads to: neither a folder nor a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from candor.core.errors import CandorError
from candor.serve.errors import RequestError

MAX_DEPTH = 4  # folders below the one that is shown
MAX_RUNS = 5_000
_MAX_FOLDERS = 50_000  # looked into when runs are searched for
_MAX_FILES = 20_000  # counted for a run's size
RECIPE = "recipe.toml"


@dataclass(frozen=True)
class Folder:
    """A folder of runs.

    Attributes:
        root: its path, with all links resolved.
    """

    root: Path

    @classmethod
    def of(cls, path: Path) -> Folder:
        """The folder that a user named.

        Raises:
            CandorError: there is none.
        """
        if not path.is_dir():
            raise CandorError(
                f"{path}: no such folder of runs",
                fix="name a folder that holds runs, such as runs for those begun with --out runs/first",
            )
        return cls(path.resolve())

    def names(self) -> list[str]:
        """Every run in it, by name; `.` is the folder itself, if it is a run."""
        found, waiting, looked = [], [(".", 0)], 0
        while waiting and len(found) < MAX_RUNS and looked < _MAX_FOLDERS:
            name, depth = waiting.pop(0)
            looked += 1
            for entry in _entries(self.root / name):
                below = entry.name if name == "." else f"{name}/{entry.name}"
                if entry.name == RECIPE and entry.is_file(follow_symlinks=False):
                    found.append(name)
                elif depth < MAX_DEPTH and _is_shown(entry.name) and entry.is_dir(follow_symlinks=False):
                    waiting.append((below, depth + 1))
        return found

    def run(self, name: str) -> Path:
        """The folder of a run.

        Raises:
            RequestError: 404, there is no run by that name here.
        """
        folder = self._inside(self.root, name)
        if folder is None or not _is_file(folder / RECIPE):
            raise RequestError(404, f"there is no run {name[:80]!r} here", param="run", code="no_run")
        return folder

    def file(self, run: Path, name: str) -> Path | None:
        """A file of a run, or None if it has none by that path or a link is on the way."""
        path = self._inside(run, name)
        return path if path is not None and _is_file(path) else None

    def rows_files(self, run: Path) -> list[str]:
        """Paths of the .jsonl files of a run but its events, two folders deep; not those of runs in it."""
        found = []
        for path, entry in _walk(run, depth=2):
            if entry.name.endswith(".jsonl") and path != "events.jsonl" and _is_shown(entry.name):
                folders = PurePosixPath(path).parents[:-1]
                if not any(_is_file(run / folder / RECIPE) for folder in folders):
                    found.append(path)
        return sorted(found)[:100]

    def leaves(self, run: Path) -> str | None:
        """The path of a link in a run that leads out of the folder, if any; weights may lie elsewhere."""
        for path, entry in _walk(run, depth=MAX_DEPTH, links=True):
            if entry.is_symlink() and not path.startswith("checkpoint"):
                try:
                    target = Path(entry.path).resolve()
                except (OSError, RuntimeError):  # a circle
                    return path
                if not target.is_relative_to(self.root):
                    return path
        return None

    def _inside(self, base: Path, name: str) -> Path | None:
        # One spelling for each: nothing empty, no dots but the folder's own name.
        parts = [] if name == "." else name.split("/")
        if "\0" in name or len(name) > 1000 or any(part in ("", ".", "..") for part in parts):
            return None
        path = base.joinpath(*parts)
        try:
            # Equal only if no part of it is a link.
            return path if path.resolve() == path else None
        except (OSError, RuntimeError, ValueError):
            return None


def size_of(run: Path) -> tuple[int, bool]:
    """Bytes of a run's files, and whether all of them were counted."""
    total = 0
    for count, (_, entry) in enumerate(_walk(run, depth=10)):
        if count >= _MAX_FILES:
            return total, False
        try:
            total += entry.stat(follow_symlinks=False).st_size
        except OSError:  # gone meanwhile
            continue
    return total, True


def _walk(run: Path, depth: int, *, links: bool = False) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """(path below the run, entry) of its files; with `links`, of links to anything, too."""
    waiting = [("", 0)]
    while waiting:
        name, deep = waiting.pop()
        for entry in _entries(run / name):
            path = f"{name}/{entry.name}" if name else entry.name
            if entry.is_dir(follow_symlinks=False):
                if deep < depth:
                    waiting.append((path, deep + 1))
            elif entry.is_file(follow_symlinks=False) or (links and entry.is_symlink()):
                yield path, entry


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:  # not ours to read, or gone meanwhile
        return []


def _is_shown(name: str) -> bool:
    """Hidden files are not shown, nor names that no address can carry."""
    return not name.startswith(".") and name.isprintable()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file() and not path.is_symlink()
    except OSError:  # a name that is too long, a folder that is not ours to read
        return False
