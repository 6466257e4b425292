"""How fast does the local engine answer, beside transformers and vLLM?

    python benchmarks/generation.py                                   # against transformers.generate
    python benchmarks/generation.py --vllm-python VENV/bin/python     # and vLLM, from its environment
    python benchmarks/generation.py --job long                        # 64 completions of 256 tokens

The probing job: 400 distinct short questions, 8 samples each at temperature 0.7, at most 24 tokens, stopping
at the end of turn; SmolLM2-135M in bfloat16. A unit is a generated token. transformers runs at the best of
several batch sizes, found before the timed runs; vLLM at the best of one and two threads.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peers import Side, arguments, compare, launch, save

_BATCHES = (64, 128, 256)


def questions(count: int) -> list[str]:
    """Distinct questions rendered from the packaged facts."""
    from candor.data.facts import embedded_questions

    found = list(dict.fromkeys(f"{row.question} Answer briefly." for row in embedded_questions()))
    random.Random(0).shuffle(found)
    return found[:count]


def candor_side(job: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """The local engine."""
    from candor.engine.local import LocalEngine
    from candor.engine.protocol import Sampling

    engine = LocalEngine.load(job["model"], dtype="bfloat16")
    prompts = [[{"role": "user", "content": text}] for text in job["questions"]]
    sampling = Sampling(
        max_tokens=job["max_tokens"], temperature=job["temperature"], n=job["samples"], seed=1
    )
    if job["ignore_end"]:
        engine._ends = frozenset()
    engine.generate(prompts[:4], sampling)

    def run() -> dict[str, Any]:
        results = engine.generate(prompts, sampling)  # type: ignore[arg-type]
        return {"units": sum(len(c.token_ids) for result in results for c in result.completions)}

    return run


def transformers_side(job: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """model.generate with num_return_sequences, prompts sorted by length, at its best batch size."""
    import time

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(job["model"], padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.bfloat16).eval()
    texts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True
        )
        for text in job["questions"]
    ]
    texts.sort(key=lambda text: -len(text))

    def generate(part: list[str], batch: int) -> int:
        made, at_once = 0, max(1, batch // job["samples"])
        for start in range(0, len(part), at_once):
            encoded = tokenizer(part[start : start + at_once], return_tensors="pt", padding=True)
            options = {"min_new_tokens": job["max_tokens"]} if job["ignore_end"] else {}
            with torch.inference_mode():
                out = model.generate(
                    **encoded,
                    do_sample=True,
                    temperature=job["temperature"],
                    top_k=0,
                    top_p=1.0,
                    num_return_sequences=job["samples"],
                    max_new_tokens=job["max_tokens"],
                    pad_token_id=tokenizer.pad_token_id,
                    **options,
                )
            new = out[:, encoded["input_ids"].shape[1] :]
            ended = new == tokenizer.eos_token_id
            lengths = torch.where(ended.any(1), ended.int().argmax(1) + 1, new.shape[1])
            made += int(lengths.sum())
        return made

    speeds = {}
    for batch in _BATCHES:
        torch.manual_seed(0)
        begun = time.perf_counter()
        made = generate(texts[: max(8, 2 * batch // job["samples"])], batch)
        speeds[batch] = made / (time.perf_counter() - begun)
    best = max(speeds, key=lambda batch: speeds[batch])
    print(f"tokens/s by batch: {speeds}", file=sys.stderr)
    return lambda: {"units": generate(texts, best), "batch": best}


def vllm_side(job: dict[str, Any], threads: str) -> Callable[[], dict[str, Any]]:
    """vLLM's LLM class in its process, on these cores."""
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = threads
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    from vllm import LLM, SamplingParams  # type: ignore[import-not-found]

    model = LLM(model=job["model"], dtype="bfloat16", max_model_len=1024, max_num_seqs=256, seed=1)
    tokenizer = model.get_tokenizer()
    texts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True
        )
        for text in job["questions"]
    ]
    sampling = SamplingParams(
        n=job["samples"],
        temperature=job["temperature"],
        max_tokens=job["max_tokens"],
        logprobs=0,
        ignore_eos=job["ignore_end"],
    )
    model.generate(texts[:4], sampling, use_tqdm=False)

    def run() -> dict[str, Any]:
        results = model.generate(texts, sampling, use_tqdm=False)
        return {"units": sum(len(c.token_ids) for result in results for c in result.outputs)}

    return run


SIDES: dict[str, Side] = {
    "candor": candor_side,
    "transformers": transformers_side,
    "vllm-1-thread": lambda job: vllm_side(job, "0"),
    "vllm-2-threads": lambda job: vllm_side(job, "0-1"),
}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--job", choices=["probing", "long"], default="probing")
    parser.add_argument("--vllm-python", type=Path, help="interpreter of an environment with vLLM")
    parser.add_argument("--prompts", type=int, help="fewer prompts than the job has (to try things out)")
    parser.add_argument("--no-transformers", action="store_true", help="leave transformers out")
    options = parser.parse_args()
    from candor.model.load import resolve

    probing = options.job == "probing"
    job = {
        "model": str(resolve("smollm2")),
        "questions": questions(options.prompts or (400 if probing else 64)),
        "samples": 8 if probing else 1,
        "max_tokens": 24 if probing else 256,
        "temperature": 0.7,
        "ignore_end": not probing,
    }
    this = str(Path(__file__).resolve())
    sides = {"candor": (sys.executable, [this, "--side", "candor"])}
    if not options.no_transformers:
        sides["transformers"] = (sys.executable, [this, "--side", "transformers"])
    if options.vllm_python:
        for name in ("vllm-1-thread", "vllm-2-threads"):
            sides[name] = (str(options.vllm_python), [this, "--side", name])
    title = "Probing: 400 questions × 8 samples × ≤ 24 tokens" if probing else "Long: 64 × 256 tokens"
    result = compare(title, job, sides, runs=options.runs, folder=options.work / options.job)
    save(result, options)


if __name__ == "__main__":
    launch(main, SIDES, ["torch", "transformers", "candor-lm", "vllm", "vllm-cpu"])
