"""What a transform makes of rewards."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from candor.core.errors import CandorError
from candor.rewards.rlhf.prompts import PromptSet
from candor.rewards.rlhf.proxy import Proxy, ReferenceRewards
from candor.rl.reward import Sample

PROMPTS = PromptSet({"a": "A?", "b": "B?"})
A, B = sorted(PROMPTS.problems(2, 0), key=lambda one: one.id)


class Length:
    def score(self, prompts, completions):
        return np.array([len(text) for text in completions], float)


def test_par_compares_with_the_references_completions_of_the_same_prompt():
    known = ReferenceRewards({"a": np.array([1.0, 3.0]), "b": np.array([0.0])})
    found = Proxy(Length(), PROMPTS, transform="par", reference=known).of([A, B], ["xx", "xx"])
    np.testing.assert_allclose(found, [0.5, expit(2.0)])
    missing = ReferenceRewards({"a": np.array([1.0])})
    with pytest.raises(CandorError, match="no completion of the reference"):
        Proxy(Length(), PROMPTS, transform="par", reference=missing).of([B], ["x"])


def test_clip_cuts_to_the_references_range():
    known = ReferenceRewards({"a": np.linspace(0, 100, 101)})
    proxy = Proxy(Length(), PROMPTS, transform="clip", reference=known)
    np.testing.assert_allclose(proxy.of([A] * 3, ["", "x" * 50, "x" * 500]), [1, 50, 99])
    assert proxy.name == "reward model, clip"


def test_samples_are_scored_by_their_prompts():
    seen = []

    class Watching(Length):
        def score(self, prompts, completions):
            seen.extend(prompts)
            return super().score(prompts, completions)

    samples = [Sample(one, "xyz", "xyz", False, 3, 9, False) for one in (A, B)]
    assert Proxy(Watching(), PROMPTS).score(samples) == [3.0, 3.0] and seen == ["A?", "B?"]
