"""What a transform makes of rewards."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from candor.core.errors import CandorError, InputError
from candor.rewards.rlhf.prompts import PromptSet
from candor.rewards.rlhf.proxy import Proxy, ReferenceRewards, function_of, scorer_of
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


def test_without_a_transform_it_is_what_the_model_says():
    proxy = Proxy(Length(), PROMPTS, reference=ReferenceRewards({"a": np.array([100.0])}), name="letters")
    assert proxy.of([A, B], ["xx", ""]).tolist() == [2, 0] and proxy.name == "letters"
    known = ReferenceRewards({"a": np.array([0.0])})
    par = Proxy(Length(), PROMPTS, transform="par", reference=known)
    assert par.name == "reward model, par" and par.raw([A], ["xx"]).tolist() == [2]
    for transform in ("par", "clip"):
        with pytest.raises(ValueError, match=f"{transform} needs rewards of the reference"):
            Proxy(Length(), PROMPTS, transform=transform)


def test_the_references_range_is_over_all_prompts_but_one_in_a_hundred_on_either_side():
    known = ReferenceRewards({"a": np.arange(0.0, 60), "b": np.arange(60.0, 101)})
    assert known.quantiles() == (1, 99)


def test_a_spec_is_a_function_or_names_a_model(tmp_path):
    code = tmp_path / "folder" / "gold.py"
    code.parent.mkdir()
    code.write_text("def worth(completion):\n    return len(completion)\n")
    function = function_of(f"{code}:worth")
    assert function is not None
    assert function.score([Sample(A, "xyz", "xyz", False, 3, 9, False)]) == [3.0]
    assert function_of(str(tmp_path)) is None and function_of("someone/reward-model") is None
    scorer = scorer_of(f"{code}:worth", PROMPTS)
    assert scorer.score([Sample(B, "xy", "xy", False, 3, 9, False)]) == [2.0]
    with pytest.raises(InputError, match="no-such"):
        function_of("no-such-reward")


def test_a_function_that_asks_for_right_answers_is_told_that_there_are_none(tmp_path):
    code = tmp_path / "gold.py"
    code.write_text("def worth(right, answer):\n    return 1.0\n")
    with pytest.raises(InputError, match="asks for answer, right, and prompts have no right answers"):
        function_of(f"{code}:worth")
