"""What can't work is refused before anything is loaded, by the name of the setting."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from candor.cluster.connection import connected
from candor.cluster.settings import ClusterSettings, check_cluster
from candor.core.errors import CandorError, InputError
from candor.core.recipe import read_recipe
from candor.core.run import Run
from candor.knowledge.recipe import KnowledgeRecipe


@pytest.mark.parametrize(
    "address", ["", "local", "auto", "10.0.0.1:6379", "head.example:6379", "[fd00::1]:6379"]
)
def test_addresses_of_all_kinds_are_taken(address: str) -> None:
    assert ClusterSettings(address=address).address == address


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("cluster.address=lokal", "'lokal' is no address"),
        ("cluster.address=ray://head:10001", "start the command on a machine of the cluster"),
        ("cluster.workers=0", "greater than or equal to 1"),
        ("cluster.cpus=0", "greater than or equal to 1"),
        ("cluster.gpus=1.5", "whole ones only"),
    ],
)
def test_a_bad_setting_is_told_by_its_name(override: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        read_recipe(KnowledgeRecipe, None, [override])
    assert "cluster" in str(caught.value.field)
    assert caught.value.fix


def test_only_vllm_spreads_a_model_over_gpus() -> None:
    settings = ClusterSettings(address="auto", gpus=2)
    check_cluster(settings, "vllm")
    with pytest.raises(InputError, match="2 GPUs for a worker, of which the engine 'local' uses one"):
        check_cluster(settings, "local")


def test_without_ray_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ray" else find(name))
    with pytest.raises(CandorError, match="not installed") as caught:
        check_cluster(ClusterSettings(address="local"), "local")
    assert caught.value.fix == 'pip install "candor-lm[cluster]"'
    check_cluster(ClusterSettings(), "local")  # who asks for no cluster needs no Ray
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(CandorError, match="needs Ray"), connected(ClusterSettings(address="local")):
        pass


def test_a_run_goes_on_with_another_cluster_and_keeps_to_all_that_shapes_it(tmp_path: Path) -> None:
    Run.start(tmp_path, KnowledgeRecipe(seed=3)).close()
    moved = KnowledgeRecipe(seed=3, cluster=ClusterSettings(address="auto", workers=8))
    Run.start(tmp_path, moved).close()
    assert Run.open(tmp_path, KnowledgeRecipe).recipe == moved
    with pytest.raises(CandorError, match="seed: 3 → 4"):
        Run.start(tmp_path, KnowledgeRecipe(seed=4, cluster=ClusterSettings(address="local")))
