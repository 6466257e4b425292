"""How fast is a pretraining step of a small model, beside nanoGPT's loop and Hugging Face's Trainer?

    python benchmarks/pretraining.py --nanogpt CHECKOUT      # a clone of github.com/karpathy/nanoGPT
    python benchmarks/pretraining.py --depth 8 --width 512   # another shape

A decoder of 6 blocks, width 384, 6 heads, 8,192 tokens of vocabulary (13.8 million weights), updates of 16
sequences of 256 tokens, AdamW, from scratch. Candor and the Trainer train a Llama, nanoGPT its GPT-2 of the
same shape. nanoGPT's loop is timed as it runs on a CPU (float32) and under bfloat16 autocast, the Trainer
with and without bf16. All see the same sequences: made up by a random second-order process,
so that there is something to learn. A unit is a token; the loss of the last update is printed. The first two
updates of a run, in which memory is taken in, and what comes before them are timed on no side.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peers import Side, arguments, compare, launch, save

_TIME, _ROWS, _RATE = 256, 16, 6e-4
_UNTIMED = 2


def blocks(job: dict[str, Any]) -> Any:
    """Sequences [updates · rows, time + 1] of a process with two-token memory."""
    import numpy as np

    draw = np.random.default_rng(0)
    count, vocabulary = job["updates"] * _ROWS, job["vocabulary"]
    out = draw.integers(0, vocabulary, (count, _TIME + 1))
    usual = draw.random((count, _TIME + 1)) < 0.8
    for place in range(2, _TIME + 1):
        follows = (out[:, place - 1] * 31 + out[:, place - 2] * 17) % 509
        out[:, place] = np.where(usual[:, place], follows, out[:, place])
    return out


def llama(job: dict[str, Any]) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    heads = job["width"] // 64
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=job["vocabulary"],
            hidden_size=job["width"],
            intermediate_size=-(-job["width"] * 8 // 3 // 64) * 64,
            num_hidden_layers=job["depth"],
            num_attention_heads=heads,
            num_key_value_heads=heads,
            max_position_embeddings=job.get("time", _TIME),
            tie_word_embeddings=True,
        )
    )


class Clock:
    """Takes off the time of the first `_UNTIMED` updates and of all before."""

    def __init__(self) -> None:
        self._begun, self._updates, self._untimed = time.perf_counter(), 0, 0.0

    def tick(self) -> None:
        """An update is done."""
        self._updates += 1
        if self._updates == _UNTIMED:
            self._untimed = time.perf_counter() - self._begun

    def result(self, loss: float) -> dict[str, Any]:
        """What a side returns."""
        return {"units": (self._updates - _UNTIMED) * _ROWS * _TIME, "loss": loss, "untimed": self._untimed}


def candor_side(job: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """`candor.train.fit`."""
    from candor.data.conversations import Example
    from candor.train.loop import fit
    from candor.train.settings import TrainSettings

    flags = (False,) + (True,) * _TIME
    examples = [Example(tuple(row), flags) for row in blocks(job).tolist()]
    settings = TrainSettings(
        learning_rate=_RATE,
        epochs=1,
        batch_tokens=_ROWS * _TIME,
        micro_batch_tokens=_ROWS * _TIME,
        warmup=0.1,
        weight_decay=0.1,
    )

    def run(some: int = len(examples)) -> dict[str, Any]:
        clock = Clock()
        found = fit(llama(job), examples[:some], settings, pad_id=0, on_step=lambda _: clock.tick())
        return clock.result(found.loss)

    run(2 * _ROWS)
    return run


def nanogpt_side(job: dict[str, Any], autocast: bool) -> Callable[[], dict[str, Any]]:
    """The model and the optimiser of a nanoGPT checkout in the loop that its train.py has."""
    import numpy as np
    import torch

    sys.path.insert(0, job["nanogpt"])
    from model import GPT, GPTConfig  # type: ignore[import-not-found]

    data = torch.from_numpy(blocks(job).astype(np.int64)).view(job["updates"], _ROWS, _TIME + 1)
    config = GPTConfig(
        block_size=_TIME,
        vocab_size=job["vocabulary"],
        n_layer=job["depth"],
        n_head=job["width"] // 64,
        n_embd=job["width"],
        dropout=0.0,
        bias=False,
    )
    context = torch.autocast("cpu", torch.bfloat16) if autocast else contextlib.nullcontext()

    def run(updates: int = int(job["updates"])) -> dict[str, Any]:
        clock = Clock()
        torch.manual_seed(0)
        model = GPT(config)
        optimizer = model.configure_optimizers(0.1, _RATE, (0.9, 0.95), "cpu")
        loss = torch.tensor(0.0)
        for update in range(updates):
            share = min(1.0, (update + 1) / (0.1 * job["updates"]))
            for group in optimizer.param_groups:
                group["lr"] = _RATE * share
            with context:
                _, loss = model(data[update, :, :-1].contiguous(), data[update, :, 1:].contiguous())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            clock.tick()
        return clock.result(loss.item())

    run(2)
    return run


def trainer_side(job: dict[str, Any], bf16: bool) -> Callable[[], dict[str, Any]]:
    """transformers.Trainer."""
    import torch
    from transformers import Trainer, TrainerCallback, TrainingArguments

    rows = torch.from_numpy(blocks(job))

    class Rows(torch.utils.data.Dataset):  # type: ignore[type-arg]
        def __init__(self, count: int) -> None:
            self.count = count

        def __len__(self) -> int:
            return self.count

        def __getitem__(self, place: int) -> dict[str, Any]:
            return {"input_ids": rows[place, :-1], "labels": rows[place, :-1]}

    class Ticks(TrainerCallback):
        def __init__(self, clock: Clock) -> None:
            self.clock = clock

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.clock.tick()

    def run(updates: int = int(job["updates"])) -> dict[str, Any]:
        clock = Clock()
        settings = TrainingArguments(
            output_dir=job["folder"],
            per_device_train_batch_size=_ROWS,
            num_train_epochs=1,
            learning_rate=_RATE,
            lr_scheduler_type="cosine",
            warmup_steps=0.1,
            adam_beta2=0.95,
            weight_decay=0.1,
            bf16=bf16,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            logging_steps=1,
            disable_tqdm=True,
        )
        trainer = Trainer(
            model=llama(job),
            args=settings,
            train_dataset=Rows(updates * _ROWS),
            callbacks=[Ticks(clock)],
        )
        trainer.train()
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        return clock.result(float(losses[-1]))

    run(2)
    return run


SIDES: dict[str, Side] = {
    "candor": candor_side,
    "nanogpt": lambda job: nanogpt_side(job, autocast=False),
    "nanogpt-bf16": lambda job: nanogpt_side(job, autocast=True),
    "trainer": lambda job: trainer_side(job, bf16=False),
    "trainer-bf16": lambda job: trainer_side(job, bf16=True),
}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--nanogpt", type=Path, help="checkout of nanoGPT; without one it is left out")
    parser.add_argument("--depth", type=int, default=6)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--updates", type=int, default=14, help="of one run, the first two untimed")
    options = parser.parse_args()
    job = {
        "depth": options.depth,
        "width": options.width,
        "vocabulary": 8192,
        "updates": options.updates,
        "folder": str(options.work / "pretraining" / "trainer"),
        "nanogpt": str(options.nanogpt.resolve()) if options.nanogpt else None,
    }
    this = str(Path(__file__).resolve())
    sides = {
        name: (sys.executable, [this, "--side", name])
        for name in SIDES
        if options.nanogpt or not name.startswith("nanogpt")
    }
    title = f"Pretraining: {options.depth} blocks, width {options.width}, {_ROWS} × {_TIME} tokens an update"
    result = compare(title, job, sides, runs=options.runs, folder=options.work / "pretraining")
    for name, side in result["sides"].items():
        print(f"{name}: last loss {side['runs'][0]['loss']:.3f}")
    save(result, options)


if __name__ == "__main__":
    launch(main, SIDES, ["torch", "transformers", "candor-lm"])
