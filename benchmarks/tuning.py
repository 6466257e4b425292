"""How fast is supervised tuning on short pairs, beside TRL's SFTTrainer, at the same loss?

    python benchmarks/tuning.py                                  # TRL in this environment (pip install trl)
    python benchmarks/tuning.py --trl-python VENV/bin/python     # or in its own
    python benchmarks/tuning.py --pairs 400 --runs 3             # shorter
    python benchmarks/tuning.py --no-packing                     # without TRL's packing, the slower way

All sides tune every weight of SmolLM2-135M on the same questions and answers once, loss on the answers only,
about 2,048 tokens an update, the same rates and schedule. TRL runs in bf16 with packing on and off. After
each run the loss on the same held-out pairs is measured in the same way; it has to agree within 1 %. A unit
is a token of the examples, prompts included.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peers import Side, arguments, compare, launch, save

_RATE, _TOKENS = 2e-5, 2048
_HELD_OUT = 200


def pairs(count: int) -> list[dict[str, Any]]:
    """Conversations of one question and its answer, from the packaged facts."""
    from candor.data.facts import embedded_questions

    rows = [(f"{q.question} Answer briefly.", q.answers[0]) for q in embedded_questions()]
    random.Random(0).shuffle(rows)
    return [
        {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}
        for question, answer in rows[:count]
    ]


def held_out_loss(model: Any, tokenizer: Any, rows: list[dict[str, Any]]) -> float:
    """Mean loss of the answers' tokens, end token included: plain transformers, float32 log-probabilities."""
    import torch

    model.eval()
    total, count = 0.0, 0
    for row in rows:
        prompt = tokenizer.apply_chat_template(
            row["messages"][:1], tokenize=False, add_generation_prompt=True
        )
        start = len(tokenizer(prompt, add_special_tokens=False).input_ids)
        text = prompt + row["messages"][1]["content"] + "<|im_end|>"
        ids = torch.tensor([tokenizer(text, add_special_tokens=False).input_ids])
        with torch.no_grad():
            logprobs = model(input_ids=ids).logits.float().log_softmax(-1)[0, start - 1 : -1]
        total -= float(logprobs.gather(1, ids[0, start:, None]).sum())
        count += ids.shape[1] - start
    return total / count


def candor_side(job: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """`candor.train.fit`."""
    from candor.data.conversations import Conversation, encode_all
    from candor.model.load import load_model, load_tokenizer
    from candor.train.loop import fit
    from candor.train.settings import TrainSettings

    tokenizer = load_tokenizer(job["model"])
    settings = TrainSettings(
        learning_rate=_RATE, epochs=1, batch_tokens=_TOKENS, micro_batch_tokens=_TOKENS, warmup=0.05
    )
    rows = [Conversation.model_validate(row) for row in job["train"]]

    def run() -> dict[str, Any]:
        examples = encode_all(rows, tokenizer, max_tokens=512)[0]
        model = load_model(job["model"], dtype="bfloat16")
        result = fit(model, examples, settings, pad_id=0)
        return {
            "units": sum(len(example.token_ids) for example in examples),
            "steps": result.steps,
            "model": result.model,
            "tokenizer": tokenizer,
        }

    return lambda: measured(run, job)


def trl_side(job: dict[str, Any], packing: bool) -> Callable[[], dict[str, Any]]:
    """TRL's SFTTrainer."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer  # type: ignore[import-not-found]

    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    data = Dataset.from_list(
        [{"prompt": row["messages"][:1], "completion": row["messages"][1:]} for row in job["train"]]
    )
    rendered = [tokenizer.apply_chat_template(row["messages"], tokenize=True) for row in job["train"]]
    lengths = [len(one["input_ids"]) for one in rendered]
    batch = 1 if packing else max(1, round(_TOKENS / (sum(lengths) / len(lengths))))

    def run() -> dict[str, Any]:
        model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32)
        settings = SFTConfig(
            output_dir=job["folder"],
            num_train_epochs=1,
            per_device_train_batch_size=batch,
            learning_rate=_RATE,
            lr_scheduler_type="cosine_with_min_lr",
            lr_scheduler_kwargs={"min_lr_rate": 0.1},  # as ours ends
            warmup_steps=0.05,
            adam_beta2=0.95,
            max_length=_TOKENS if packing else 512,
            packing=packing,
            bf16=True,
            use_cpu=True,
            gradient_checkpointing=False,
            completion_only_loss=True,
            report_to="none",
            save_strategy="no",
            logging_steps=1000,
            disable_tqdm=True,
        )
        trainer = SFTTrainer(model=model, args=settings, train_dataset=data, processing_class=tokenizer)
        trainer.train()
        return {
            "units": sum(lengths),
            "steps": trainer.state.global_step,
            "model": trainer.model,
            "tokenizer": tokenizer,
        }

    return lambda: measured(run, job)


def measured(run: Callable[[], dict[str, Any]], job: dict[str, Any]) -> dict[str, Any]:
    """Run, and say what the result is worth; the measuring is taken off the time."""
    import time

    result = run()
    begun = time.perf_counter()
    loss = held_out_loss(result.pop("model"), result.pop("tokenizer"), job["held_out"])
    return {**result, "held_out_loss": loss, "untimed": time.perf_counter() - begun}


SIDES: dict[str, Side] = {
    "candor": candor_side,
    "trl": lambda job: trl_side(job, packing=False),
    "trl-packing": lambda job: trl_side(job, packing=True),
}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--trl-python", default=sys.executable, help="interpreter of an environment with TRL")
    parser.add_argument("--no-packing", action="store_true", help="TRL without packing only")
    options = parser.parse_args()
    from candor.model.load import resolve

    rows = pairs(options.pairs + _HELD_OUT)
    folder = options.work / "tuning"
    job = {
        "model": str(resolve("smollm2")),
        "train": rows[_HELD_OUT:],
        "held_out": rows[:_HELD_OUT],
        "folder": str(folder / "trl"),
    }
    this = str(Path(__file__).resolve())
    sides = {"candor": (sys.executable, [this, "--side", "candor"])}
    for name in ("trl",) if options.no_packing else ("trl", "trl-packing"):
        sides[name] = (options.trl_python, [this, "--side", name])
    result = compare(f"Tuning on {options.pairs} pairs", job, sides, runs=options.runs, folder=folder)
    for name, side in result["sides"].items():
        losses = ", ".join(f"{run['held_out_loss']:.4f}" for run in side["runs"])
        print(f"{name}: {side['runs'][0]['steps']} updates, held-out loss {losses}")
    save(result, options)


if __name__ == "__main__":
    launch(main, SIDES, ["torch", "transformers", "candor-lm", "trl"])
