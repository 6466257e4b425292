"""Does a small model call a calculator, by examples alone and after a little tuning, and what is it worth?

    python benchmarks/tool_use.py                  # both measurements, about 5 minutes on 2 cores
    python benchmarks/tool_use.py --no-tune        # the first alone
    python benchmarks/tool_use.py --show 20        # with completions to look at

90 additions of 1 to 9 digits, ten each, greedy. First the untouched model: answering at once against the
calculator, each explained and shown in the same four solved problems. Then the model is tuned on 300
conversations that use the calculator, results masked, none of the 90 among them, and asked again without
examples; and multiplications, which no conversation had.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TOKENS = 96  # two numbers of nine digits, a call of them, its result and the answer are about 60
_BANDS = ((1, 3), (4, 6), (7, 9))


@dataclass(frozen=True)
class Direct:
    """The answer at once, asked as the calculator is."""

    name: str = "direct"
    tools: tuple[Any, ...] = ()

    def prompt(self, problem: Any, shown: Sequence[Any] = ()) -> Any:
        messages = []
        for place, one in enumerate([*shown, problem]):
            lead = "" if place else "Give the answer behind 'Answer:'.\n\n"
            messages.append({"role": "user", "content": f"{lead}{one.question}"})
            if place < len(shown):
                messages.append({"role": "assistant", "content": f"Answer: {one.answer}"})
        return messages

    def read(self, completion: str) -> str | None:
        _, found, behind = completion.rpartition("Answer:")
        return behind.strip().partition("\n")[0].strip().removesuffix(".") if found else None


def problems(count: int, seed: int, sign: str = "+") -> list[Any]:
    """So many problems, digits from 1 to 9 in turn, without doubles where there are enough."""
    from candor.rl.problem import Problem

    draw, found = random.Random(seed), {}
    while len(found) < count:
        digits = len(found) % 9 + 1
        a, b = (draw.randrange(10 ** (digits - 1), 10**digits) for _ in range(2))
        answer = a + b if sign == "+" else a * b
        name = f"{a}{sign}{b}"
        found[name] = Problem(
            id=name, question=f"What is {a} {sign} {b}?", answer=str(answer), kind=str(digits)
        )
    return list(found.values())


def asked(
    engine: Any, way: Any, rows: list[Any], shown: list[Any], tools: bool = True
) -> list[dict[str, Any]]:
    """What a model makes of the problems in one way."""
    from candor.engine.protocol import Sampling

    sampling = Sampling(max_tokens=_TOKENS, tools=way.tools if tools else ())
    found = []
    made = engine.generate([way.prompt(row, shown) for row in rows], sampling)
    for row, generation in zip(rows, made, strict=True):
        completion = generation.completions[0]
        # Whoever keeps to no form is read kindly, by the last number.
        numbers = re.findall(r"[0-9][0-9,]*", completion.text)
        answer = way.read(completion.text) or (numbers[-1] if numbers else None)
        a, sign, b = row.question.removeprefix("What is ").removesuffix("?").split()
        call = f"<calc>{a} {sign} {b}</calc>"
        found.append(
            {
                "question": row.question,
                "digits": int(row.kind),
                "right": answer is not None and answer.replace(",", "") == row.answer,
                "calls": "</calc>" in completion.text,
                "copied": call.replace(" ", "") in completion.text.replace(" ", ""),
                "text": completion.text,
                "tokens": len(completion.token_ids),
                "inserted": sum(completion.inserted),
            }
        )
    return found


def report(label: str, rows: list[dict[str, Any]], baseline: list[dict[str, Any]] | None = None) -> None:
    """A line of a table."""
    from candor.core.statistics import paired_difference, wilson

    def share(name: str, some: list[dict[str, Any]]) -> str:
        found = wilson(sum(row[name] for row in some), len(some))
        return f"{100 * found.value:.0f} % ({100 * found.low:.0f}–{100 * found.high:.0f})"  # type: ignore

    bands = [share("right", [r for r in rows if low <= r["digits"] <= high]) for low, high in _BANDS]
    cells = [share("right", rows), *bands, share("calls", rows), share("copied", rows)]
    cells.append(f"{sum(row['tokens'] for row in rows) / len(rows):.0f}")
    difference = ""
    if baseline:
        gain = paired_difference([r["right"] for r in rows], [r["right"] for r in baseline], seed=0)
        difference = f"{100 * gain.value:+.0f} ({100 * gain.low:+.0f} to {100 * gain.high:+.0f})"  # type: ignore
    print(f"| {label} | {' | '.join(cells)} | {difference} |", flush=True)


def tuned(spec: str, way: Any, rows: list[Any], options: argparse.Namespace) -> Any:
    """The model after conversations that use the calculator."""
    from candor.data.conversations import Conversation, encode_all
    from candor.engine.local import LocalEngine
    from candor.model.load import load_model, load_tokenizer
    from candor.train.loop import fit
    from candor.train.settings import TrainSettings

    tokenizer = load_tokenizer(spec)
    talks = [
        Conversation.model_validate(
            {"messages": [*way.prompt(row), {"role": "assistant", "content": way.written(row)}]}
        )
        for row in rows
    ]
    examples, _ = encode_all(talks, tokenizer, max_tokens=1024, tools=way.tools)
    settings = TrainSettings(
        learning_rate=options.rate, epochs=options.epochs, batch_tokens=2048, micro_batch_tokens=2048,
        seed=options.seed,
    )  # fmt: skip
    begun = time.monotonic()
    result = fit(load_model(spec), examples, settings, pad_id=int(tokenizer.pad_token_id or 0))
    tokens = sum(len(example.token_ids) for example in examples)
    learned = sum(sum(example.supervised) for example in examples)
    print(
        f"\ntuned on {len(examples)} conversations of {tokens:,} tokens, {learned:,} learned; "
        f" {result.steps} updates, last loss {result.loss:.3f}, {time.monotonic() - begun:.0f} s\n"
    )
    return LocalEngine(result.model.eval(), tokenizer, name="tuned")  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="smollm2", help="a checkpoint with a chat template")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--conversations", type=int, default=300)
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--no-tune", action="store_true", help="the untouched model alone")
    parser.add_argument("--show", type=int, default=0, help="print so many completions of each row")
    parser.add_argument("--out", type=Path, help="write all numbers and completions here (JSON)")
    options = parser.parse_args()
    from candor.engine.local import LocalEngine
    from candor.reasoning.ways.tool import ToolWay

    way, direct = ToolWay(), Direct()
    held_out, products = problems(90, options.seed), problems(90, options.seed + 1, "*")
    taken = {row.id for row in held_out}
    fresh = [row for row in problems(options.conversations + 95, options.seed + 2) if row.id not in taken]
    # Shown are a short, a long and two middling ones.
    shown, train = [fresh[place] for place in (1, 6, 3, 4)], fresh[9 : options.conversations + 9]
    everything: dict[str, list[dict[str, Any]]] = {}

    def measure(label: str, *arguments: Any, baseline: str | None = None, tools: bool = True) -> None:
        everything[label] = asked(*arguments, tools=tools)
        report(label, everything[label], everything[baseline] if baseline else None)

    heads = [
        "",
        "right",
        *(f"{low}–{high} digits" for low, high in _BANDS),
        "calls",
        "problem copied",
        "tokens",
    ]
    print(f"| {' | '.join(heads)} | against direct |\n|{'---|' * (len(heads) + 1)}")
    engine = LocalEngine.load(options.model)
    measure("direct", engine, direct, held_out, shown)
    measure("direct, no examples", engine, direct, held_out, [])
    measure("calculator", engine, way, held_out, shown, baseline="direct")
    measure("its results made up", engine, way, held_out, shown, baseline="direct", tools=False)
    measure("calculator, no examples", engine, way, held_out, [], baseline="direct")
    measure("products, calculator", engine, way, products, shown)
    if not options.no_tune:
        del engine
        engine = tuned(options.model, way, train, options)
        measure("tuned, direct, no examples", engine, direct, held_out, [], baseline="direct")
        measure("tuned, calculator, no examples", engine, way, held_out, [], baseline="direct")
        measure("tuned, products, no examples", engine, way, products, [])
        measure("tuned, results made up", engine, way, held_out, [], baseline="direct", tools=False)
    for label, rows in everything.items() if options.show else ():
        print(f"\n## {label}")
        for row in rows[:: max(1, len(rows) // options.show)][: options.show]:
            print(f"{'right' if row['right'] else 'WRONG'}  {row['question']}  {row['text']!r}")
    if options.out:
        options.out.write_text(json.dumps(everything, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
