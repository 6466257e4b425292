"""A tuned checkpoint's gate, weighed on validation questions, and questions asked through it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from candor.engine.gate import REFUSALS, Gate
from candor.engine.local import LocalEngine
from candor.knowledge.recipe import ProbeSettings
from candor.knowledge.refusal import answers_instead, refusal_logit, reply_to
from candor.knowledge.signal import Bools, threshold_for
from candor.model.load import resolve
from candor.model.probe import Floats, LinearProbe, sigmoid


def fit_gate(
    probe: LinearProbe,
    logits: Floats,
    against_refusal: Floats,
    right: Bools,
    validation: Bools,
    *,
    max_over_refusal: float,
    token: int,
) -> Gate:
    """Weigh the two on the validation questions, and set the threshold there.

    Args:
        probe: the tuned model's probe.
        logits: [n], its log-odds.
        against_refusal: [n], the tuned model's log-odds against refusing.
        right: [n], whether the untuned model's answer was right.
        validation: [n], which questions to use.
        max_over_refusal: share of right answers that may be refused.
        token: the refusals' first token.
    """
    columns = np.stack([logits, against_refusal], axis=1)[validation]
    scaler = StandardScaler().fit(columns)
    model = LogisticRegression(C=1.0).fit(scaler.transform(columns), right[validation])
    weights = model.coef_[0] / scaler.scale_
    bias = float(model.intercept_[0] - (weights * scaler.mean_).sum())
    scores = sigmoid(columns @ weights + bias)
    threshold = threshold_for(scores, right[validation], max_over_refusal)
    return Gate(probe, float(weights[0]), float(weights[1]), bias, float(np.clip(threshold, 0, 1)), token)


def asking_of(settings: ProbeSettings) -> dict[str, Any]:
    """What is kept beside a gate: how questions have to be asked for it."""
    return {"instruction": settings.instruction, "max_tokens": settings.max_tokens}


def answer_with_confidence(model: str, question: str) -> dict[str, Any]:
    """Ask a tuned checkpoint one question.

    Args:
        model: the checkpoint's folder, or the run's.
        question: plain text.

    Returns:
        `answer` (the model's own, refusals included), `confidence` (probability that a right answer is
        known), `threshold`, and `gated`: \"I don't know.\" below the threshold; above it the answer, or the
        one behind the refusal where the model refused all the same.

    Raises:
        CandorError: the checkpoint has no gate.
    """
    folder = Path(resolve(model))
    gate, asked = Gate.load(folder)
    asking = ProbeSettings(**asked)
    engine = LocalEngine.load(str(folder))
    reply = reply_to(engine, [question], asking, layers=[gate.probe.layer])[0]
    assert reply.hidden is not None
    confidence = float(gate.confidence(reply.hidden, refusal_logit([reply]))[0])
    gated = reply.answer.text
    if confidence < gate.threshold or math.isnan(confidence):
        gated = REFUSALS[0]
    elif reply.refused:
        gated = answers_instead(engine, [question], asking, gate.token)[0].text
    return {
        "question": question,
        "answer": reply.answer.text,
        "confidence": round(confidence, 4),
        "threshold": round(gate.threshold, 4),
        "gated": gated,
    }
