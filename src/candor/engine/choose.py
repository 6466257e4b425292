"""The engine that a user names: `local`, `vllm`, or the URL of a server."""

from __future__ import annotations

from typing import Any

from candor.engine.local import LocalEngine
from candor.engine.prompts import no_template
from candor.engine.protocol import Engine
from candor.engine.remote import RemoteEngine
from candor.engine.vllm import VllmEngine


def chat_engine(kind: str, model: str, *, served_as: str | None = None, **options: Any) -> Engine:
    """An engine that can be given messages.

    Args:
        kind: `local`, `vllm`, or the URL of an OpenAI-compatible server that serves the model.
        model: what to load; see `model.load.resolve`.
        served_as: the model's name at that URL; None asks the server.
        options: of loading here (`LocalEngine.load`): dtype, template and so on.

    Raises:
        CandorError: the model can't be loaded or reached, or has no chat template.
    """
    engine: Engine
    if kind == "local":
        engine = LocalEngine.load(model, **options)
    elif kind == "vllm":
        engine = VllmEngine.load(model, **options)
    else:
        engine = RemoteEngine(kind, served_as)
    if not engine.chat:
        raise no_template(engine.model_name)
    return engine
