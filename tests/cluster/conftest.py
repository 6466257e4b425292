"""A small model that workers load, and a cluster of this machine for all tests of a module."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
import torch

from candor.cluster.connection import connected
from candor.cluster.ray_workers import RayWorkers
from candor.cluster.settings import ClusterSettings
from candor.engine.choose import Loading
from tiny_models import tiny_checkpoint


@pytest.fixture(scope="module")
def loading(tmp_path_factory: pytest.TempPathFactory, smollm2: str) -> Loading:
    """A random model in float32, in which runs repeat bit by bit."""
    folder = tiny_checkpoint(tmp_path_factory.mktemp("tiny"), smollm2)
    return Loading("local", str(folder), options={"dtype": "float32"})


@pytest.fixture(scope="module")
def two_workers(loading: Loading) -> Iterator[RayWorkers]:
    """Two workers on a cluster that stays until the module's tests are done.

    Each has as many threads as this process: sums are rounded in another order with more.
    """
    settings = ClusterSettings(address="local", workers=2, cpus=torch.get_num_threads())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # workers import the tests' shards
        with connected(settings):
            yield RayWorkers(settings, loading)
