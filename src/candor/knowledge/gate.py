"""A tuned checkpoint with its probe: the answer, the confidence, and what the gate makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from candor.core.files import read_json, write_json
from candor.engine.local import LocalEngine
from candor.knowledge.build import REFUSALS
from candor.knowledge.recipe import ProbeSettings
from candor.knowledge.refusal import reply_to
from candor.knowledge.signal import LinearProbe
from candor.model.load import resolve

_ASKING = "candor_asking.json"


def save_gate(folder: Path, probe: LinearProbe, asking: ProbeSettings) -> None:
    """Put a probe, and how questions have to be asked for it, beside a checkpoint."""
    probe.save(folder)
    write_json(folder / _ASKING, {"instruction": asking.instruction, "max_tokens": asking.max_tokens})


def answer_with_confidence(model: str, question: str) -> dict[str, Any]:
    """Ask a tuned checkpoint one question.

    Args:
        model: the checkpoint's folder, or the run's.
        question: plain text.

    Returns:
        `answer` (the model's own), `confidence` (probability that a right answer is known), `threshold`,
        and `gated` (the answer, or \"I don't know.\" below the threshold).

    Raises:
        CandorError: the checkpoint has no probe.
    """
    folder = Path(resolve(model))
    probe = LinearProbe.load(folder)
    engine = LocalEngine.load(str(folder))
    asking = ProbeSettings(**read_json(folder / _ASKING)) if (folder / _ASKING).is_file() else ProbeSettings()
    reply = reply_to(engine, [question], asking, layers=[probe.layer])[0]
    assert reply.hidden is not None
    confidence = float(probe.confidence(reply.hidden)[0])
    sure = confidence >= probe.threshold and not reply.refused
    return {
        "question": question,
        "answer": reply.answer.text,
        "confidence": round(confidence, 4),
        "threshold": round(probe.threshold, 4),
        "gated": reply.answer.text if sure else REFUSALS[0],
    }
