"""How fast are texts scored (log-probability of each token), beside lm-eval's hf backend?

    python benchmarks/scoring.py                                    # lm-eval in this environment
    python benchmarks/scoring.py --lm-eval-python VENV/bin/python   # or in its own

2,000 pairs of a context and a continuation, as multiple-choice tasks have them: a question and one of four
answers; SmolLM2-135M in bfloat16. A unit is a pair. lm-eval runs at the best of several batch sizes, found
before the timed runs. Both sides return each continuation's summed log-probability; they have to agree.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peers import Side, arguments, compare, launch, save

_BATCHES = (16, 32, 64, 128)
_CHOICES = 4


def pairs(count: int) -> list[list[str]]:
    """Questions from the packaged facts, each with its answer and three others'."""
    from candor.data.facts import embedded_questions

    rows = list(embedded_questions())
    draw = random.Random(0)
    draw.shuffle(rows)
    found = []
    for place, row in enumerate(rows[: -(-count // _CHOICES)]):
        others = [
            rows[(place + step) % len(rows)].answers[0] for step in draw.sample(range(1, 500), _CHOICES - 1)
        ]
        found += [[f"Question: {row.question}\nAnswer:", f" {text}"] for text in (row.answers[0], *others)]
    return found[:count]


def candor_side(job: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """The local engine."""
    from candor.engine.local import LocalEngine

    engine = LocalEngine.load(job["model"], dtype="bfloat16")
    contexts, texts = zip(*job["pairs"], strict=True)
    engine.score(contexts[:64], texts[:64])

    def run() -> dict[str, Any]:
        found = engine.score(contexts, texts)
        return {"units": len(found), "scores": [sum(one) for one in found]}

    return run


def lm_eval_side(job: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """lm-eval's HFLM, its loglikelihood requests."""
    from lm_eval.api.instance import Instance  # type: ignore[import-not-found]
    from lm_eval.models.huggingface import HFLM  # type: ignore[import-not-found]

    model = HFLM(pretrained=job["model"], dtype="bfloat16", device="cpu", batch_size=64)
    requests = [
        Instance(request_type="loglikelihood", doc={}, arguments=tuple(pair), idx=number)
        for number, pair in enumerate(job["pairs"])
    ]
    speeds = {}
    for batch in _BATCHES:
        model.batch_size_per_gpu = batch
        begun = time.perf_counter()
        model.loglikelihood(requests[:256], disable_tqdm=True)
        speeds[batch] = 256 / (time.perf_counter() - begun)
    model.batch_size_per_gpu = max(speeds, key=lambda batch: speeds[batch])
    print(f"pairs/s by batch: {speeds}", file=sys.stderr)

    def run() -> dict[str, Any]:
        found = model.loglikelihood(requests, disable_tqdm=True)
        return {"units": len(found), "scores": [float(one[0]) for one in found]}

    return run


SIDES: dict[str, Side] = {"candor": candor_side, "lm-eval": lm_eval_side}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument(
        "--lm-eval-python", default=sys.executable, help="interpreter of an environment with lm-eval"
    )
    options = parser.parse_args()
    from candor.model.load import resolve

    job = {"model": str(resolve("smollm2")), "pairs": pairs(options.pairs)}
    this = str(Path(__file__).resolve())
    sides = {
        "candor": (sys.executable, [this, "--side", "candor"]),
        "lm-eval": (options.lm_eval_python, [this, "--side", "lm-eval"]),
    }
    result = compare(
        f"Scoring {options.pairs} pairs", job, sides, runs=options.runs, folder=options.work / "scoring"
    )
    ours, theirs = (side["runs"][0]["scores"] for side in result["sides"].values())
    gaps = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
    print(
        f"difference of a pair's log-probability: median {statistics.median(gaps):.3f}, "
        f"largest {max(gaps):.3f} nats (bfloat16); "
        f"mean score {statistics.mean(ours):.3f} and {statistics.mean(theirs):.3f}"
    )
    save(result, options)


if __name__ == "__main__":
    launch(main, SIDES, ["torch", "transformers", "candor-lm", "lm_eval"])
