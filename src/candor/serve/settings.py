"""How much a server takes on, and from whom."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Settings:
    """Limits of a server. What goes beyond them is refused with a 4xx that says which one it was."""

    # What requests have to carry as `Authorization: Bearer …`; None: nothing.
    api_key: str | None = field(default=None, repr=False)
    # Names by which this server may be asked (the Host header, without its port); None: any. A page in a
    # browser can reach a server on its own machine by a name of its own making (DNS rebinding).
    hosts: frozenset[str] | None = None
    max_body_bytes: int = 4 << 20
    body_seconds: float = 30.0  # in which a request's body has to be here
    max_prompts: int = 512  # of one request
    max_completions: int = 512  # of one request, in all
    max_queue: int = 1024  # prompts that wait, of a model
    max_rows: int = 64  # completions decoded at once
    max_cache_tokens: int = 1 << 18  # of all rows together, prompts and limits of their completions
    chat_tokens: int = 2048  # of a reply where the request sets no limit, if the context has them
    max_alternatives: int = 20
    max_stops: int = 16
    max_stop_characters: int = 512
    max_biases: int = 1024
    grace_seconds: float = 30.0  # for running requests when the server is asked to stop
