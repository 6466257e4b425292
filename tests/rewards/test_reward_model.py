"""Reward models learn what is better, score as transformers does, and come back from disk as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, GPT2Config

from byte_models import byte_model, byte_tokenizer
from candor.core.errors import CandorError
from candor.model.load import load_model
from candor.rewards.model import (
    EnsembleReward,
    Labelled,
    Pair,
    RewardModel,
    averaged,
    combined,
    load_reward,
    members,
    save_reward,
    train_reward,
)
from counting_rewards import TINY, counting_pairs, tiny


@pytest.fixture(scope="module")
def learned() -> RewardModel:
    return train_reward(*tiny(), counting_pairs(1500), TINY)


def accuracy(reward: RewardModel | EnsembleReward, pairs: list[Pair]) -> float:
    prompts = [one.prompt for one in pairs]
    ahead = reward.score(prompts, [one.chosen for one in pairs]) - reward.score(
        prompts, [one.rejected for one in pairs]
    )
    return float((ahead > 0).mean())


def test_it_learns_what_is_better(learned: RewardModel) -> None:
    unseen = counting_pairs(300, seed=1)
    assert accuracy(learned, unseen) > 0.9
    untrained = RewardModel(*tiny(), torch.randn(64, generator=torch.Generator().manual_seed(0)))
    assert accuracy(untrained, unseen) < 0.7


def test_rewards_of_pairs_are_centred(learned: RewardModel) -> None:
    pairs = counting_pairs(200, seed=2)
    both = [
        learned.score([p.prompt for p in pairs], texts)
        for texts in zip(*(p.texts for p in pairs), strict=True)
    ]
    assert abs(np.mean(both)) < 0.2 * np.std(both)


def test_a_reward_does_not_depend_on_what_is_scored_beside_it(learned: RewardModel) -> None:
    pairs = counting_pairs(40, seed=3)
    prompts = [one.prompt for one in pairs for _ in range(2)]
    texts = [text for one in pairs for text in one.texts]
    together = learned.score(prompts, texts)
    alone = [learned.score([p], [t])[0] for p, t in zip(prompts, texts, strict=True)]
    assert np.allclose(together, alone, atol=1e-4)
    assert together.dtype == np.float64 and learned.score([], []).shape == (0,)


def test_transformers_gives_the_same_reward(learned: RewardModel, tmp_path: Path) -> None:
    save_reward(learned, tmp_path / "reward")
    classifier = AutoModelForSequenceClassification.from_pretrained(tmp_path / "reward", dtype="auto").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "reward")
    assert type(classifier).__name__ == "LlamaForSequenceClassification" and classifier.num_labels == 1
    prompts, texts = ["a:", "b:", "c:"], ["aaab", "bbbbbbbb", "c"]
    written = [p + t + tokenizer.eos_token for p, t in zip(prompts, texts, strict=True)]
    batch = tokenizer(
        written, return_tensors="pt", padding=True
    )  # of different lengths: padding must not count
    batch.pop("token_type_ids", None)
    with torch.no_grad():
        theirs = classifier(**batch).logits[:, 0].numpy()
    assert np.allclose(theirs, learned.score(prompts, texts), atol=1e-4)
    again = load_reward(tmp_path / "reward")
    assert np.allclose(again.score(prompts, texts), learned.score(prompts, texts), atol=1e-5)


@pytest.mark.parametrize("kind", ["llama", "qwen2", "mistral", "qwen3", "gemma3"])
def test_conversations_as_the_template_writes_them_get_the_same_reward(kind: str, tmp_path: Path) -> None:
    head = torch.randn(32, generator=torch.Generator().manual_seed(1))
    ours = RewardModel(byte_model(kind), byte_tokenizer(), head)
    save_reward(ours, tmp_path / "reward")
    classifier = AutoModelForSequenceClassification.from_pretrained(tmp_path / "reward", dtype="auto").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "reward")
    prompt = [{"role": "user", "content": "hello"}]
    texts = ["hello world", "no"]
    chats = [[*prompt, {"role": "assistant", "content": text}] for text in texts]
    batch = tokenizer(
        [tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats],
        return_tensors="pt", padding=True, add_special_tokens=False,
    )  # fmt: skip
    batch.pop("token_type_ids", None)
    with torch.no_grad():
        theirs = classifier(**batch).logits[:, 0].float().numpy()
    assert np.allclose(theirs, ours.score([prompt] * 2, texts), atol=1e-4)
    assert np.allclose(load_reward(tmp_path / "reward").score([prompt] * 2, texts), theirs, atol=1e-4)


def test_other_architectures_are_read_through_transformers(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    shape = {"vocab_size": len(tokenizer), "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(GPT2Config(**shape))
    ours = RewardModel(model, tokenizer, torch.randn(32, generator=torch.Generator().manual_seed(1)))
    save_reward(ours, tmp_path / "reward")
    again = load_reward(tmp_path / "reward")
    prompts, texts = ["he", "hello"], ["llo world", "hello"]
    assert np.allclose(again.score(prompts, texts), ours.score(prompts, texts), atol=1e-4)
    classifier = AutoModelForSequenceClassification.from_pretrained(tmp_path / "reward").eval()
    ids = torch.tensor([[one for part in ours.encoder("he", "llo world") for one in part]])
    with torch.no_grad():
        assert float(classifier(ids).logits) == pytest.approx(ours.score(prompts, texts)[0], abs=1e-4)


def test_labels_are_learned_as_log_odds() -> None:
    pairs = counting_pairs(2000)
    told = [Labelled(p.prompt, text, text == p.chosen) for p in pairs for text in p.texts]
    reward = train_reward(*tiny(), told, TINY)
    unseen = counting_pairs(200, seed=1)
    assert accuracy(reward, unseen) > 0.8
    for side, sign in ((0, 1), (1, -1)):  # 0 is where good and bad are as likely
        scores = reward.score([p.prompt for p in unseen], [p.texts[side] for p in unseen])
        assert (sign * scores > 0).mean() > 0.6


def test_members_and_their_combinations(tmp_path: Path) -> None:
    pairs = counting_pairs(400)
    settings = TINY.model_copy(update={"epochs": 1.0, "head_seed": 7})
    trained = [train_reward(*tiny(), pairs, settings.model_copy(update={"seed": seed})) for seed in range(3)]
    for number, one in enumerate(trained, start=1):
        save_reward(one, tmp_path / "members" / str(number))
    save_reward(averaged(trained), tmp_path / "checkpoint")
    assert len(members(tmp_path)) == 3
    ensemble = load_reward(tmp_path, combine="worst")
    assert isinstance(ensemble, EnsembleReward)
    prompts, texts = ["a:", "b:"], ["aaaa", "cccc"]
    rewards = ensemble.score_members(prompts, texts)
    assert rewards.shape == (3, 2) and np.allclose(ensemble.score(prompts, texts), rewards.min(axis=0))
    assert len({tuple(row) for row in rewards.round(6).tolist()}) == 3  # they differ
    careful = load_reward(tmp_path, combine="uncertainty", caution=2.0).score(prompts, texts)
    assert np.allclose(careful, rewards.mean(axis=0) - 2 * rewards.var(axis=0))
    one = load_reward(tmp_path, combine="averaged")
    assert isinstance(one, RewardModel) and accuracy(one, counting_pairs(200, seed=1)) > 0.7
    assert torch.allclose(one.head, torch.stack([m.head for m in trained]).mean(0))
    with pytest.raises(CandorError, match="nothing to combine"):
        load_reward(tmp_path / "members" / "1", combine="worst")
    with pytest.raises(CandorError, match="did you mean 'worst'"):
        load_reward(tmp_path, combine="worse")  # type: ignore[arg-type]


def test_combinations_are_what_they_say() -> None:
    rewards = np.array([[1.0, 0.0], [3.0, 0.0]])
    assert combined(rewards, "mean").tolist() == [2.0, 0.0]
    assert combined(rewards, "worst").tolist() == [1.0, 0.0]
    assert combined(rewards, "uncertainty", caution=0.5).tolist() == [1.5, 0.0]


def test_what_cannot_be_done_is_told(learned: RewardModel, tmp_path: Path) -> None:
    with pytest.raises(CandorError, match="nothing"):
        train_reward(*tiny(), [], TINY)
    with pytest.raises(CandorError, match="pairs and labelled"):
        train_reward(*tiny(), [Pair("a:", "a", "b"), Labelled("a:", "a", True)], TINY)  # type: ignore[list-item]
    with pytest.raises(CandorError, match="at most 3 tokens"):
        train_reward(*tiny(), [Pair("a:", "aaaa", "bbbb")], TINY.model_copy(update={"max_tokens": 3}))
    with pytest.raises(CandorError, match="longer than the 64"):
        learned.score(["a:"], ["a" * 80])
    with pytest.raises(CandorError, match="chat template"):
        learned.score([[{"role": "user", "content": "a"}]], ["a"])
    causal, tokenizer = tiny()
    causal.save_pretrained(tmp_path / "causal")
    tokenizer.save_pretrained(tmp_path / "causal")
    with pytest.raises(CandorError, match="not a reward model"):
        load_reward(tmp_path / "causal")
    save_reward(learned, tmp_path / "reward")
    with pytest.raises(CandorError, match="a reward model or another classifier, which writes nothing"):
        load_model(str(tmp_path / "reward"))
