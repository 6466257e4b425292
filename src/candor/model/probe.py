"""A linear reading of a model's hidden state, kept beside its checkpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from candor.core.errors import CandorError
from candor.core.files import atomic_path, read_json, write_json

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class LinearProbe:
    """confidence = sigmoid(slope · (w · (x − mean) / scale + b) + offset), the last two from validation.

    `threshold` is the confidence below which the gate answers \"I don't know\".
    """

    layer: int
    weight: Floats  # [width]
    bias: float
    mean: Floats  # [width]
    scale: Floats  # [width]
    slope: float = 1.0
    offset: float = 0.0
    threshold: float = 0.5
    strength: float = 0.0

    def logit(self, states: Floats) -> Floats:
        """Uncalibrated log-odds that the answer will be right, for states [n, width]."""
        return (states - self.mean) / self.scale @ self.weight + self.bias

    def confidence(self, states: Floats) -> Floats:
        """Calibrated probability that the answer will be right, for states [n, width]."""
        return sigmoid(self.slope * self.logit(states) + self.offset)

    def save(self, folder: Path) -> None:
        """Write candor_probe.safetensors and candor_probe.json beside a checkpoint."""
        with atomic_path(folder / "candor_probe.safetensors") as file:
            save_file(
                {
                    "weight": self.weight.astype(np.float32),
                    "mean": self.mean.astype(np.float32),
                    "scale": self.scale.astype(np.float32),
                },
                file,
            )
        fields = ("layer", "bias", "slope", "offset", "threshold", "strength")
        write_json(
            folder / "candor_probe.json",
            {"format": 1, **{name: json.loads(json.dumps(getattr(self, name))) for name in fields}},
        )

    @classmethod
    def load(cls, folder: Path) -> LinearProbe:
        """Read what `save` wrote.

        Raises:
            CandorError: there is no probe in the folder.
        """
        file = folder / "candor_probe.json"
        if not file.is_file():
            raise CandorError(
                f"{folder}: this checkpoint has no uncertainty probe (candor_probe.json)",
                fix="use the checkpoint folder of a finished `candor knowledge run`; it makes no probe "
                "if its engine gives no hidden states, or next to no answer was right",
            )
        fields: dict[str, Any] = read_json(file)
        fields.pop("format", None)
        fields.update(load_file(folder / "candor_probe.safetensors"))
        return cls(**fields)


def sigmoid(value: Floats) -> Floats:
    """1 / (1 + exp(-value)), without overflow."""
    return 1 / (1 + np.exp(-np.clip(value, -60, 60)))
