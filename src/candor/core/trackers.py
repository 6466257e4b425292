"""Metrics also sent to an experiment tracker, if one is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from candor.core.errors import CandorError

Kind = Literal["trackio", "tensorboard", "wandb"]
Send = Callable[[int, dict[str, float]], None]  # a step's metrics


def tracker(kind: Kind | None, folder: Path, settings: dict[str, Any]) -> tuple[Send, Callable[[], None]]:
    """What sends a step's metrics, and what ends it.

    Args:
        kind: None: nothing is sent.
        folder: the run's; its name is what the tracker calls the run. TensorBoard writes into
            `folder/tensorboard`.
        settings: the run's recipe, for trackers that keep it.

    Raises:
        CandorError: the tracker is not installed.
    """
    if kind is None:
        return lambda step, values: None, lambda: None
    library = _package(kind)
    if kind == "tensorboard":
        writer = library.SummaryWriter(str(folder / "tensorboard"))

        def write(step: int, values: dict[str, float]) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, step)

        return write, writer.close
    # The two others have the same functions.
    library.init(project="candor", name=folder.name, config=settings)
    return lambda step, values: library.log(values, step=step), library.finish


def need_tracker(kind: Kind | None) -> None:
    """Raise `CandorError` if the tracker is not installed."""
    if kind is not None:
        _package(kind)


def _package(kind: str) -> Any:
    try:
        return importlib.import_module("torch.utils.tensorboard" if kind == "tensorboard" else kind)
    except ImportError as error:
        raise CandorError(
            f"{kind} is not installed, so metrics can't be sent to it",
            fix=f"pip install {kind}, or leave train.track unset (events.jsonl has the metrics)",
        ) from error
