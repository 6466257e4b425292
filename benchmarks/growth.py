"""How do time and memory of probing grow with the number of questions, the rows of a batch and the length?

    python benchmarks/growth.py                     # all three, a few minutes
    python benchmarks/growth.py --only questions --most 10000

Each point is a process of its own, so that its peak memory is its own: SmolLM2-135M, bfloat16, local engine.
Time per completion token and peak memory should stay level as questions grow.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_QUESTIONS = (250, 1000, 4000, 10000)
_ROWS = (16, 64, 128, 256, 512)
_TOKENS = (16, 64, 256)


def point(questions: int, rows: int, tokens: int, samples: int) -> dict[str, Any]:
    """One measurement, in this process."""
    from generation import questions as some

    from candor.core.memory import peak_memory
    from candor.engine.local import LocalEngine
    from candor.engine.protocol import Sampling

    engine = LocalEngine.load("smollm2", max_rows=rows)
    texts = some(questions)
    # Beyond the packaged ones, the same again with a number, so that no two are alike.
    texts = [f"{texts[i % len(texts)]} ({i})" for i in range(questions)]
    prompts = [[{"role": "user", "content": text}] for text in texts]
    sampling = Sampling(max_tokens=tokens, temperature=0.7, n=samples, seed=1)
    engine.generate(prompts[:4], sampling)  # type: ignore[arg-type]
    begun = time.perf_counter()
    results = engine.generate(prompts, sampling)  # type: ignore[arg-type]
    seconds = time.perf_counter() - begun
    made = sum(len(c.token_ids) for result in results for c in result.completions)
    return {"seconds": seconds, "tokens": made, "peak_bytes": peak_memory()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=["questions", "rows", "length"])
    parser.add_argument("--most", type=int, default=4000, help="questions of the largest point")
    parser.add_argument("--out", type=Path, help="write all numbers here (JSON)")
    parser.add_argument("--point", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.point:
        print("@@" + json.dumps(point(*json.loads(options.point))))
        return
    plans = {
        "questions": [(count, 256, 8, 2) for count in _QUESTIONS if count <= options.most],
        "rows": [(96, rows, 24, 8) for rows in _ROWS],
        "length": [(16, 64, tokens, 4) for tokens in _TOKENS],
    }
    found: dict[str, list[dict[str, Any]]] = {}
    for name, points in plans.items():
        if options.only not in (None, name):
            continue
        print(f"\n## Growth with {name}\n")
        print("| questions | rows | tokens | samples | seconds | tokens/s | peak GiB |")
        print("|---|---|---|---|---|---|---|")
        for one in points:
            command = [sys.executable, str(Path(__file__).resolve()), "--point", json.dumps(one)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            result = json.loads(done.stdout.split("@@")[1])
            found.setdefault(name, []).append({"point": one, **result})
            rate = result["tokens"] / result["seconds"]
            print(
                f"| {one[0]} | {one[1]} | {one[2]} | {one[3]} | {result['seconds']:.1f} | {rate:,.0f} | "
                f"{result['peak_bytes'] / 2**30:.2f} |",
                flush=True,
            )
    if options.out:
        options.out.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
