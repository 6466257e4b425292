"""Does it matter what the rows of new chat tokens begin with?

    python benchmarks/chat_tokens.py --model runs/base                 # a model that Candor pretrained
    python benchmarks/chat_tokens.py --model gemma.gguf --rate 5e-5    # any base model without these tokens
    python benchmarks/chat_tokens.py --model runs/base --seeds 3

The same base model gets <|im_start|> and <|im_end|> with each kind of first values, and is tuned for 100
updates on the same embedded conversations. Loss on the same held-out conversations after 0, 10, 100 updates
(of the assistant's tokens, and of the end token alone); how often a new token is drawn where nobody asked for
it, in raw continuations of prose; and how many replies end by themselves.
"""

from __future__ import annotations

import argparse
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

_PROSE = (
    "The history of the city begins",
    "In the summer of that year",
    "It was a quiet evening, and",
    "The river is",
    "My favourite food is",
    "There are many reasons why",
    "Scientists have found that",
    "A: Hi! How was your day?\nB:",
)


def encoded(tokenizer: Any, seed: int) -> tuple[list[Any], list[Any]]:
    """Examples to learn from, and held-out ones."""
    from candor.data.conversations import encode
    from candor.data.embedded_chats import embedded_chats

    rows = [c for name in ("chitchat", "facts") for _, c in embedded_chats(name, 1500, seed)]
    found = [example for row in rows if len((example := encode(row, tokenizer)).token_ids) <= 512]
    return [e for i, e in enumerate(found) if i % 20], found[::20][:96]


def ends_only(examples: list[Any], end: int) -> list[Any]:
    """The same examples with loss on the end token alone."""
    from candor.data.conversations import Example

    return [
        Example(e.token_ids, tuple(s and t == end for t, s in zip(e.token_ids, e.supervised, strict=True)))
        for e in examples
    ]


def loss_of(model: Any, tokenizer: Any, examples: list[Any]) -> float:
    """Mean over the supervised tokens."""
    from candor.chat.measure import losses
    from candor.data.encoded import Encoded
    from candor.engine.local import LocalEngine

    costs = losses(LocalEngine(model, tokenizer), Encoded(examples, list(range(len(examples)))))
    return float(costs.nats.sum() / costs.tokens.sum())


def unprompted(model: Any, tokenizer: Any, new: set[int], seed: int) -> float:
    """Share of raw continuations in which a new token is drawn."""
    from candor.engine.local import LocalEngine
    from candor.engine.protocol import Sampling

    engine = LocalEngine(model, tokenizer)
    sampling = Sampling(max_tokens=64, temperature=1.0, n=32, seed=seed)
    made = [c for result in engine.generate(list(_PROSE), sampling) for c in result.completions]
    return sum(bool(new & set(completion.token_ids)) for completion in made) / len(made)


def ended(model: Any, tokenizer: Any, seed: int) -> float:
    """Share of replies of at most 64 tokens that end by themselves."""
    from candor.engine.local import LocalEngine
    from candor.engine.protocol import Sampling

    asked = ["Hi! How are you?", "What is the capital of France?", "What do you like to eat?", "Who are you?"]
    prompts: Any = [[{"role": "user", "content": text}] for text in asked]
    engine = LocalEngine(model, tokenizer)
    made = engine.generate(prompts, Sampling(max_tokens=64, temperature=0.8, n=16, seed=seed))
    replies = [completion for result in made for completion in result.completions]
    return sum(reply.finish_reason == "stop" for reply in replies) / len(replies)


def one(base: Any, base_tokenizer: Any, init: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Everything about one kind of first values."""
    from candor.chat.template import chat_format
    from candor.model.tokens import add_tokens, end_with
    from candor.train.loop import fit
    from candor.train.settings import TrainSettings

    model, tokenizer = deepcopy(base), deepcopy(base_tokenizer)
    form = chat_format("chatml", tokenizer)
    added = add_tokens(model, tokenizer, form.tokens, init=init, seed=seed)  # type: ignore[arg-type]
    if not added.fresh:
        raise SystemExit("this model has the tokens already: name a base model without them")
    tokenizer.chat_template = form.template
    end_with(model, tokenizer, form.end)
    train, held_out = encoded(tokenizer, seed)
    only_ends = ends_only(held_out, added.fresh[form.end])
    new = set(added.fresh.values())
    row: dict[str, Any] = {"init": init, "seed": seed}
    row["emitted before"] = unprompted(model, tokenizer, new, seed)
    row["ends before"] = loss_of(model, tokenizer, only_ends)
    settings = TrainSettings(
        learning_rate=options.rate, epochs=9, max_steps=100, batch_tokens=4096, micro_batch_tokens=4096,
        schedule="constant", seed=seed,
    )  # fmt: skip
    result = fit(model, train, settings, pad_id=0, evaluate=held_out)
    losses = dict(result.validation)
    row |= {f"loss {step}": losses[step] for step in (0, 10, 100)}
    row["ends after"] = loss_of(model, tokenizer, only_ends)
    row["emitted after"] = unprompted(model, tokenizer, new, seed)
    row["replies ended"] = ended(model, tokenizer, seed)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="a base model")
    parser.add_argument("--rate", type=float, default=3e-4, help="learning rate")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write all numbers here (JSON)")
    options = parser.parse_args()
    from candor.model.load import load_model, load_tokenizer
    from candor.model.tokens import INITS

    base, tokenizer = load_model(options.model, device="cpu"), load_tokenizer(options.model)
    rows = []
    columns = (
        "init", "seed", "loss 0", "loss 10", "loss 100", "ends before", "ends after",
        "emitted before", "emitted after", "replies ended",
    )  # fmt: skip
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for seed in range(options.seeds):
        for init in INITS:
            row = one(base, tokenizer, init, seed, options)
            rows.append(row)
            cells = [f"{row[c]:.3f}" if isinstance(row[c], float) else str(row[c]) for c in columns]
            print(f"| {' | '.join(cells)} |", flush=True)
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
