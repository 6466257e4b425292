"""A GPU gives what a CPU gives: `make test-cuda`, on a machine with a CUDA device.

Float32 on both sides, so that what differs is the order of sums. CANDOR_TEST_DEVICE=cpu tries the tests
themselves where there is no GPU.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from candor.engine.local import LocalEngine
from candor.engine.protocol import Sampling
from candor.rewards.model import train_reward
from candor.rl.loop import train_policy
from candor.rl.settings import RlSettings
from candor.train.loop import fit
from candor.train.settings import TrainSettings
from counting_rewards import TINY, counting_pairs, tiny
from parity_task import FirstWord, Parity
from tiny_models import tiny_examples, tiny_model
from word_models import word_engine

pytestmark = pytest.mark.cuda

DEVICE = os.environ.get("CANDOR_TEST_DEVICE", "cuda")
KINDS = ["llama", "qwen2", "mistral", "qwen3", "gemma3"]


def engine_on(device: str, kind: str = "llama") -> LocalEngine:
    words = word_engine()
    return LocalEngine(tiny_model(kind).eval().to(device), words.tokenizer, name="words")


def words(*lengths: int) -> list[str]:
    draw = np.random.default_rng(0)
    return [" ".join(f"w{draw.integers(3, 97)}" for _ in range(length)) for length in lengths]


@pytest.mark.parametrize("kind", KINDS)
def test_generated_tokens_and_their_probabilities(kind):
    settings = [
        Sampling(max_tokens=12),
        Sampling(max_tokens=12, temperature=1.0, n=3, seed=5),
        Sampling(max_tokens=12, temperature=0.8, top_p=0.9, top_k=30, n=2, seed=6, frequency_penalty=0.5),
    ]
    prompts = words(9, 1, 23, 4, 14, 2, 31)
    found = {
        device: engine_on(device, kind).generate(prompts, settings, hidden_layers=(0, 2))
        for device in ("cpu", DEVICE)
    }
    for one, other in zip(found["cpu"], found[DEVICE], strict=True):
        np.testing.assert_allclose(one.hidden, other.hidden, rtol=1e-3, atol=1e-4)
        for left, right in zip(one.completions, other.completions, strict=True):
            assert left.token_ids == right.token_ids
            np.testing.assert_allclose(left.logprobs, right.logprobs, atol=2e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_scores(kind):
    prompts, tails = words(9, 1, 23, 4), words(5, 7, 2, 11)
    on_cpu, on_gpu = (engine_on(device, kind).score(prompts, tails) for device in ("cpu", DEVICE))
    for one, other in zip(on_cpu, on_gpu, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("kind", KINDS)
def test_training_goes_the_same_way(kind, optimizer):
    settings = TrainSettings(
        learning_rate=5e-3, epochs=6, batch_tokens=80, micro_batch_tokens=80, dtype="float32",
        optimizer=optimizer,
    )  # fmt: skip
    losses: dict[str, list[float]] = {}
    for device in ("cpu", DEVICE):
        steps: list[Any] = []
        fit(tiny_model(kind).to(device), tiny_examples(), settings, pad_id=0, on_step=steps.append)
        losses[device] = [one.loss for one in steps]
    third = len(losses["cpu"]) // 3
    assert np.mean(losses["cpu"][-third:]) < np.mean(losses["cpu"][:third]) - 0.1
    # Muon's orthogonalisation is in bfloat16 on both sides.
    np.testing.assert_allclose(losses["cpu"], losses[DEVICE], rtol=5e-2 if optimizer == "muon" else 5e-3)


def test_masters_keep_small_updates_on_a_gpu_too():
    settings = TrainSettings(
        learning_rate=2e-5, epochs=50, batch_tokens=400, schedule="constant", warmup=0, dtype="bf16"
    )
    steps: list[Any] = []
    model = tiny_model(dtype=torch.bfloat16).to(DEVICE)
    fit(model, tiny_examples(4), settings, pad_id=0, on_step=steps.append)
    assert steps[-1].loss < steps[0].loss - 0.01


def test_gradient_checkpointing_changes_nothing():
    losses = []
    for checkpointing in (False, True):
        steps: list[Any] = []
        settings = TrainSettings(
            learning_rate=1e-3,
            epochs=2,
            batch_tokens=80,
            dtype="float32",
            gradient_checkpointing=checkpointing,
        )
        fit(tiny_model().to(DEVICE), tiny_examples(), settings, pad_id=0, on_step=steps.append)
        losses.append([one.loss for one in steps])
    np.testing.assert_allclose(*losses, rtol=1e-4)


@pytest.mark.parametrize("regularizer", [{}, {"name": "kl", "weight": 0.05}, {"name": "chi2", "weight": 0.3}])
def test_reinforcement_sees_the_same_completions_and_rewards(regularizer):
    settings = RlSettings(
        steps=3, prompts=8, samples=8, max_tokens=3, learning_rate=1e-3, held_out=16, evaluate_every=0,
        seed=1, **({"regularizer": {**regularizer, "reference_samples": 2}} if regularizer else {}),
    )  # fmt: skip
    history = {}
    for device in ("cpu", DEVICE):
        engine = word_engine()
        model = engine.model.to(device)
        found = train_policy(model, engine.tokenizer, Parity(), FirstWord(), settings)
        history[device] = found.history
        assert max(one.mismatch or 0.0 for one in found.history) < 1e-3  # the engine and the pass agree
    for one, other in zip(history["cpu"], history[DEVICE], strict=True):
        assert one.reward == pytest.approx(other.reward, abs=1 / 64)  # a draw at a boundary may differ
        assert one.grad_norm == pytest.approx(other.grad_norm, rel=0.05)
        assert (one.chi2 is None) == (other.chi2 is None)


def test_a_reward_model_learns_the_same():
    pairs, fresh = counting_pairs(120), counting_pairs(40, seed=1)
    rewards = []
    for device in ("cpu", DEVICE):
        model, tokenizer = tiny()
        found = train_reward(model.to(device), tokenizer, pairs, TINY)
        prompts, texts = [one.prompt for one in fresh], [one.chosen for one in fresh]
        rewards.append(found.score(prompts, texts))
    np.testing.assert_allclose(*rewards, atol=0.05)
    assert np.std(rewards[0]) > 0.2


_CHANGES = """
import sys, json
from candor.train.loop import fit
from candor.train.settings import TrainSettings
from tiny_models import tiny_examples, tiny_model
steps = []
settings = TrainSettings(learning_rate=1e-3, epochs=3, batch_tokens=80, dtype="float32", sharded=True)
fit(tiny_model(), tiny_examples(), settings, pad_id=0, on_step=lambda one: steps.append(one.loss))
print(json.dumps(steps))
"""


def test_a_model_divided_by_fsdp_trains_as_a_whole_one(tmp_path: Path):
    script = tmp_path / "divided.py"
    script.write_text(_CHANGES)
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "1", str(script)],
        env={**os.environ, "PYTHONPATH": f"{here}:{here.parent / 'src'}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    steps: list[Any] = []
    settings = TrainSettings(learning_rate=1e-3, epochs=3, batch_tokens=80, dtype="float32")
    fit(tiny_model().to(DEVICE), tiny_examples(), settings, pad_id=0, on_step=steps.append)
    divided = [float(value) for value in done.stdout.strip().splitlines()[-1].strip("[]").split(",")]
    np.testing.assert_allclose(divided, [one.loss for one in steps], rtol=1e-3)


def test_smollm2_answers_alike_in_bfloat16_on_both():
    questions = ["What is the capital of France?", "Name a primary colour.", "What is 2 + 2?"]
    prompts = [[{"role": "user", "content": text}] for text in questions]
    found = {
        device: LocalEngine.load("smollm2", device=device).generate(prompts, Sampling(max_tokens=8))
        for device in ("cpu", DEVICE)
    }
    for one, other in zip(found["cpu"], found[DEVICE], strict=True):
        left, right = one.completions[0], other.completions[0]
        same = [a == b for a, b in zip(left.token_ids, right.token_ids, strict=False)]
        agreed = same.index(False) if False in same else len(same)
        assert agreed >= 1
        np.testing.assert_allclose(left.logprobs[:agreed], right.logprobs[:agreed], atol=0.15)
