"""What several processes train together within a life: torchrun is started for it, and waited for.

Each process has a GPU of its own where there are GPUs. The first one holds the stage's run and writes; the
life's own process, which computes nothing meanwhile, keeps no lock on it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from candor.core.errors import CandorError, InputError
from candor.core.files import read_json_lines
from candor.core.memory import return_freed_memory
from candor.core.progress import Reporter


def check_processes(processes: int) -> None:
    """Raise if there is not a GPU for each.

    Raises:
        InputError: so it is; on a machine without any, all share its processor.
    """
    there = torch.cuda.device_count() if torch.cuda.is_available() else processes
    if 1 < processes > there:
        raise InputError(
            f"{processes} processes want a GPU each, and this machine has {there}",
            field="processes",
            fix=f"--set processes={there}",
        )


def together(processes: int, verb: str, words: Sequence[str], run: Path, reporter: Reporter) -> None:
    """Give a command of Candor to several processes.

    Args:
        processes: how many.
        verb: the command's, such as "chat tune".
        words: what follows it, without --out.
        run: the folder of the run that it goes on with; nobody may hold it.
        reporter: says what is done; the processes talk as it does.

    Raises:
        CandorError: they failed; it says what the run wrote down of that.
    """
    return_freed_memory()  # the first GPU is the first process's now
    reporter.say(f"starting {processes} processes: candor {verb}")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *launch, "-m", "candor", *verb.split(), *words, "--out", str(run)]
    if reporter.mode == "json":
        command.append("--json")
    # What a verb prints at its end is in the life's report; what it does on the way goes to the terminal.
    out = None if reporter.mode == "json" else subprocess.DEVNULL
    err = subprocess.DEVNULL if reporter.mode == "quiet" else None
    code = subprocess.run(command, stdout=out, stderr=err, check=False).returncode
    if code:
        raise _failed(processes, code, run)


def _failed(processes: int, code: int, run: Path) -> CandorError:
    """What the first process wrote down, if it came to that."""
    file = run / "events.jsonl"
    rows = [row for _, row in read_json_lines(file)] if file.exists() else []
    last = rows[-1] if rows else {}
    if last.get("event") != "stage interrupted":
        return CandorError(
            f"the {processes} processes ended with code {code}",
            fix="see above what they wrote to the terminal",
        )
    message, _, fix = str(last.get("error")).partition("\n  fix: ")
    return CandorError(f"of {processes} processes: {message}", fix=fix or "see above what they wrote")
