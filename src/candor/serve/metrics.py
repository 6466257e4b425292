"""What a server counts, in Prometheus' text format."""

from __future__ import annotations

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """One server's counters, in a registry of their own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = self._counter("requests", "Requests answered.", "path", "status")
        self.prompt_tokens = self._counter("prompt_tokens", "Tokens of prompts that were read.", "model")
        self.generated_tokens = self._counter("generated_tokens", "Tokens that were drawn.", "model")
        self.completions = self._counter("completions", "Completions that ended.", "model", "reason")
        self.cancelled = self._counter(
            "cancelled", "Completions given up because the client had gone.", "model"
        )
        self.abstained = self._counter("abstained", "Replies that the gate held back.", "model")
        self.failures = self._counter("failures", "Steps that failed in the server.", "model")
        self.rows = self._gauge("rows", "Completions being decoded.")
        self.waiting = self._gauge("waiting", "Prompts that wait for room.")
        self.first_token = self._histogram(
            "first_token_seconds", "From a prompt's arrival to its first token.", "model"
        )
        self.request_seconds = self._histogram(
            "request_seconds", "From a request's arrival to its end.", "path"
        )
        self.step_seconds = self._histogram(
            "step_seconds", "Of one step, which gives all rows a token.", "model"
        )

    def text(self) -> bytes:
        """All of them, as /metrics shows them."""
        return generate_latest(self._registry)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"candor_{name}", help_text, labels, registry=self._registry)

    def _gauge(self, name: str, help_text: str) -> Gauge:
        return Gauge(f"candor_{name}", help_text, ["model"], registry=self._registry)

    def _histogram(self, name: str, help_text: str, label: str) -> Histogram:
        return Histogram(f"candor_{name}", help_text, [label], registry=self._registry, buckets=_SECONDS)
