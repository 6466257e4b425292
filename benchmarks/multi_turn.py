"""Does tuning on whole conversations make a model use earlier turns, where single turns do not?

    python benchmarks/multi_turn.py --model CKPT                   # a base model with chat tokens
    python benchmarks/multi_turn.py --model CKPT --data chats.jsonl --seeds 3

One base, tuned twice on the same assistant turns: as whole conversations, and each turn alone behind the
user's last words. Both arms learn the same tokens, each as often; they differ in what stands before them, and
in nothing else. Then both answer the same held-out cases (`candor.chat.threads`), in which the last turn
can't be answered without an earlier one, and controls in which it can. Differences are paired by case,
intervals go by template.
"""

from __future__ import annotations

import argparse
import json
from itertools import islice
from pathlib import Path
from typing import Any

_ARMS = ("single", "multi")


def conversations(options: argparse.Namespace, seed: int) -> list[Any]:
    """Conversations with at least two assistant turns: the embedded ones, or the user's."""
    from candor.data.chat_files import read_conversations
    from candor.data.embedded_chats import embedded_chats

    if options.data:
        sources = [read_conversations(file) for file in options.data]
    else:
        sources = [embedded_chats(name, None, seed) for name in ("chitchat", "facts_dialogue")]
    share = -(-options.conversations // len(sources))
    found = []
    for source in sources:
        several = (c for _, c in source if sum(turn.role == "assistant" for turn in c.messages) > 1)
        found += islice(several, share)
    return found


def alone(conversation: Any) -> list[Any]:
    """Each assistant turn behind the user's turn before it, as a conversation of its own."""
    turns = conversation.messages
    return [
        conversation.model_copy(update={"messages": turns[place - 1 : place + 1]})
        for place in range(1, len(turns))
        if turns[place].role == "assistant" and turns[place - 1].role == "user"
    ]


def examples_of(arm: str, rows: list[Any], tokenizer: Any) -> list[Any]:
    """What an arm learns from."""
    from candor.data.conversations import encode

    parts = rows if arm == "multi" else [part for row in rows for part in alone(row)]
    return [encode(part, tokenizer) for part in parts]


def tuned(arm: str, rows: list[Any], options: argparse.Namespace, seed: int) -> tuple[Any, Any, int]:
    """The base after one arm; its tokenizer; tokens it learned to predict."""
    from candor.model.load import load_model, load_tokenizer
    from candor.train.loop import fit
    from candor.train.settings import TrainSettings

    tokenizer = load_tokenizer(options.model)
    examples = examples_of(arm, rows, tokenizer)
    learned = sum(sum(example.supervised) for example in examples)
    # Updates of equally many learned tokens: the arms' examples differ in length.
    share = sum(len(example.token_ids) for example in examples) / learned
    settings = TrainSettings(
        learning_rate=options.rate,
        epochs=options.epochs,
        batch_tokens=round(options.learned_tokens * share),
        micro_batch_tokens=8192,
        seed=seed,
    )
    result = fit(load_model(options.model, device="cpu"), examples, settings, pad_id=0)
    print(
        f"  {arm}: {len(examples):,} examples, {learned:,} learned tokens, {result.steps} updates", flush=True
    )
    return result.model, tokenizer, learned


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="a checkpoint with a chat template")
    parser.add_argument(
        "--data", type=Path, action="append", help="conversations; default: the embedded ones"
    )
    parser.add_argument("--conversations", type=int, default=3000)
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--learned-tokens", type=int, default=2048, help="of an update")
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write all numbers here (JSON)")
    options = parser.parse_args()
    from candor.chat import threads
    from candor.engine.local import LocalEngine

    cases = threads.cases()
    rows: dict[str, list[Any]] = {arm: [] for arm in ("base", *_ARMS)}
    for seed in range(options.seeds):
        data = conversations(options, seed)
        print(f"seed {seed}: {len(data):,} conversations", flush=True)
        for arm in _ARMS:
            model, tokenizer, _ = tuned(arm, data, options, seed)
            found = threads.evaluate(LocalEngine(model, tokenizer, name=arm), cases).rows
            rows[arm] += [row.model_copy(update={"id": f"{row.id} seed {seed}"}) for row in found]
    rows["base"] = list(threads.evaluate(LocalEngine.load(options.model), cases).rows)
    report(rows, options)


def report(rows: dict[str, list[Any]], options: argparse.Namespace) -> None:
    """Rates of each arm, and multi minus single."""
    from candor.chat import threads

    rates = {arm: threads.rates(found) for arm, found in rows.items()}
    change = threads.compare(rows["single"], rows["multi"])
    print("\n| cases | measure | base | single turns | whole conversations | difference | n |")
    print("|---|---|---|---|---|---|---|")
    for group in rates["multi"]:
        for measure in ("preferred", "moved", "written"):
            if measure not in change.get(group, {}):
                continue
            values = [rates[arm][group][measure] for arm in ("base", *_ARMS)]
            cells = [f"{100 * v.value:.0f} %" if v.value is not None else "" for v in values]
            found = change[group][measure]
            if found.value is None:
                continue
            low, high = found.low or 0.0, found.high or 0.0
            cells.append(f"{100 * found.value:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})")
            print(f"| {group} | {measure} | {' | '.join(cells)} | {found.n} |")
    if options.out:
        whole = {arm: [row.model_dump() for row in found] for arm, found in rows.items()}
        options.out.write_text(json.dumps(whole, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
