"""How many additions does a small model need to see, in which format?

    python benchmarks/arithmetic.py --out additions.json                # 0.8M weights, up to 3 digits
    python benchmarks/arithmetic.py --out large.json --depth 6 --width 384 --head 64 --tokens 5e6  # 10.6M
    python benchmarks/arithmetic.py --out additions.json --optimizer adamw --rate 1e-3 --loss all
    python benchmarks/arithmetic.py --out additions.json --seeds 3 --samples 1000,2500

A character model is trained from scratch on so many additions of up to `--digits` digits (`balanced` in
candor.reasoning.scratch.addition), in each format, for the same number of training tokens, and asked held-out
additions greedily: of each length that it was trained on, and one digit longer. A scratchpad has more tokens
a sample: `scratchpad` has as many samples as the others, `scratchpad=` so many that its set has as many
tokens as theirs. Points that are in the file already are left out, so a run can be stopped and goes on.

Lee et al. 2023, "Teaching Arithmetic to Small Transformers", had a 10.6M GPT with dropout .2, 5,000 updates
of 256 sequences of 256 tokens (3·10^8 tokens, loss on questions too).
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

_TESTED = 500
_TEST_SEED = 1_000_003
_LIMIT = 48
_KEYS = ("depth", "width", "tokens", "rate", "batch", "optimizer", "loss")


def tests(digits: int) -> dict[str, list[Any]]:
    """Held-out additions by length; of one digit there are too few to hold any out."""
    from candor.reasoning.scratch.addition import Additions

    lengths = range(2, digits + 2)
    return {str(length): Additions(length).problems(_TESTED, _TEST_SEED) for length in lengths}


def point(name: str, samples: int, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train one model and ask it."""
    from candor.core.statistics import wilson
    from candor.engine.local import LocalEngine
    from candor.engine.protocol import Sampling
    from candor.reasoning.scratch.addition import ALPHABET, Written, balanced
    from candor.train.characters import Characters, character_tokenizer
    from candor.train.small import Schooling, SmallModel, school, small_model

    way: Any = Written(name.rstrip("="))  # type: ignore[arg-type]
    held_out = tests(options.digits)
    tokenizer = character_tokenizer(ALPHABET, 64)
    write = Characters(tokenizer)
    problems = balanced(
        samples, options.digits, seed, {problem.id for part in held_out.values() for problem in part}
    )
    examples = write.examples((problem.question, way.written(problem)) for problem in problems)
    if options.loss == "all":
        examples = [replace(one, supervised=(True,) * len(one.supervised)) for one in examples]
    size = sum(len(example.token_ids) for example in examples)
    if name.endswith("="):
        plain = sum(len(problem.question + problem.answer) + 1 for problem in problems)
        examples = examples[: round(len(examples) * plain / size)]
        size = sum(len(example.token_ids) for example in examples)
    shape = SmallModel(depth=options.depth, width=options.width, head=options.head)
    model = small_model(shape, tokenizer, 64, seed)
    updates = round(options.tokens / (options.batch * size / len(examples)))
    how = Schooling(
        updates=updates, batch=options.batch, optimizer=options.optimizer, learning_rate=options.rate,
        weight_decay=0.1,
    )  # fmt: skip
    began = time.monotonic()
    result = school(model, examples, how, pad_id=write.end, seed=seed)
    seconds = time.monotonic() - began
    engine = LocalEngine(model, tokenizer)
    accuracy = {}
    for length, asked in held_out.items():
        made = engine.generate([problem.question for problem in asked], Sampling(max_tokens=_LIMIT))
        right = sum(
            way.read(found.completions[0].text) == problem.answer
            for found, problem in zip(made, asked, strict=True)
        )
        accuracy[length] = wilson(right, len(asked)).as_dict()
    return {
        "format": name,
        "samples": len(examples),
        "seed": seed,
        "digits": options.digits,
        "weights": sum(parameter.numel() for parameter in model.parameters()),
        "set_tokens": size,
        "tokens": options.tokens,
        "passes": round(options.tokens / size, 1),
        "updates": result.steps,
        "last_loss": result.loss,
        "seconds": round(seconds, 1),
        "accuracy": accuracy,
    }


def shown(row: dict[str, Any]) -> str:
    """One row of the table."""
    cells = [f"{one['value']:.1%} ({one['low']:.1%}–{one['high']:.1%})" for one in row["accuracy"].values()]
    return (
        f"| {row['format']} | {row['samples']:,} | {row['seed']} | {row['set_tokens']:,} | {row['passes']} | "
        f"{' | '.join(cells)} | {row['seconds']:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="all numbers (JSON); points in it are kept")
    parser.add_argument("--formats", default="plain,reversed,scratchpad,scratchpad=")
    parser.add_argument("--samples", default="500,1000,2500,5000,10000")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--digits", type=int, default=3, help="longest numbers learned from")
    parser.add_argument("--tokens", type=float, default=6e6, help="training tokens of each point")
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--head", type=int, default=32)
    parser.add_argument("--rate", type=float, default=5e-3)
    parser.add_argument("--optimizer", default="muon", choices=("muon", "adamw"))
    parser.add_argument("--loss", default="sum", choices=("sum", "all"), help="all: questions' tokens, too")
    parser.add_argument("--batch", type=int, default=256, help="additions in an update")
    options = parser.parse_args()
    from candor.core.files import read_json, write_json

    rows: list[dict[str, Any]] = read_json(options.out) if options.out.exists() else []
    columns = ["format", "samples", "seed", "tokens of the set", "passes"]
    columns += [f"{length} digits" for length in tests(options.digits)] + ["seconds"]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for seed in range(options.seeds):
        for samples in map(int, options.samples.split(",")):
            for name in options.formats.split(","):
                asked = {"format": name, "asked": samples, "seed": seed, "digits": options.digits}
                asked |= {key: getattr(options, key) for key in _KEYS}
                row = next((row for row in rows if asked.items() <= row.items()), None)
                if row is None:
                    row = {**point(name, samples, seed, options), **asked}
                    rows.append(row)
                    write_json(options.out, rows)
                print(shown(row), flush=True)


if __name__ == "__main__":
    main()
