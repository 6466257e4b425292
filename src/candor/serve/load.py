"""Models from their names to their workers, with the gate of a tuned checkpoint where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psutil
import torch

from candor.core.errors import CandorError
from candor.engine.gate import FILE, Gate
from candor.engine.local import LocalEngine
from candor.model.load import resolve
from candor.serve.machine import Machine
from candor.serve.metrics import Metrics
from candor.serve.scheduler import Worker
from candor.serve.served import Served
from candor.serve.server import Choice
from candor.serve.settings import Settings

AUTO = "auto"


def gates_of(
    models: Sequence[Choice], abstain_below: str | None
) -> dict[str, tuple[Gate | None, float | None]]:
    """Each model's gate, and the confidence below which its replies are held back; loads no weights.

    Args:
        models: what to serve.
        abstain_below: a confidence, or `auto` for each checkpoint's own threshold; None: never.

    Raises:
        CandorError: there is no such model, or nothing that could abstain, or no such confidence.
    """
    limit = _limit(abstain_below)
    gates: dict[str, tuple[Gate | None, float | None]] = {}
    for model in models:
        folder = Path(resolve(model.spec))
        gate = Gate.load(folder)[0] if (folder / FILE).is_file() else None
        below = gate.threshold if gate is not None and limit == AUTO else limit
        gates[model.name] = (gate, None if gate is None or isinstance(below, str) else below)
    if limit is not None and all(gate is None for gate, _ in gates.values()):
        raise CandorError(
            "--abstain-below needs a checkpoint that `candor knowledge` tuned: none of these has a gate",
            fix="serve the folder of a finished `candor knowledge run`, or leave the option out",
        )
    return gates


def _limit(abstain_below: str | None) -> float | str | None:
    if abstain_below is None or abstain_below == AUTO:
        return abstain_below
    try:
        value = float(abstain_below)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise CandorError(
            f"--abstain-below is {abstain_below!r}",
            fix="give a confidence between 0 and 1, or `auto` for the checkpoint's own threshold",
        )
    return value


def load(
    model: Choice,
    gate: tuple[Gate | None, float | None],
    machine: Machine,
    *,
    settings: Settings,
    metrics: Metrics,
    template: str | None = None,
    dtype: str = "bfloat16",
) -> Served:
    """Load a model, in the machine's thread, and make its worker, which does not work yet.

    Args:
        model: which.
        gate: its gate, and the confidence below which replies are held back.
        machine: what will compute.
        settings: limits.
        metrics: where to count.
        template: a chat template, `plain`, or None for the model's own.
        dtype: its arithmetic type.
    """
    engine = machine.call(lambda: LocalEngine.load(model.spec, dtype=dtype, template=template))
    worker = Worker(
        engine,
        machine,
        name=model.name,
        settings=settings,
        metrics=metrics,
        gate=gate[0],
        abstain_below=gate[1],
        cache_tokens=room_for(engine),
    )
    return Served(worker)


def room_for(engine: LocalEngine) -> int:
    """Tokens whose keys and values fit a quarter of the memory that is free now."""
    device = engine.model.device
    on_gpu = device.type == "cuda"
    free = torch.cuda.mem_get_info(device)[0] if on_gpu else psutil.virtual_memory().available
    config = engine.model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    each = 2 * engine.layers * heads * size * engine.model.dtype.itemsize
    return max(1, free // (4 * each))
