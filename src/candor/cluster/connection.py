"""A Ray cluster to work on: started here and stopped again, or a running one that this machine belongs to."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

from candor.cluster.settings import AUTO, INSTALL, LOCAL, ClusterSettings
from candor.core.errors import CandorError
from candor.core.run import machine


def import_ray() -> Any:
    """Ray with Ray Data, without its reports on usage to its makers.

    Raises:
        CandorError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read by the processes that Ray starts
    try:
        import ray  # noqa: PLC0415
        import ray.data  # noqa: PLC0415
    except ImportError as error:
        raise CandorError(f"a cluster needs Ray with Ray Data ({error})", fix=INSTALL) from error
    return ray


@contextlib.contextmanager
def connected(settings: ClusterSettings) -> Iterator[None]:
    """Within the block this process drives the cluster.

    A process that is connected already stays so, and then that cluster is meant.

    Raises:
        CandorError: there is no cluster at the address, or it runs another version of Ray or Python.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield
        return
    here: dict[str, Any] = {}
    if settings.address == LOCAL:
        cores = int(machine()["cores"] or 1)
        cpus = settings.cpus * (settings.workers or max(1, cores // settings.cpus))
        here = {"num_cpus": cpus, "include_dashboard": False}
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if main else None
    try:
        ray.init(settings.address, logging_level=logging.ERROR, log_to_driver=False, **here)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, ray.exceptions.RayError) as error:
        raise _unreachable(settings.address, error) from error
    finally:
        if main:  # Ray puts its own in place
            signal.signal(signal.SIGTERM, before)
    try:
        yield
    finally:
        ray.shutdown()


def _unreachable(address: str, error: Exception) -> CandorError:
    first = str(error).strip().partition("\n")[0]
    if address == LOCAL:
        return CandorError(f"Ray could not start here ({first})", fix="look into its log below /tmp/ray")
    if "ersion mismatch" in str(error):
        return CandorError(
            f"the cluster runs another version ({' '.join(str(error).split())})",
            fix="install the same versions of Python and Ray on all machines",
        )
    if "uthenticat" in str(error):
        return CandorError(
            f"the Ray cluster at {address} asks for a token, and this process has none or another one",
            fix="copy ~/.ray/auth_token from its head to this machine and set RAY_AUTH_MODE=token, as for "
            "`ray start`",
        )
    where = "on this machine" if address == AUTO else f"at {address}"
    return CandorError(
        f"no Ray cluster was found {where} ({first})",
        fix="start one, this machine included (`ray start --head`, then `ray start --address HEAD:6379` on "
        "each further machine), or use --cluster local",
    )


def room(settings: ClusterSettings) -> int:
    """How many workers the connected cluster has room for, the setting's number at most.

    Raises:
        CandorError: not one.
    """
    ray = import_ray()
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    found = sum(_fit(node, settings) for node in nodes)
    if not found:
        most = {name: max((node.get(name, 0) for node in nodes), default=0) for name in ("CPU", "GPU")}
        raise CandorError(
            f"no machine of the cluster has {settings.cpus} CPUs and {settings.gpus:g} GPUs for a worker "
            f"(the largest have {most['CPU']:g} CPUs, {most['GPU']:g} GPUs)",
            fix="ask for less with cluster.cpus and cluster.gpus, or add such a machine with `ray start`",
        )
    return found if settings.workers is None else min(found, settings.workers)


def _fit(resources: dict[str, float], settings: ClusterSettings) -> int:
    """Workers that fit one node."""
    places = int(resources.get("CPU", 0) / settings.cpus)
    if not settings.gpus:
        return places
    gpus = int(resources.get("GPU", 0))
    # Ray never cuts a share of a GPU out of two.
    shares = gpus * int(1 / settings.gpus) if settings.gpus < 1 else int(gpus / settings.gpus)
    return min(places, shares)


def beside_driver(kind: type, *arguments: object) -> Any:
    """An actor of that class on the driver's machine; it takes no CPU and ends with the driver."""
    ray = import_ray()
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415

    place = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0)(kind).options(scheduling_strategy=place).remote(*arguments)
