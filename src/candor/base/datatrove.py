"""Candor's rules as blocks of datatrove, for corpora that take a cluster to filter.

    LocalPipelineExecutor(
        [JsonlReader("raw/"), CandorFilter(), CandorScrubber(), JsonlWriter("clean/")], tasks=8
    ).run()

`SlurmPipelineExecutor` and `RayPipelineExecutor` take the same list. Documents pass or break the very rules
of `candor corpus build`, with the same names, so that the folder written can be a source of it with
`filtered = false`. The nodes need Candor and datatrove, but no GPU. What datatrove has already, such as
deduplication over many nodes, is not here again.
"""

from __future__ import annotations

from typing import Any

from candor.base.filters import FilterSettings, broken_rule, scrubbed
from candor.core.errors import CandorError

try:
    # An optional extra, so that its types are not there for whoever checks these.
    from datatrove.data import Document  # pyright: ignore[reportMissingImports]
    from datatrove.pipeline.filters.base_filter import BaseFilter  # pyright: ignore[reportMissingImports]
    from datatrove.pipeline.formatters.base import BaseFormatter  # pyright: ignore[reportMissingImports]
except ImportError as _error:
    raise CandorError(
        "filtering in a datatrove pipeline needs the package 'datatrove'",
        fix='pip install "candor-lm[datatrove]"',
    ) from _error

EMPTY = "empty"  # the reason for a document without text, which a corpus counts before its rules


class CandorFilter(BaseFilter):
    """Drops documents that break one of Candor's rules for prose; the reason is the rule's name.

    Args:
        settings: the limits; those of a recipe are its `corpus.filters`.
        exclusion_writer: a datatrove writer for what is dropped, with the reason in `filter_reason`.
    """

    name = "Candor's rules"

    def __init__(self, settings: FilterSettings | None = None, exclusion_writer: Any = None) -> None:
        super().__init__(exclusion_writer)
        self.settings = settings or FilterSettings()

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Whether to keep a document, or False and why not."""
        text = doc.text.strip()  # as a corpus reads it
        rule = broken_rule(text, self.settings) if text else EMPTY
        return True if rule is None else (False, rule)


class CandorScrubber(BaseFormatter):
    """Replaces e-mail and public IP addresses as `corpus.filters.scrub` does; counts them as `scrubbed`."""

    name = "Candor's scrubber"

    def format(self, text: str) -> str:
        """The text without them."""
        text, hidden = scrubbed(text)
        if hidden:
            self.stat_update("scrubbed", value=hidden)
        return text
