"""A life in its folder: every stage in order, each in a folder of its own, and one report over all.

base/ serve/ chatml/ chat/ knowledge/ think/ rewards/   the stages' own runs
report.html, report.json                                written again after each stage

A stage that fails is marked so in the manifest; those that don't need it go on.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from candor.core.errors import CandorError, InputError, did_you_mean, out_of_memory, unwritable
from candor.core.files import write_text
from candor.core.memory import return_freed_memory
from candor.core.progress import Reporter
from candor.core.recipe import differences, to_toml
from candor.core.run import Run
from candor.life.recipe import LifeRecipe
from candor.life.stages import NAMES, STAGES, Stage
from candor.report import render_report
from candor.report.wording import duration


def chosen(first: str | None, only: str | None) -> tuple[str, ...]:
    """Names of the stages to do.

    Args:
        first: leave out the stages before this one.
        only: do this one and no other.

    Raises:
        InputError: there is no such stage, or both are given.
    """
    for option, name in (("--from", first), ("--only", only)):
        if name is not None and name not in NAMES:
            raise InputError(
                f"there is no stage '{name}'",
                field=option,
                fix=f"{did_you_mean(name, NAMES)}a life has {', '.join(NAMES)}",
            )
    if first is not None and only is not None:
        raise InputError("--from and --only can't both be given", field="--from", fix="leave out one of them")
    if only is not None:
        return (only,)
    return NAMES[NAMES.index(first) :] if first is not None else NAMES


def begin(folder: Path, recipe: LifeRecipe, names: Sequence[str]) -> Run[LifeRecipe]:
    """Create a life's folder, or continue the life that is there.

    Settings of stages that are not done may differ from those that the life was begun with: what made a stage
    fail can be mended, and nothing has to be computed again.

    Raises:
        CandorError: what the recipe names is not there, a setting of a stage that is done was changed, or the
            folder holds something else.
    """
    there = (folder / "recipe.toml").exists()
    old = Run.open(folder, LifeRecipe) if there else None
    done = [stage for stage in STAGES if old is not None and is_done(old, stage)]
    for stage in STAGES:
        if stage.name not in names or stage in done:
            continue
        for need in stage.needs(recipe):
            if need not in names and need not in [other.name for other in done]:
                raise CandorError(
                    f"the stage '{stage.name}' takes up what '{need}' makes, and that has not been done",
                    fix=f"`candor life --only {need} --out {folder}` first, or leave out --from and --only",
                )
        stage.check(recipe)
    if old is None or not (changed := differences(old.recipe, recipe)):
        return Run.start(folder, recipe)
    fixed = {table: stage.name for stage in done for table in stage.tables}
    for line in changed:
        if (table := line.partition(".")[0]) in fixed:
            raise CandorError(
                f"{folder}: the stage '{fixed[table]}' is done with other settings ({line})",
                fix="repeat the settings of that life, choose another --out, or delete "
                f"{folder / fixed[table]} and the folders of the stages that take it up",
            )
    old.lock()
    write_text(old.path("recipe.toml"), to_toml(recipe))
    old.event("settings changed", changed=changed)
    old.recipe = recipe
    return old


def is_done(run: Run[LifeRecipe], stage: Stage) -> bool:
    """Whether a stage has finished and its folder is still there."""
    return run.done(stage.name) and all(run.path(stage.name, name).is_file() for name in stage.made)


class LifeRun:
    """The life.

    Args:
        run: its folder; see `begin`.
        reporter: where it says what it does.
    """

    def __init__(self, run: Run[LifeRecipe], reporter: Reporter) -> None:
        self.run, self.recipe, self.reporter = run, run.recipe, reporter
        self._begun = time.monotonic()

    def go(self, names: Sequence[str] = NAMES) -> None:
        """Do these stages in order, leave out those that are done, and write the report.

        Raises:
            CandorError: stages failed; the others were done.
        """
        failed: dict[str, str] = {}
        for number, stage in enumerate(STAGES, start=1):
            if stage.name not in names:
                continue
            if is_done(self.run, stage):
                self._say(number, stage, "done before")
                continue
            lacking = [need for need in stage.needs(self.recipe) if need in failed]
            if lacking:
                reason = f"left out: it takes up what '{lacking[0]}' makes"
                self._mark(stage, reason, f"mend '{lacking[0]}' first")
            else:
                reason = self._attempt(number, stage)
            if reason is not None:
                failed[stage.name] = reason
                self._say(number, stage, reason)
            return_freed_memory()
            self._report()
        render_report(self.run.folder)
        if failed:
            raise CandorError(
                f"{self.run.folder}: of {len(names)} stages these are not done: "
                + "; ".join(f"{name} ({reason})" for name, reason in failed.items()),
                fix="do what is said there and give the same command again: it does only these stages; what "
                f"was done is in {self.run.path('report.html')}",
            )

    def _attempt(self, number: int, stage: Stage) -> str | None:
        """Do a stage; what is wrong if it fails."""
        self._say(number, stage, stage.does)
        try:
            with self.run.stage(stage.name):
                stage.work(self.run.folder, self.recipe, self.reporter)
        except Exception as error:
            told = error if isinstance(error, CandorError) else unwritable(error) or out_of_memory(error)
            if told is None:  # a bug: the rest of the life is worth having all the same
                file = self.run.path(f"{stage.name}-failed.txt")
                write_text(file, traceback.format_exc())
                message = f"{type(error).__name__}: {error}"
                told = CandorError(message[:500], fix=f"this is a bug in Candor; {file} has what to report")
            self._mark(stage, told.message, told.fix)
            return f"{told.message}; fix: {told.fix}" if told.fix else told.message
        self._mark(stage, None, None)
        seconds = self.run.manifest["stages"][stage.name]["seconds"]
        self._say(number, stage, f"done in {duration(seconds)}")
        return None

    def _report(self) -> None:
        """The page as far as the life has come; what is wrong with it must not end the life."""
        try:
            render_report(self.run.folder)
        except Exception as error:
            self.reporter.say(f"the report can't be written yet ({type(error).__name__}: {error})")

    def _mark(self, stage: Stage, message: str | None, fix: str | None) -> None:
        """Note in the manifest why a stage failed, or that it did not."""
        others = {
            name: why for name, why in self.run.manifest.get("failed", {}).items() if name != stage.name
        }
        if message is not None:
            others[stage.name] = {"message": message, "fix": fix}
        self.run.update_manifest(failed=others)

    def _say(self, number: int, stage: Stage, words: str) -> None:
        so_far = time.monotonic() - self._begun
        self.reporter.say(
            f"[{number}/{len(STAGES)}] {stage.name}: {words} ({duration(so_far)} so far)",
            stage=stage.name,
            seconds=round(so_far, 1),
        )
