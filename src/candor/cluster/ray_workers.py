"""Workers on a Ray cluster: Ray Data maps shards over a pool of actors, and results stream back.

    RayWorkers(ClusterSettings(address="local", workers=2), Loading("local", "smollm2")).work(shards)

An actor that dies is started again, on another machine if its own is gone, and its shard is done again. (Ray
Data does both without end by default; `Tries` ends it.) What a shard raises is not tried again. Nothing is
written but by the process that asks, so that no file system has to be shared.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from candor.cluster.connection import beside_driver, connected, import_ray, room
from candor.cluster.model_files import send
from candor.cluster.settings import ClusterSettings
from candor.cluster.shards import Files, Shard
from candor.cluster.worker import Job, Tries, Worker
from candor.core.errors import CandorError
from candor.engine.choose import Loading
from candor.model.load import resolve

# A task of Ray Data for each shard, up to as many as its planning is made for; beyond, several share one.
_MOST_TASKS = 10_000


class RayWorkers:
    """Actors that load the same engine.

    Args:
        settings: which cluster, and what each worker gets.
        loading: the engine.
    """

    def __init__(self, settings: ClusterSettings, loading: Loading) -> None:
        self._settings = settings
        self._loading = loading

    def work(self, shards: Sequence[Shard]) -> Generator[tuple[Shard, Files]]:
        """Each shard with its files, as they come.

        Raises:
            CandorError: there is no cluster or no room on it, a shard raised it, or a shard's workers died
                again and again.
        """
        with connected(self._settings):
            yield from self._mapped({shard.name: shard for shard in shards}, room(self._settings))

    def _mapped(self, shards: dict[str, Shard], workers: int) -> Generator[tuple[Shard, Files]]:
        ray = import_ray()
        _quiet(ray)
        settings = self._settings
        rows = [
            {"name": name, "kind": type(shard).__name__, "shard": shard.model_dump_json()}
            for name, shard in shards.items()
        ]
        results = (
            ray.data.from_items(rows, override_num_blocks=min(len(rows), _MOST_TASKS))
            .map_batches(
                Worker,
                batch_size=1,
                batch_format="pyarrow",
                compute=ray.data.ActorPoolStrategy(
                    size=min(workers, len(rows)),
                    max_tasks_in_flight_per_actor=1,
                    max_concurrent_calls_per_actor=1,
                ),
                fn_constructor_args=(self._job(shards),),
                num_cpus=settings.cpus,
                num_gpus=settings.gpus or None,
            )
            .iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
        )
        left = dict(shards)
        try:
            for batch in results:
                for row in batch.to_pylist():
                    if row["error"] is not None:
                        raise CandorError(row["error"], fix=row["fix"])
                    files = dict(zip(row["files"], row["contents"], strict=True))
                    yield left.pop(row["name"]), files
        except ray.exceptions.RayError as error:
            raise _known(error, left) or error from error
        assert not left, f"shards without a result: {sorted(left)}"

    def _job(self, shards: dict[str, Shard]) -> Job:
        loading, settings = self._loading, self._settings
        folder = None
        if loading.kind in ("local", "vllm"):
            found = resolve(loading.model)  # a folder, or a name on the hub, which each machine looks up
            folder = send(found) if Path(found).is_dir() else None
        if loading.kind == "vllm" and settings.gpus > 1:
            spread = {"tensor_parallel_size": int(settings.gpus), "distributed_executor_backend": "mp"}
            loading = Loading(
                "vllm", loading.model, loading.served_as, {**loading.options, **spread}, loading.chat
            )
        kinds = {type(shard).__name__: type(shard) for shard in shards.values()}
        return Job(loading, folder, kinds, beside_driver(Tries), settings.cpus)


def _quiet(ray: Any) -> None:
    """Ray Data's own bars and messages stay away: a stage has a bar of its own."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.verbose_progress = False
    for handler in logging.getLogger("ray.data").handlers:
        if type(handler).__name__ == "PlainRayHandler":  # its other one writes the session's log
            handler.setLevel(logging.CRITICAL + 1)


def _known(error: Exception, left: dict[str, Shard]) -> CandorError | None:
    """What the user can do something about, or None."""
    ray = import_ray()
    if "No module named 'candor" in str(error):
        return CandorError(
            "a machine of the cluster has no Candor", fix="install candor-lm on all machines of the cluster"
        )
    if isinstance(error, ray.exceptions.RayActorError):  # it could not be made, or Ray lost it for good
        last = str(error).strip().splitlines()[-1].strip()
        return CandorError(
            f"Ray gave up on a worker, with {len(left)} shards left ({last})",
            fix="see Ray's log (/tmp/ray/session_latest/logs on the worker's machine); the same command "
            "continues",
        )
    return None
