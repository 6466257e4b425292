"""Where the shards of a run are worked on."""

from __future__ import annotations

import importlib.util
import re
from typing import ClassVar, Self

from pydantic import Field, field_validator, model_validator

from candor.core.errors import CandorError, InputError
from candor.core.recipe import Settings

LOCAL, AUTO = "local", "auto"
INSTALL = 'pip install "candor-lm[cluster]"'
_HOST_AND_PORT = re.compile(r"[\w.-]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")


class ClusterSettings(Settings):
    """Workers on a Ray cluster. What comes out doesn't depend on them: a run may go on with others."""

    shapes_results: ClassVar[bool] = False

    address: str = Field(
        default="",
        description="Empty: all in this process. `local`: a Ray cluster on this machine, for as long as it "
        "is needed. `auto`, or HOST:PORT of its head: the running one that this machine belongs to.",
    )
    workers: int | None = Field(
        default=None, ge=1, description="Models loaded at once; unset: as many as the cluster has room for."
    )
    cpus: int = Field(default=1, ge=1, description="CPU cores, and threads, of each worker.")
    gpus: float = Field(
        default=0,
        ge=0,
        description="GPUs of each worker. Below 1: a share of one. Above 1 (whole, vllm only): its model is "
        "spread over them.",
    )

    @field_validator("address")
    @classmethod
    def _an_address(cls, value: str) -> str:
        if value.startswith("ray://"):
            # Ray's client can't stream an actor's results, which Ray Data needs.
            raise ValueError(
                "ray:// drives a cluster from outside, which Ray Data can't; start the command on a machine "
                "of the cluster, with `auto`"
            )
        if value not in ("", LOCAL, AUTO) and not _HOST_AND_PORT.fullmatch(value):
            raise ValueError(f"'{value}' is no address of a Ray cluster")
        return value

    @model_validator(mode="after")
    def _whole_gpus(self) -> Self:
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise ValueError(f"gpus is {self.gpus:g}: above 1 Ray gives whole ones only")
        return self


def check_cluster(settings: ClusterSettings, engine: str) -> None:
    """Look at what is needed before any work is done.

    Args:
        settings: where to work.
        engine: the kind of engine that workers load.

    Raises:
        CandorError: Ray is not installed, or a worker could not use what it is given.
    """
    if not settings.address:
        return
    if settings.gpus > 1 and engine != "vllm":
        raise InputError(
            f"{settings.gpus:g} GPUs for a worker, of which the engine '{engine}' uses one",
            field="cluster.gpus",
            fix="give 1, or spread a model over several with --engine vllm",
        )
    # What ray[data] brings beside Ray itself.
    if any(importlib.util.find_spec(name) is None for name in ("ray", "pandas", "pyarrow")):
        raise CandorError("a cluster needs Ray with Ray Data, which is not installed here", fix=INSTALL)
