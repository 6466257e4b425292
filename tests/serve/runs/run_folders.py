"""Small run folders, written by hand or by `Run` itself, and a server that shows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from live import Serving

from candor.serve.runs.app import create_app
from candor.serve.runs.browser import Browser
from candor.serve.server import hosts_for
from candor.serve.settings import Settings

HOSTILE = "</script><script>window.broken = 1</script><img src=x onerror='window.broken = 2'>"


def estimate(value: float, half: float = 0.05, n: int = 100) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half, "n": n}


def write_run(
    folder: Path,
    *,
    kind: str = "rl",
    model: str = "smollm2",
    seed: int = 0,
    created: str = "2026-01-02T03:04:05+00:00",
    accuracy: float | None = 0.8,
    steps: int = 30,
    events: list[dict[str, Any]] | None = None,
    **metrics: Any,
) -> Path:
    """A finished run; without an accuracy it has no results."""
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(
        f'kind = "{kind}"\nseed = {seed}\n[model]\nname = {json.dumps(model)}\n'
    )
    stages = {"train": {"seconds": 75.0, "finished": created, "peak_memory_bytes": 3 << 30}}
    manifest = {"created": created, "stages": stages, "versions": {"torch": "2"}, "machine": {"cores": 2}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    if events is None:
        events = [{"event": "stage started", "stage": "train", "time": created}]
        events += [
            {"event": "step", "time": created, "step": step, "reward": step / 50, "loss": 3 - step / 20}
            for step in range(1, steps + 1)
        ]
        events += [{"event": "stage finished", "stage": "train", "time": created, "seconds": 75.0}]
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    if accuracy is not None:
        before, after = {"accuracy": estimate(0.2)}, {"accuracy": estimate(accuracy)}
        found = {"model": model, "before": before, "after": after, **metrics}
        (folder / "metrics.json").write_text(json.dumps(found))
    return folder


def showing(folder: Path, **settings: Any) -> Serving:
    """A server of the runs in a folder."""
    settings = {"hosts": hosts_for("127.0.0.1"), **settings}
    return Serving(create_app(Browser(folder), Settings(**settings)))
