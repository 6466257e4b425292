"""How far a run is: finished, under way, stopped, failed, or killed.

A run writes down when a stage begins, ends or is broken off, and holds its folder's lock while it works. A
stage that has begun and not ended, in a folder that nobody holds, was killed: there was no time to write
anything down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from candor.core.lock import held
from candor.serve.runs.folder import Folder
from candor.serve.runs.reading import MAX_EVENTS, lines_from, parsed

Name = Literal["working", "finished", "stopped", "failed", "killed", "unfinished"]
_LONGEST, _MOST = 500, 100  # characters of an error; stages that failed


@dataclass(frozen=True)
class State:
    """Where a run stands.

    Attributes:
        name: one word.
        stage: the stage that it is about, "" if none.
        detail: what else is to be said, "" if nothing.
    """

    name: Name
    stage: str = ""
    detail: str = ""

    @property
    def words(self) -> str:
        """For people."""
        at = f" in {self.stage}" if self.stage else ""
        return {
            "working": f"under way: {self.stage}" if self.stage else "under way",
            "finished": "finished",
            "stopped": f"stopped{at}",
            "failed": f"failed{at}",
            "killed": f"killed{at}",
            "unfinished": f"not finished, {self.stage} was the last stage" if self.stage else "not begun",
        }[self.name]


def stage_events(folder: Folder, run: Path) -> list[dict[str, Any]]:
    """What a run wrote down of its stages' beginnings and ends."""
    path = folder.file(run, "events.jsonl")
    if path is None:
        return []
    try:
        start = max(0, path.stat().st_size - MAX_EVENTS)
        # Looked for before anything is parsed: of the steps between there may be very many.
        lines = [line for _, line in lines_from(path, start, MAX_EVENTS) if b'"event": "stage ' in line]
    except OSError:
        return []
    found = filter(None, map(parsed, lines))
    return [event for event in found if str(event.get("event")).startswith("stage ")]


def failed_of(manifest: Mapping[str, Any]) -> list[dict[str, str]]:
    """The stages of a life that failed: each one's name, what is wrong, and what to do about it."""
    failed = manifest.get("failed")
    found = []
    for name, about in failed.items() if isinstance(failed, Mapping) else ():
        table = about if isinstance(about, Mapping) else {}
        message, fix = (str(table.get(key) or "")[:_LONGEST] for key in ("message", "fix"))
        found.append({"name": str(name)[:80], "message": message, "fix": fix})
    return found[:_MOST]


def state_of(
    run: Path,
    events: Sequence[Mapping[str, Any]],
    stages: Mapping[str, Any],
    *,
    measured: bool,
    failed: Sequence[Mapping[str, str]] = (),
) -> State:
    """Where a run stands.

    Args:
        run: its folder, whose lock is looked at.
        events: see `stage_events`.
        stages: the manifest's, which are done.
        measured: whether it has its metrics, which the last stage of every kind of run writes.
        failed: a life's stages that failed, which it goes on without; see `failed_of`.
    """
    working = held(run)  # before anything is concluded from what it wrote down
    last = next((event for event in reversed(events) if event.get("event") != "stage forgotten"), None)
    stage = str(last.get("stage", "")) if last else ""
    begun = last is not None and last.get("event") == "stage started"
    if working:
        return State("working", stage if begun else "")
    if begun and stage not in stages:
        return State("killed", stage, "No process holds the run, and this stage neither ended nor failed.")
    if last is not None and last.get("event") == "stage interrupted" and stage not in stages:
        error = str(last.get("error", ""))[:_LONGEST]
        if error.startswith(("KeyboardInterrupt", "SystemExit")):
            return State("stopped", stage)
        failed = failed or [{"name": stage, "message": error}]
    if failed:
        names = ", ".join(one["name"] for one in failed)
        return State("failed", names[:_LONGEST], failed[0]["message"])
    if measured:
        return State("finished")
    return State("unfinished", list(stages)[-1] if stages else "")
