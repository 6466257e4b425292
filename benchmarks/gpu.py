"""What Candor makes of a GPU: the share of its bfloat16 peak that pretraining reaches, and decoding's speed.

    python benchmarks/gpu.py                                   # needs a CUDA device
    python benchmarks/gpu.py --sizes 135M,1B,8B --out gpu.json
    python benchmarks/gpu.py --device cpu --depth 2 --width 128 --rows 4 --updates 4   # to try the script

The peak is measured: the best of repeated products of two large square matrices. Pretraining is a Llama of
123 million weights on packed sequences of 1,024 made-up tokens; its operations are counted as 6 per weight
and token, and 6 · layers · width · length for causal attention (Chowdhery et al. 2022). Decoding is
SmolLM2-135M, sampled, by the local engine, and by vLLM where it is installed. `--sizes` asks untrained Llamas
of the shapes of SmolLM2-135M, Llama-3.2-1B and Llama-3.1-8B (with a smaller vocabulary) what a knowledge run
asks: a greedy answer and eight samples of 24 tokens to each question; and tunes them, the largest by LoRA.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pretraining import llama

_TIME, _VOCABULARY = 1024, 49152
# Depth, width, heads, heads of keys, width of the inner layer; and the rank of LoRA, 0 to train all weights.
SHAPES = {
    "135M": (30, 576, 9, 3, 1536, 0),
    "1B": (16, 2048, 32, 8, 8192, 0),
    "8B": (32, 4096, 32, 8, 14336, 16),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--depth", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument(
        "--rows", type=int, default=64, help="sequences of an update, and completions at once"
    )
    parser.add_argument(
        "--micro-rows", type=int, default=16, help="sequences that go through the model at once"
    )
    parser.add_argument("--updates", type=int, default=20, help="the first three are not timed")
    parser.add_argument("--tokens", type=int, default=256, help="of a completion")
    parser.add_argument("--sizes", default="", help=f"also these shapes: {','.join(SHAPES)}")
    parser.add_argument("--questions", type=int, default=256, help="that a shape is asked")
    parser.add_argument("--out", type=Path, help="write all numbers here (JSON)")
    options = parser.parse_args()
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device here; --device cpu with a small model tries the script itself")
    found = {"device": _name(options.device), "torch": torch.__version__, "peak": peak(options.device)}
    print(f"{found['device']}: {found['peak'] / 1e12:.1f} TFLOP/s in bfloat16 products")
    found["pretraining"] = pretraining(options, found["peak"])
    print(
        "pretraining: {tokens_per_second:,.0f} tokens/s, {mfu:.1%} of the peak".format(**found["pretraining"])
    )
    for name, side in (("local", local), ("vllm", vllm)):
        found[name] = side(options)
        print(f"decoding by {name}: " + (f"{found[name]:,.0f} tokens/s" if found[name] else "not installed"))
    for name in filter(None, options.sizes.split(",")):
        found[name] = sized(name, options)
        told = (
            "{weights:.3g} weights: {questions_per_second:.1f} questions/s, {tuned_per_second:,.0f} tokens/s"
        )
        print(f"{name}, " + told.format(**found[name]), flush=True)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1), encoding="utf-8")


def _name(device: str) -> str:
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else device


def _best(work: Callable[[], Any], device: str, times: int) -> float:
    """The least seconds that the work takes."""
    import torch

    found = []
    for _ in range(times + 1):
        begun = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - begun)
    return min(found[1:])


def peak(device: str) -> float:
    """Floating-point operations a second of a large bfloat16 product."""
    import torch

    size = 8192 if device == "cuda" else 1024
    left, right = torch.randn(2, size, size, device=device).bfloat16()
    return 2 * size**3 / _best(lambda: left @ right, device, 20)


def pretraining(options: argparse.Namespace, most: float) -> dict[str, float]:
    """Tokens a second in the steady state, and their share of the peak."""
    import torch

    from candor.data.conversations import Example
    from candor.train.loop import fit
    from candor.train.settings import TrainSettings

    job = {"depth": options.depth, "width": options.width, "vocabulary": _VOCABULARY, "time": _TIME}
    model = llama(job).to(options.device)
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(_VOCABULARY, (options.updates * options.rows, _TIME + 1), generator=draw)
    flags = (False,) + (True,) * _TIME
    settings = TrainSettings(
        learning_rate=6e-4,
        epochs=1,
        batch_tokens=options.rows * _TIME,
        micro_batch_tokens=options.micro_rows * _TIME,
    )
    seconds: list[float] = []
    fit(
        model,
        [Example(tuple(row), flags) for row in ids.tolist()],
        settings,
        pad_id=0,
        on_step=lambda metrics: seconds.append(metrics.seconds),
    )
    rate = options.rows * _TIME / statistics.median(seconds[3:])
    weights = sum(parameter.numel() for parameter in model.parameters())
    operations = 6 * weights + 6 * options.depth * options.width * _TIME
    return {"weights": weights, "tokens_per_second": rate, "mfu": rate * operations / most}


def sized(name: str, options: argparse.Namespace) -> dict[str, float]:
    """Questions answered, and tokens tuned on, a second, by an untrained model of a shape."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from candor.data.conversations import Example
    from candor.engine.local import LocalEngine
    from candor.engine.protocol import Sampling
    from candor.model.load import load_tokenizer
    from candor.train.loop import fit
    from candor.train.settings import TrainSettings

    depth, width, heads, groups, inner, rank = SHAPES[name]
    config = LlamaConfig(
        vocab_size=_VOCABULARY, hidden_size=width, intermediate_size=inner, num_hidden_layers=depth,
        num_attention_heads=heads, num_key_value_heads=groups, max_position_embeddings=2048,
        tie_word_embeddings=True, dtype=torch.bfloat16,
    )  # fmt: skip
    with torch.device(options.device):
        model = LlamaForCausalLM(config).to(torch.bfloat16).eval()
    weights = sum(parameter.numel() for parameter in model.parameters())
    draw = torch.Generator().manual_seed(0)
    prompts = torch.randint(100, _VOCABULARY, (options.questions, 40), generator=draw).tolist()
    both = [Sampling(max_tokens=24, ignore_end=True)]
    both.append(Sampling(max_tokens=24, ignore_end=True, temperature=1.0, n=8, seed=1))
    engine = LocalEngine(model, load_tokenizer("smollm2"), max_rows=9 * options.questions)
    asking = _best(lambda: engine.generate(prompts, both), options.device, 1)
    rows = torch.randint(100, _VOCABULARY, (6 * 16, _TIME + 1), generator=draw).tolist()
    seconds: list[float] = []
    fit(
        model,
        [Example(tuple(row), (False,) + (True,) * _TIME) for row in rows],
        TrainSettings(
            learning_rate=1e-5, epochs=1, batch_tokens=16 * _TIME, micro_batch_tokens=8 * _TIME,
            lora_rank=rank, gradient_checkpointing=rank > 0,
        ),
        pad_id=0,
        on_step=lambda metrics: seconds.append(metrics.seconds),
    )  # fmt: skip
    return {
        "weights": weights,
        "questions_per_second": options.questions / asking,
        "tuned_per_second": 16 * _TIME / statistics.median(seconds[2:]),
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30 if options.device == "cuda" else 0.0,
    }


def _prompts(options: argparse.Namespace) -> list[str]:
    return [f"This is text number {number}. It begins like this:" for number in range(options.rows)]


def local(options: argparse.Namespace) -> float | None:
    """Tokens a second by the local engine."""
    from candor.engine.local import LocalEngine

    return _decoded(LocalEngine.load("smollm2", device=options.device, max_rows=options.rows), options)


def vllm(options: argparse.Namespace) -> float | None:
    """Tokens a second by vLLM in this process; None where it is not installed."""
    from importlib.util import find_spec

    if find_spec("vllm") is None:
        return None
    from candor.engine.vllm import VllmEngine

    return _decoded(VllmEngine.load("smollm2", max_rows=options.rows), options)


def _decoded(engine: Any, options: argparse.Namespace) -> float:
    from candor.engine.protocol import Sampling

    sampling = Sampling(max_tokens=options.tokens, temperature=0.7, seed=1)
    made: list[int] = []

    def work() -> None:
        results = engine.generate(_prompts(options), sampling)
        made.append(sum(len(one.token_ids) for result in results for one in result.completions))

    seconds = _best(work, options.device, 3)
    return made[0] / seconds  # the same completions each time


if __name__ == "__main__":
    main()
