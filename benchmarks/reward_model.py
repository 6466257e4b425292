"""How fast is a reward model trained, beside TRL's RewardTrainer with the same settings?

    python benchmarks/reward_model.py                                # TRL in this environment
    python benchmarks/reward_model.py --trl-python VENV/bin/python   # or in its own
    python benchmarks/reward_model.py --documents                    # long texts: whole encyclopaedia entries

A run is a few updates of SmolLM2-135M with 16 pairs each, all weights, AdamW, Bradley-Terry with centring at
0.01. Pairs are the embedded ones (a question, two short answers), or, with --documents, "Tell me about X" and
the entry of X or of something else. TRL computes in bf16 and holds bf16 weights, its fastest way (and one in
which small updates round away; ours has float32 masters). A unit is a token of a text, its prompt counted for
each of both texts: what is the same for many is computed once in ours, which is part of the speed.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peers import Side, arguments, compare, launch, save

_BATCH, _UPDATES, _RATE = 16, 4, 2e-5


def short_pairs(count: int) -> list[dict[str, Any]]:
    """Rows of the embedded default."""
    from candor.rewards.model.embedded import fact_pairs
    from candor.rewards.model.read import row_of

    return [_columns(row_of(one)) for one in fact_pairs(count)]


def long_pairs(count: int) -> list[dict[str, Any]]:
    """Rows of whole entries."""
    from candor.data.facts import embedded_documents

    documents = embedded_documents()
    draw = random.Random(0)
    found = []
    for one in draw.sample(documents, count):
        other = draw.choice(documents)
        prompt = [{"role": "user", "content": f"Tell me about {one.title}."}]
        replies = [[{"role": "assistant", "content": text}] for text in (one.text, other.text)]
        found.append({"prompt": prompt, "chosen": replies[0], "rejected": replies[1]})
    return found


def _columns(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("prompt", "chosen", "rejected")}


def candor_side(job: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """`train_reward`; what it does before the first update and after the last is not timed."""
    from candor.model.load import load_model, load_tokenizer
    from candor.rewards.model import Pair, RewardSettings, RewardStep, train_reward

    tokenizer = load_tokenizer(job["model"])
    pairs = [
        Pair(tuple(row["prompt"]), row["chosen"][0]["content"], row["rejected"][0]["content"])
        for row in job["rows"]
    ]
    settings = RewardSettings(batch=_BATCH, learning_rate=_RATE, micro_batch_tokens=8192)
    model = load_model(job["model"])

    def run() -> dict[str, Any]:
        begun, steps = time.perf_counter(), []

        def on_step(step: RewardStep) -> None:
            steps.append(step)

        train_reward(model, tokenizer, pairs, settings, on_step=on_step)
        spent = sum(step.seconds for step in steps)
        tokens = sum(step.tokens_per_second * step.seconds for step in steps)
        return {"units": round(tokens), "untimed": time.perf_counter() - begun - spent}

    run()
    return run


def trl_side(job: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """TRL's RewardTrainer."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback
    from trl import RewardConfig, RewardTrainer  # type: ignore[import-not-found]

    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    # Padding must not be the token that ends a text: transformers reads the reward before the first padding.
    tokenizer.pad_token = "<|endoftext|>"
    data = Dataset.from_list(job["rows"])
    texts = [[*row["prompt"], *row[side]] for row in job["rows"] for side in ("chosen", "rejected")]
    tokens = sum(len(tokenizer.apply_chat_template(text, return_dict=True)["input_ids"]) for text in texts)

    class Clock(TrainerCallback):
        spent = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.begun = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.spent += time.perf_counter() - self.begun

    model = AutoModelForSequenceClassification.from_pretrained(
        job["model"], num_labels=1, dtype=torch.bfloat16
    )
    clock = Clock()
    settings = RewardConfig(
        output_dir=job["folder"],
        num_train_epochs=1,
        per_device_train_batch_size=_BATCH,
        learning_rate=_RATE,
        center_rewards_coefficient=0.01,
        max_length=None,
        bf16=True,
        use_cpu=True,
        gradient_checkpointing=False,
        report_to="none",
        save_strategy="no",
        logging_steps=1000,
        disable_tqdm=True,
    )

    def run() -> dict[str, Any]:
        begun, clock.spent = time.perf_counter(), 0.0
        RewardTrainer(
            model=model, args=settings, train_dataset=data, processing_class=tokenizer, callbacks=[clock]
        ).train()
        return {"units": tokens, "untimed": time.perf_counter() - begun - clock.spent}

    run()
    return run


SIDES: dict[str, Side] = {"candor": candor_side, "trl": trl_side}


def main() -> None:
    parser = arguments(__doc__, runs=3)
    parser.add_argument("--trl-python", default=sys.executable, help="interpreter of an environment with TRL")
    parser.add_argument("--documents", action="store_true", help="long texts")
    options = parser.parse_args()
    from candor.model.load import resolve

    folder = options.work / "reward_model"
    rows = (long_pairs if options.documents else short_pairs)(_BATCH * _UPDATES)
    job = {
        "model": str(resolve("smollm2")),
        "rows": rows,
        "folder": str((folder / "trl").resolve()),
    }
    this = str(Path(__file__).resolve())
    sides = {
        "candor": (sys.executable, [this, "--side", "candor"]),
        "trl": (options.trl_python, [this, "--side", "trl"]),
    }
    what = "entries" if options.documents else "short answers"
    title = f"Training a reward model: {_UPDATES} updates of {_BATCH} pairs of {what}"
    save(compare(title, job, sides, runs=options.runs, folder=folder), options)


if __name__ == "__main__":
    launch(main, SIDES, ["torch", "transformers", "candor-lm", "trl"])
