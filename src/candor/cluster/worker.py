"""What runs on a cluster: an actor of Ray Data that loads an engine once and works on shards, one a row.

Rows are plain Arrow columns. A shard arrives as JSON, its files go back as bytes, and what a user can mend
goes back as text, so that it is told as the error it is. Anything else that is raised is a bug and ends the
run with its traceback.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

import candor
from candor.cluster.connection import import_ray
from candor.cluster.model_files import SentFolder
from candor.cluster.shards import Files, Shard
from candor.core.errors import CandorError, unwritable
from candor.engine.choose import Loading
from candor.engine.protocol import Engine

RESULT = pa.schema(
    [
        ("name", pa.string()),
        ("files", pa.list_(pa.string())),
        ("contents", pa.list_(pa.large_binary())),
        ("error", pa.string()),
        ("fix", pa.string()),
    ]
)


# So often a shard is begun. A machine that goes away is bad luck; five workers that die of one shard are the
# shard's doing (its memory, as a rule), and Ray would start a sixth.
_TRIES = 5


class Tries:
    """An actor that counts how often each shard was begun, by whatever worker."""

    def __init__(self) -> None:
        self._begun: Counter[str] = Counter()

    def begin(self, name: str) -> int:
        """How often it has been begun, this time included."""
        self._begun[name] += 1
        return self._begun[name]


@dataclass(frozen=True)
class Job:
    """What all workers of a stage are told.

    Attributes:
        loading: the engine.
        model: its checkpoint, where that is a folder.
        kinds: the classes of shards by name.
        tries: the actor that counts.
        threads: of each worker.
        version: of Candor on the driver's machine.
    """

    loading: Loading
    model: SentFolder | None
    kinds: Mapping[str, type[Shard]]
    tries: Any
    threads: int
    version: str = candor.__version__


class Worker:
    """One actor. The engine is loaded with the first shard: a constructor that fails tells less."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._engine: Engine | None = None

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Work on one row {name, kind, shard}; the result's columns are those of `RESULT`."""
        row = rows.to_pylist()[0]
        try:
            self._begin(row["name"])
            files = self._files(row["kind"], row["shard"])
        except (CandorError, OSError) as error:
            known = error if isinstance(error, CandorError) else unwritable(error)
            if known is None:
                raise
            return _result(row["name"], {}, error=known.message, fix=known.fix)
        return _result(row["name"], files)

    def _begin(self, name: str) -> None:
        if import_ray().get(self._job.tries.begin.remote(name)) > _TRIES:
            raise CandorError(
                f"{_TRIES} workers died of the shard '{name}', one after another",
                fix="give each more memory (fewer workers, a smaller engine.max_rows), see why in Ray's log "
                "(/tmp/ray/session_latest/logs on its machine), and run the same command again: it continues",
            )

    def _files(self, kind: str, shard: str) -> Files:
        if self._engine is None:
            self._engine = self._load()
        return self._job.kinds[kind].model_validate_json(shard).work(self._engine)

    def _load(self) -> Engine:
        job = self._job
        if job.version != candor.__version__:
            raise CandorError(
                f"a machine of the cluster has Candor {candor.__version__}, this one {job.version}",
                fix="install the same version on all machines",
            )
        _use_threads(job.threads)
        loading = job.loading
        if job.model is not None:
            from candor.model.load import cache_folder  # noqa: PLC0415

            loading = replace(loading, model=job.model.here(cache_folder()))
        return loading.load()


def _use_threads(count: int) -> None:
    """Ray gives each worker OMP_NUM_THREADS only where the machine has none of its own, and numba nothing."""
    import numba  # noqa: PLC0415
    import torch  # noqa: PLC0415

    torch.set_num_threads(count)
    numba.set_num_threads(min(count, numba.get_num_threads()))  # of a fresh process that is the most it has


def _result(name: str, files: Files, *, error: str | None = None, fix: str | None = None) -> pa.Table:
    row: dict[str, Sequence[Any]] = {
        "name": [name],
        "files": [list(files)],
        "contents": [list(files.values())],
        "error": [error],
        "fix": [fix],
    }
    return pa.table(row, schema=RESULT)
