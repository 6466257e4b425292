"""Where a recipe's data comes from: a path, a data set of the hub, or one that comes as a package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from candor.core.recipe import Settings


class Place(Settings):
    """One of `path`, `hub` and `embedded`; what can be embedded is for each kind of data to say."""

    path: Path | None = Field(default=None, description="File or folder.")
    hub: str | None = Field(
        default=None,
        description="A Hugging Face data set, read as a stream (candor-lm[hub]): org/name, or a folder.",
    )
    embedded: Any = Field(default=None, description="One of those that come as packages (candor-lm[demo]).")
    config: str | None = Field(
        default=None, description="Hub: the data set's configuration, if it has several."
    )
    split: str = Field(default="train", description="Hub: the split to read.")
    revision: str | None = Field(
        default=None, description="Hub: branch, tag or commit; name a commit to have the same data again."
    )

    @model_validator(mode="after")
    def _one_place(self) -> Place:
        given = [name for name in ("path", "hub", "embedded") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a source has one of path, hub and embedded; this one has {' and '.join(given) or 'none'}"
            )
        return self

    @property
    def name(self) -> str:
        """What the source is called in tables."""
        return f"embedded {self.embedded}" if self.embedded else self.hub or str(self.path)
