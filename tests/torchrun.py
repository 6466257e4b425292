"""Programs and commands in one process or in two of torchrun (gloo), and ones that are killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent
LAUNCH = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")

# The command, whose first process is killed behind a step.
_KILLED = """
import os, signal, sys
from candor.cli.app import main
from candor.core.run import Run

last, noted = int(sys.argv.pop(1)), Run.event

def event(run, kind, **fields):
    noted(run, kind, **fields)
    if kind == "step" and fields["step"] == last:
        os.kill(os.getpid(), signal.SIGKILL)

Run.event = event
sys.argv[0] = "candor"
main()
"""


def program(
    script: Path, *words: object, processes: int = 1, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a Python program that may import what tests share."""
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, *(LAUNCH if processes == 2 else ()), str(script), *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def command(folder: Path, *words: object, processes: int = 1, kill_at: int = 0) -> None:
    """Run `candor`; with `kill_at` its first process is killed when so many steps are made.

    Args:
        folder: for the program.
        words: of the command.
        processes: 1, or 2 under torchrun.
        kill_at: a step, or 0.
    """
    script = folder / "candor_killed.py"
    script.write_text(_KILLED)
    done = program(script, kill_at, *words, processes=processes, check=not kill_at)
    assert (done.returncode != 0) == bool(kill_at), done.stdout + done.stderr
