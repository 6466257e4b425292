"""A plan is the shuffled examples cut by a token budget: the lazy one equals the obvious one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from candor.model.batches import cut
from candor.train.plan import measures, plan
from candor.train.settings import TrainSettings
from tiny_models import tiny_examples


@pytest.mark.parametrize("epochs", [0.5, 1.0, 2.3])
@pytest.mark.parametrize("batch", [1, 37, 100, 10_000])
def test_updates_are_the_shuffled_examples_cut_by_their_tokens(epochs: float, batch: int) -> None:
    examples = tiny_examples(29, seed=3)
    settings = TrainSettings(epochs=epochs, batch_tokens=batch, micro_batch_tokens=64, seed=5)
    lengths = measures(examples).lengths.tolist()
    usable, remaining, expected = np.arange(29), round(epochs * 29), []
    for epoch in range(math.ceil(epochs)):
        order = np.random.default_rng([5, epoch]).permutation(usable)[:remaining]
        remaining -= len(order)
        expected += cut(order.tolist(), lengths, batch, padded=False)
    found = [sorted(index for part in update for index in part) for update in plan(examples, settings)]
    assert found == [sorted(update) for update in expected]


def test_updates_can_be_asked_for_in_any_order_and_are_limited() -> None:
    settings = TrainSettings(epochs=3, batch_tokens=80, micro_batch_tokens=64)
    made = plan(tiny_examples(20), settings)
    forwards = [made[i] for i in range(len(made))]
    assert [made[i] for i in reversed(range(len(made)))] == forwards[::-1]
    limited = plan(tiny_examples(20), settings.model_copy(update={"max_steps": 2}))
    assert list(limited) == forwards[:2]
