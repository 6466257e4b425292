"""Peers side by side: each in a process of its own that stays loaded, timed in turns on one machine.

A side is a Python file's function run in a chosen interpreter. It gets the job as JSON, makes itself ready
(imports, weights, warm-up: start-up time), and then does the job once each time it is asked.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_MARK = "@@"


Job = dict[str, Any]
Result = dict[str, Any]
Side = Callable[[Job], Callable[[], Result]]  # makes itself ready, and returns what does the job once


def launch(main: Callable[[], None], sides: dict[str, Side], packages: list[str]) -> None:
    """Run the comparison, or with `--side NAME`, which `compare` gives, one side of it."""
    if "--side" in sys.argv:
        serve(sides[sys.argv[sys.argv.index("--side") + 1]], packages)
    else:
        main()


def save(result: Result, options: argparse.Namespace) -> None:
    """Write all numbers where `--out` says."""
    if options.out:
        options.out.write_text(json.dumps(result, indent=1), encoding="utf-8")


def serve(ready: Side, packages: list[str]) -> None:
    """The child's side: make ready, then do the job for each line on standard input."""
    begun = time.perf_counter()
    job = json.loads(Path(sys.argv[-1]).read_text(encoding="utf-8"))
    run = ready(job)
    versions = {name: _version(name) for name in packages}
    _say({"startup": time.perf_counter() - begun, "versions": versions})
    for _ in sys.stdin:
        begun = time.perf_counter()
        result = run()
        seconds = time.perf_counter() - begun - result.pop("untimed", 0.0)
        _say({"seconds": seconds, **result, "peak_bytes": _peak()})


def compare(
    title: str, job: dict[str, Any], sides: dict[str, tuple[str, list[str]]], *, runs: int, folder: Path
) -> dict[str, Any]:
    """Start all sides, then let them do the job in turns; prints medians, spreads and ratios.

    Args:
        title: of the comparison.
        job: what all sides get.
        sides: name to (interpreter, arguments); the first is ours, ratios are to it.
        runs: timed runs of each side, which has warmed up while it made ready.
        folder: for the job's file and the sides' logs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "job.json").resolve()
    file.write_text(json.dumps(job), encoding="utf-8")
    children, report = {}, {}
    for name, (interpreter, arguments) in sides.items():
        log = (folder / f"{name.replace(' ', '-')}.log").open("w")
        child = subprocess.Popen(
            [interpreter, *arguments, str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=folder,  # vLLM would take a checkout's src for its own
            env={**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
        )
        children[name] = child
        report[name] = {**_heard(child, name), "runs": []}
        print(f"{name}: ready after {report[name]['startup']:.0f} s", file=sys.stderr)
    for _ in range(runs):
        for name, child in children.items():
            assert child.stdin is not None
            child.stdin.write("run\n")
            child.stdin.flush()
            result = _heard(child, name)
            report[name]["runs"].append(result)
            print(f"{name}: {result['seconds']:.1f} s", file=sys.stderr)
    for child in children.values():
        child.kill()
    print(_table(title, report))
    return {"title": title, "machine": machine(), "sides": report}


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    return {"system": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()}


def arguments(description: str | None, *, runs: int = 5) -> argparse.ArgumentParser:
    """Options that all comparisons share."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=runs, help="timed runs of each side")
    parser.add_argument("--work", type=Path, default=Path("runs/benchmarks"), help="folder for logs")
    parser.add_argument("--out", type=Path, help="write all numbers here (JSON)")
    return parser


def _table(title: str, report: dict[str, Any]) -> str:
    ours = next(iter(report))
    lines = [
        f"## {title}",
        "",
        "| side | start-up s | seconds: median (low to high) | units/s | ours is faster by | peak GiB |",
        "|---|---|---|---|---|---|",
    ]
    rates = {
        name: statistics.median(run["units"] / run["seconds"] for run in side["runs"])
        for name, side in report.items()
    }
    for name, side in report.items():
        seconds = [run["seconds"] for run in side["runs"]]
        lines.append(
            f"| {name} | {side['startup']:.1f} "
            f"| {statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f}) "
            f"| {rates[name]:,.0f} | {rates[ours] / rates[name]:.2f}× "
            f"| {max(run['peak_bytes'] for run in side['runs']) / 2**30:.1f} |"
        )
    return "\n".join(lines)


def _heard(child: subprocess.Popen[str], name: str) -> dict[str, Any]:
    assert child.stdout is not None
    for line in child.stdout:  # libraries print too
        if line.startswith(_MARK):
            return json.loads(line[len(_MARK) :])
    raise SystemExit(f"{name} ended; its log is in the work folder")


def _say(value: dict[str, Any]) -> None:
    print(_MARK + json.dumps(value), flush=True)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _peak() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
