"""Policies trained with several shares of a weight, of which the labels choose one.

training/SHARE/state, samples.jsonl     while one learns
training/SHARE/checkpoint, trial.json   when it has
choice.json                             what all of them foresee, and which one was kept

The choice is written before anything is moved or removed: a killed run goes on from whatever is there.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from candor.core.files import read_json, write_json
from candor.rewards.foresight import Foreseen, best

CHOICE = "choice.json"
_KEPT = ("checkpoint", "samples.jsonl")


class Trials:
    """The trials of a run.

    Args:
        folder: of the run.
        shares: of the weight, in the order in which they are tried; the first is kept if nothing is foreseen.
    """

    def __init__(self, folder: Path, shares: tuple[float, ...]) -> None:
        self._folder, self._shares = folder, shares

    def of(self, share: float) -> Path:
        """The folder of a trial."""
        return self._folder / "training" / f"{share:g}"

    def remaining(self) -> list[float]:
        """Shares that are still to be tried."""
        found = [share for share in self._shares if not (self.of(share) / "trial.json").exists()]
        # Looked for last: trials go only after it is there.
        return [] if (self._folder / CHOICE).exists() else found

    def done(self, share: float, foreseen: Foreseen | None) -> None:
        """A policy is trained and saved."""
        write_json(self.of(share) / "trial.json", None if foreseen is None else foreseen.as_dict())

    def choose(self) -> dict[str, Any]:
        """Keep one policy, and remove the others; what was chosen among."""
        file = self._folder / CHOICE
        if not file.exists():
            found = [read_json(self.of(share) / "trial.json") for share in self._shares]
            place = best([_foreseen(one) for one in found])
            trials = [{"share": s, "foreseen": one} for s, one in zip(self._shares, found, strict=True)]
            write_json(file, {"share": self._shares[place], "trials": trials})
        choice = read_json(file)
        for name in _KEPT:
            source, target = self.of(choice["share"]) / name, self._folder / name
            if source.exists():
                if target.is_dir():  # a copy that was made before and is not whole, or of an earlier run
                    shutil.rmtree(target)
                source.replace(target)
        shutil.rmtree(self._folder / "training", ignore_errors=True)
        return choice


def _foreseen(found: dict[str, Any] | None) -> Foreseen:
    known = {"gain": 0.0, "effective": 0.0, "beyond": 0.0, "labels": 0} | (found or {})
    return Foreseen(**{**known, "low": -float("inf") if known.get("low") is None else known["low"]})
