"""Does Muon pay in pretraining? The same small model by AdamW and by Muon, at several rates each.

    python benchmarks/optimizers.py TEXT --rates 0.001 0.002 0.004
    python benchmarks/optimizers.py TEXT --depth 4 --width 256 --updates 300

TEXT is a plain text file of some megabytes; a byte-level BPE vocabulary of 8,192 is made from it, its last
2 % are held out. Printed for each optimiser and rate: the held-out loss on the way, and seconds an update;
then how many updates, and seconds, each optimiser at its best rate takes to AdamW's last loss.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from pretraining import llama

_TIME, _ROWS = 256, 16


def blocks(text: str, vocabulary: int) -> list[tuple[int, ...]]:
    """Token sequences of `_TIME` + 1."""
    from tokenizers import ByteLevelBPETokenizer

    coder = ByteLevelBPETokenizer()
    coder.train_from_iterator(text.split("\n"), vocab_size=vocabulary, show_progress=False)
    ids = coder.encode(text).ids
    return [tuple(ids[i : i + _TIME + 1]) for i in range(0, len(ids) - _TIME, _TIME)]


def trained(
    job: dict[str, Any], sequences: list[tuple[int, ...]], optimizer: str, rate: float
) -> dict[str, Any]:
    """One run's validation losses by update, and the median seconds of an update."""
    from candor.data.conversations import Example
    from candor.train.loop import fit
    from candor.train.settings import TrainSettings

    flags = (False,) + (True,) * _TIME
    held = len(sequences) // 50
    train = [Example(one, flags) for one in sequences[:-held]][: job["updates"] * _ROWS]
    settings = TrainSettings(
        learning_rate=rate,
        optimizer="muon" if optimizer == "muon" else "adamw",
        epochs=1,
        batch_tokens=_ROWS * _TIME,
        micro_batch_tokens=_ROWS * _TIME,
        warmup=0.1,
        weight_decay=0.1,
    )
    seconds: list[float] = []
    result = fit(
        llama(job),
        train,
        settings,
        pad_id=0,
        evaluate=[Example(one, flags) for one in sequences[-held:][:64]],
        on_step=lambda metrics: seconds.append(metrics.seconds),
    )
    return {
        "optimizer": optimizer,
        "rate": rate,
        "validation": result.validation,
        "seconds": statistics.median(seconds),
    }


def reached(run: dict[str, Any], loss: float) -> float | None:
    """Updates after which the run's held-out loss is this low, between measurements by a straight line."""
    for (before, high), (after, low) in zip(run["validation"], run["validation"][1:], strict=False):
        if low <= loss:
            return before + (after - before) * (high - loss) / max(high - low, 1e-9)
    return None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument("--depth", type=int, default=6)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--updates", type=int, default=400)
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3, 2e-3, 4e-3])
    parser.add_argument("--out", type=Path, help="write all numbers here (JSON)")
    options = parser.parse_args()
    job = {"depth": options.depth, "width": options.width, "vocabulary": 8192, "updates": options.updates}
    sequences = blocks(options.text.read_text(encoding="utf-8"), job["vocabulary"])
    if len(sequences) < 1.1 * options.updates * _ROWS:
        raise SystemExit(
            f"{options.text}: {len(sequences)} sequences; one pass needs more for {options.updates}"
        )
    runs = []
    for optimizer in ("adamw", "muon"):
        for rate in options.rates:
            runs.append(trained(job, sequences, optimizer, rate))
            last = runs[-1]["validation"][-1][1]
            print(f"{optimizer} {rate:g}: loss {last:.3f}, {runs[-1]['seconds']:.2f} s an update", flush=True)
    best = {
        name: min((run for run in runs if run["optimizer"] == name), key=lambda run: run["validation"][-1][1])
        for name in ("adamw", "muon")
    }
    goal = best["adamw"]["validation"][-1][1]
    updates = reached(best["muon"], goal)
    if updates is None:
        print(f"Muon does not reach AdamW's {goal:.3f}")
    else:
        share = updates / best["adamw"]["validation"][-1][0]
        time = share * best["muon"]["seconds"] / best["adamw"]["seconds"]
        print(f"Muon reaches AdamW's {goal:.3f} in {share:.2f} of the updates and {time:.2f} of the time")
    if options.out:
        options.out.write_text(json.dumps(runs, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
