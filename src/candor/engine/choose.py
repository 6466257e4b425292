"""The engine that a user names: `local`, `vllm`, or the URL of a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from candor.engine.local import LocalEngine
from candor.engine.prompts import no_template
from candor.engine.protocol import Engine
from candor.engine.remote import RemoteEngine
from candor.engine.vllm import VllmEngine


@dataclass(frozen=True)
class Loading:
    """How an engine is loaded: plain data, so that another process can do it.

    Attributes:
        kind: `local`, `vllm`, or the URL of an OpenAI-compatible server that serves the model.
        model: what to load; see `model.load.resolve`.
        served_as: the model's name at that URL; None asks the server.
        options: of loading (`LocalEngine.load`): dtype, template and so on.
        chat: whether it has to be able to read messages.
    """

    kind: str
    model: str
    served_as: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    chat: bool = True

    def load(self) -> Engine:
        """The engine.

        Raises:
            CandorError: the model can't be loaded or reached, or has no chat template.
        """
        if self.kind == "local":
            engine: Engine = LocalEngine.load(self.model, **self.options)
        elif self.kind == "vllm":
            engine = VllmEngine.load(self.model, **self.options)
        else:
            engine = RemoteEngine(self.kind, self.served_as)
        if self.chat and not engine.chat:
            raise no_template(engine.model_name)
        return engine


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
    return Loading(kind, model, served_as, options).load()
