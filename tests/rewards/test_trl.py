"""√χ² inside TRL's own GRPOTrainer on a tiny model, and the audit of what it trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from candor.core.errors import CandorError
from candor.rewards.audit import audit, read_log
from tiny_models import tiny_model
from word_models import word_engine

pytestmark = pytest.mark.slow

ROWS = [{"prompt": f"w{i} w{i + 7} w{i + 20}"} for i in range(3, 43)]


def proxy(completions: list[str], **_: Any) -> list[float]:
    return [completion.count("w1") + 0.05 * len(completion.split()) for completion in completions]


def gold(completions: list[str], **_: Any) -> list[float]:
    return [float(completion.count("w1")) for completion in completions]


def trained(folder: Path, weight: float, rate: float, **how: Any) -> tuple[Any, Path]:
    """A short run, logged when it ends."""
    from datasets import Dataset

    from candor.rewards.adapters.trl import AuditCallback, ChiSquareGRPOTrainer, chi2_config

    torch.manual_seed(0)
    model, tokenizer = tiny_model("llama").eval(), word_engine().tokenizer
    tokenizer.eos_token = "w2"
    model.generation_config.eos_token_id = 2
    settings = chi2_config(
        output_dir=str(folder), per_device_train_batch_size=64, num_generations=8, max_completion_length=8,
        max_steps=30, learning_rate=rate, logging_steps=5, save_strategy="no", report_to=[], use_cpu=True,
        disable_tqdm=True,
    )  # fmt: skip
    trainer = ChiSquareGRPOTrainer(
        model=model, reward_funcs=[proxy], train_dataset=Dataset.from_list(ROWS), args=settings,
        processing_class=tokenizer, chi2_weight=weight, **how,
    )  # fmt: skip
    path = folder / f"log-{weight}.jsonl"
    trainer.add_callback(AuditCallback(trainer, ROWS, path, gold=gold, samples=6, batch=240))
    trainer.train()
    return trainer, path


@pytest.mark.parametrize("adapter", [False, True])
def test_chi2_holds_the_policy_back_and_its_log_is_sound(tmp_path: Path, adapter: bool) -> None:
    from peft import LoraConfig

    def how() -> dict[str, Any]:
        return {"peft_config": LoraConfig(r=8, target_modules=["q_proj", "v_proj"])} if adapter else {}

    found = {}
    for weight in (0.0, 2.0):
        trainer, path = trained(tmp_path, weight, 8e-3 if adapter else 5e-4, **how())
        assert any("chi2" in row for row in trainer.state.log_history)
        log = read_log(path)
        assert (log.prompts, int(log.policy.sum()), len(log.proxy)) == (40, 240, 480)
        found[weight] = audit(log)
    # Log-probabilities are of what was drawn. Had the reference's completions come from the policy, their
    # mean ρ would be 1 + χ².
    assert all(one.holds for audited in found.values() for one in audited.measured.identities)
    of_reference = found[0.0].measured.identities[0].estimate
    assert of_reference.high is not None
    assert of_reference.high < 1 + found[0.0].measured.distance.chi2.value
    assert found[2.0].measured.distance.chi2.value < found[0.0].measured.distance.chi2.value / 2


def test_settings_that_void_the_theorem_are_refused() -> None:
    from candor.rewards.adapters.trl import chi2_config

    wrong = {
        "beta": 0.04, "scale_rewards": "group", "top_p": 0.9, "temperature": 0.7, "min_p": 0.05,
        "repetition_penalty": 1.1, "generation_kwargs": {"typical_p": 0.9}, "loss_type": "grpo",
        "mask_truncated_completions": True,
    }  # fmt: skip
    for name, value in wrong.items():
        with pytest.raises(CandorError, match=name):
            chi2_config(output_dir="x", **{name: value})
