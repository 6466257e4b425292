"""The stages of an audit, each reading and writing the run folder.

log.jsonl                     draw      completions of both models, where no log was given
audit.json, metrics.json      judge     the verdict and all numbers behind it
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from candor.core.files import write_json, write_jsonl
from candor.core.progress import Reporter
from candor.core.run import Run
from candor.rewards.audit.log import read_log
from candor.rewards.audit.recipe import AuditRecipe
from candor.rewards.audit.verdict import audit
from candor.rewards.audit.words import as_json


class AuditRun:
    """An audit in its folder.

    Args:
        run: the folder.
        reporter: where it says what it does.
    """

    def __init__(self, run: Run[AuditRecipe], reporter: Reporter) -> None:
        self.run, self.recipe, self.reporter = run, run.recipe, reporter

    @property
    def log(self) -> Path:
        """The log that is judged."""
        return self.run.path("log.jsonl") if self.recipe.log is None else Path(self.recipe.log)

    def whole(self) -> dict[str, Any]:
        """Draw, unless there is a log, and judge; returns what audit.json holds.

        Judging is a matter of seconds and is done again each time, as the log may have grown.
        """
        if self.recipe.log is None:
            self.run.go_through({"draw": self.draw}, "draw", self.reporter.say)
        if self.run.done("judge"):
            self.run.forget(["judge"], {"judge": ["audit.json", "metrics.json"]})
        with self.run.stage("judge"):
            found = self.judge()
        return found

    def draw(self) -> None:
        """Write log.jsonl."""
        from candor.rewards.audit.draw import draw  # noqa: PLC0415 (a log needs no models)

        settings = self.recipe.draw
        for name, spec in (("prompts", settings.prompts), ("proxy", settings.proxy), ("gold", settings.gold)):
            path = Path((spec or "").rpartition(":")[0] or spec or "")
            if spec and path.is_file():
                self.run.record_input(name, path)
        write_jsonl(self.run.path("log.jsonl"), draw(settings, self.recipe.seed, self.reporter))

    def judge(self) -> dict[str, Any]:
        """Write audit.json, and metrics.json for the report."""
        log = read_log(self.log)
        self.run.record_input("log", self.log)
        found = as_json(audit(log, seed=self.recipe.seed))
        write_json(self.run.path("audit.json"), found)
        names = self.recipe.draw
        metrics = {
            **found,
            "model": names.policy or self.log.name,
            "commands": {"audit": _command(self.recipe, self.run.folder)},
        }
        write_json(self.run.path("metrics.json"), metrics)
        return found


def _command(recipe: AuditRecipe, out: Path) -> str:
    """What makes this audit again."""
    words = ["candor", "audit"]
    if recipe.log is not None:
        words.append(recipe.log)
    for name in ("policy", "reference", "proxy", "gold", "prompts"):
        if (value := getattr(recipe.draw, name)) is not None:
            words += [f"--{name}", value]
    if recipe.log is None:
        words += ["--samples", str(recipe.draw.samples), "--max-tokens", str(recipe.draw.max_tokens)]
    return shlex.join([*words, "--out", str(out)])
