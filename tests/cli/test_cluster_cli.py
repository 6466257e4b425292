"""`candor knowledge --cluster`: what can't work is told before a folder is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from candor.core.files import write_jsonl
from command_result import Result, assert_told
from tiny_models import tiny_checkpoint

Candor = Callable[..., Result]


@pytest.fixture
def begin(tmp_path: Path, smollm2: str) -> tuple[object, ...]:
    """A run's first words."""
    model = tiny_checkpoint(tmp_path / "model", smollm2)
    rows = [{"question": f"What is word {n}?", "answers": ["x"], "document": f"d{n}"} for n in range(8)]
    write_jsonl(tmp_path / "questions.jsonl", rows)
    return ("knowledge", "questions", "--model", model, "--questions", "questions.jsonl", "--out", "run")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--cluster", "ray://head:10001"), "on a machine of the cluster"),
        (("--cluster", "lokal"), "'lokal' is no address of a Ray cluster"),
        (("--workers", "0"), "cluster.workers"),
        (("--cluster", "local", "--set", "cluster.gpus=2"), "2 GPUs for a worker"),
        (("--set", "cluster.adress=auto"), "did you mean 'cluster.address'?"),
    ],
)
def test_a_cluster_that_cannot_be_is_told_and_leaves_nothing(
    candor: Candor, begin: tuple[object, ...], words: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    assert_told(candor(*begin, *words), told)
    assert not (tmp_path / "run").exists()


def test_a_run_may_go_on_with_another_cluster_but_not_with_another_seed(
    candor: Candor, begin: tuple[object, ...]
) -> None:
    assert candor(*begin).code == 0
    assert candor(*begin, "--cluster", "local", "--workers", 4).code == 0
    assert_told(candor(*begin, "--set", "seed=7"), "seed: 0 → 7")
