"""What a run writes down of its steps: one event each, and samples that a killed run takes back."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from candor.core.files import read_json_lines, write_jsonl
from candor.rl.loop import RlStep


def event_of(step: RlStep) -> dict[str, Any]:
    """A step as an event, at six digits."""
    return {
        name: float(f"{value:.6g}") if isinstance(value, float) else value
        for name, value in asdict(step).items()
    }


def keep_up_to(samples: Path, step: int) -> None:
    """Leave out samples of later steps: a killed process may have written of steps that are made again."""
    if samples.exists():
        rows = read_json_lines(samples, lambda _: None)  # its last line may be cut in two
        write_jsonl(samples, [row for _, row in rows if row["step"] <= step])
