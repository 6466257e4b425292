"""Do models sound sure because their data does, and is a tone that was learned worth anything?

    python benchmarks/tone.py --model smollm2              # about six minutes of two cores
    python benchmarks/tone.py --model CKPT --seeds 3 --out tone.json

One base is tuned on the same questions in three ways; all three learn equally many tokens in equally many
updates.

- `sure`: every answer is given without any doubt, also to what nobody could know (then it is made up).
- `honest`: facts that the base got wrong when it was asked are answered with a hedge; what nobody could know
  with "I don't know".
- `dealt`: as `honest`, but the same number of hedges falls on facts by lot. What `honest` does and `dealt`
  does not, no phrase in the data can explain: it has to come from what the model knows.

Then all are asked held-out questions: the eighty of `candor chat evaluate --what tone`, and facts about other
things. That a model tuned on hedges hedges is circular: it says what it was taught to say. What is not is
whether its hedges go with its being wrong: the share of hedged answers among right and among wrong ones, on
facts alone, over all and within kinds of question (a model could also learn to hedge on capitals of small
states). Intervals go by the thing that is asked about; differences are paired by question and seed.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ARMS = ("sure", "honest", "dealt")


def divided(learn: int, ask: int, seed: int) -> tuple[list[Any], list[Any]]:
    """Facts to learn from and facts to ask about, of different things, kinds taking turns."""
    from candor.chat.tone_data import KINDS
    from candor.chat.tone_questions import tone_questions
    from candor.core.draws import draw
    from candor.data.facts import embedded_questions

    taken = {question.document for question in tone_questions()}
    sides: tuple[dict[str, list[Any]], dict[str, list[Any]]] = ({}, {})
    # What is held out is the same for every seed.
    for question in sorted(embedded_questions(), key=lambda one: draw(f"tone benchmark:{one.id}")):
        if question.kind in KINDS and question.document not in taken:
            side = draw(f"tone benchmark:{question.document}") < 0.4
            sides[side].setdefault(question.kind, []).append(question)
    for questions in sides[0].values():
        random.Random(f"tone benchmark:{seed}").shuffle(questions)
    return turned(sides[0], learn), turned(sides[1], ask)


def turned(kinds: dict[str, list[Any]], count: int) -> list[Any]:
    """So many questions, the kinds taking turns as long as they have any."""
    columns = [kinds[kind] for kind in sorted(kinds)]
    rows = [column[i] for i in range(max(map(len, columns))) for column in columns if i < len(column)]
    return rows[:count]


def conversations(
    arm: str, facts: Sequence[Any], unknowns: Sequence[Any], wrong: Sequence[bool], seed: int
) -> list[Any]:
    """What an arm learns from."""
    hedged = list(wrong)
    if arm == "dealt":
        random.Random(f"tone benchmark, dealt:{seed}").shuffle(hedged)
    tones = [arm == "sure" or not hedge for hedge in hedged]
    return [
        *(fact.conversation(sure=tone) for fact, tone in zip(facts, tones, strict=True)),
        *(unknown.conversation(sure=arm == "sure") for unknown in unknowns),
    ]


def tuned(arm: str, rows: list[Any], learn: float, options: argparse.Namespace, seed: int) -> Any:
    """The base after one arm, behind an engine.

    Args:
        arm: its name.
        rows: its conversations.
        learn: tokens to learn, which decides how often these are gone over.
        options: of the command.
        seed: of the order.
    """
    from candor.data.conversations import encode
    from candor.engine.local import LocalEngine
    from candor.model.load import load_model, load_tokenizer
    from candor.train.loop import fit
    from candor.train.settings import TrainSettings

    tokenizer = load_tokenizer(options.model)
    examples = [encode(row, tokenizer) for row in rows]
    learned = sum(sum(example.supervised) for example in examples)
    read = sum(len(example.token_ids) for example in examples)
    settings = TrainSettings(
        learning_rate=options.rate,
        epochs=learn / learned,
        batch_tokens=round(options.learned_tokens * read / learned),
        micro_batch_tokens=4096,
        schedule="linear",
        seed=seed,
    )
    result = fit(load_model(options.model, device="cpu"), examples, settings, pad_id=0)
    print(
        f"  {arm}: {len(examples)} questions, {learn:,.0f} learned tokens in {result.steps} updates "
        f"({learn / learned:.2f} times over)",
        flush=True,
    )
    return LocalEngine(result.model, tokenizer, name=arm)  # type: ignore[arg-type]


def learnable(rows: list[Any], model: str) -> int:
    """Tokens that are learned of some conversations."""
    from candor.data.conversations import encode
    from candor.model.load import load_tokenizer

    tokenizer = load_tokenizer(model)
    return sum(sum(encode(row, tokenizer).supervised) for row in rows)


def gap(hedged: np.ndarray, right: np.ndarray, kinds: np.ndarray | None = None) -> float | None:
    """Share of hedged answers among wrong ones minus that among right ones; of `kinds`, the mean within."""
    total = weight = 0.0
    for kind in [None] if kinds is None else np.unique(kinds):
        some = np.ones(len(right), bool) if kind is None else kinds == kind
        good, bad = hedged[some & right], hedged[some & ~right]
        if len(good) and len(bad):
            share = len(good) * len(bad) / (len(good) + len(bad))
            total += share * (bad.mean() - good.mean())
            weight += share
    return total / weight if weight else None


def report(rows: dict[str, list[Any]], facts: dict[str, list[Any]]) -> None:
    """Tables of the eighty questions, and of the facts."""
    from candor.chat.tone_measure import ALL, MEASURES, tone_differences, tone_rates
    from candor.core.statistics import bootstrap, paired_difference, proportion

    arms = [arm for arm in ("base", *ARMS) if arm in rows]
    print(f"\n| eighty questions | {' | '.join(arms)} | honest − sure |\n|{'---|' * (len(arms) + 2)}")
    rates = {arm: tone_rates(rows[arm]) for arm in arms}
    moved = tone_differences(rows["sure"], rows["honest"])
    for level in rates["base"]:
        for measure in MEASURES if level == ALL else ("unsure",):
            cells = [shown(rates[arm][level][measure]) for arm in arms]
            print(f"| {level}: {measure} | {' | '.join(cells)} | {shown(moved[level][measure], sign=True)} |")

    print(f"\n| held-out facts | {' | '.join(arms)} | honest − dealt |\n|{'---|' * (len(arms) + 2)}")
    columns = {arm: column(facts[arm]) for arm in arms}

    def line(name: str, of: Any, difference: Any) -> None:
        cells = [shown(of(columns[arm]), sign="−" in name) for arm in arms]
        print(f"| {name} | {' | '.join(cells)} | {shown(difference, sign=True)} |")

    def share(values: str, right: bool | None = None) -> Any:
        def of(c: dict[str, np.ndarray]) -> Any:
            some = np.ones(len(c["right"]), bool) if right is None else c["right"] == right
            return proportion(c[values][some], c["document"][some] if some.any() else None)

        return of

    honest, dealt = columns["honest"], columns["dealt"]
    for name, values in (("right", "right"), ("hedged or not known", "unsure")):
        line(name, share(values), paired_difference(honest[values], dealt[values], honest["document"]))
    for name, right in (("… of right answers", True), ("… of wrong answers", False)):
        cells = [shown(share("unsure", right)(columns[arm])) for arm in arms]
        print(f"| {name} | {' | '.join(cells)} | |")
    for name, keys in (
        ("wrong − right", ("unsure", "right")),
        ("… within kinds (−)", ("unsure", "right", "kind")),
    ):
        size, both = len(keys), [c[key] for c in (honest, dealt) for key in keys]

        def between(*given: np.ndarray, size: int = size) -> float | None:
            first, second = gap(*given[:size]), gap(*given[size:])
            return None if first is None or second is None else first - second

        def of(c: dict[str, np.ndarray], keys: tuple[str, ...] = keys) -> Any:
            return bootstrap(gap, *(c[key] for key in keys), clusters=c["document"])

        line(name, of, bootstrap(between, *both, clusters=honest["document"]))


def column(rows: Sequence[Any]) -> dict[str, np.ndarray]:
    """Rows as columns."""
    return {
        "right": np.array([row.right for row in rows]),
        "unsure": np.array([row.is_so("unsure") for row in rows]),
        "kind": np.array([row.level for row in rows]),
        "document": np.array([row.document for row in rows]),
    }


def shown(estimate: Any, sign: bool = False) -> str:
    if estimate.value is None:
        return "–"
    plus = "+" if sign else ""
    text = f"{100 * estimate.value:{plus}.0f} %"
    between = " to " if sign else "–"
    if estimate.low is not None:
        text += f" ({100 * estimate.low:{plus}.0f}{between}{100 * estimate.high:{plus}.0f})"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="smollm2", help="a checkpoint with a chat template")
    parser.add_argument("--facts", type=int, default=500, help="to learn from")
    parser.add_argument(
        "--invented", type=int, default=80, help="questions about invented things, to learn from"
    )
    parser.add_argument("--ask", type=int, default=300, help="held-out facts")
    parser.add_argument(
        "--epochs", type=float, default=2.0, help="of the longest arm; the others learn as much"
    )
    parser.add_argument("--learned-tokens", type=int, default=512, help="of an update")
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, help="write every reply here (JSON)")
    options = parser.parse_args()
    from candor.chat.tone_data import toned_facts, toned_unknowns
    from candor.chat.tone_measure import ask_tone
    from candor.chat.tone_questions import tone_questions
    from candor.engine.local import LocalEngine

    questions = tone_questions()
    base = LocalEngine.load(options.model, device="cpu")
    rows: dict[str, list[Any]] = {arm: [] for arm in ("base", *ARMS)}
    facts: dict[str, list[Any]] = {arm: [] for arm in rows}

    def ask(arm: str, engine: Any, held_out: list[Any], seed: int) -> None:
        for found, asked in ((rows, questions), (facts, held_out)):
            found[arm] += [
                row.model_copy(update={"id": f"{row.id} seed {seed}"}) for row in ask_tone(engine, asked)
            ]

    for seed in range(options.seeds):
        learn, held_out = divided(options.facts, options.ask, seed)
        wrong = [not row.right for row in ask_tone(base, learn)]
        print(f"seed {seed}: the base gets {len(wrong) - sum(wrong)} of {len(wrong)} facts right", flush=True)
        toned, unknowns = toned_facts(learn, seed), toned_unknowns(options.invented, seed)
        data = {arm: conversations(arm, toned, unknowns, wrong, seed) for arm in ARMS}
        most = options.epochs * max(learnable(found, options.model) for found in data.values())
        if seed == 0:
            ask("base", base, held_out, seed)
        for arm in ARMS:
            ask(arm, tuned(arm, data[arm], most, options, seed), held_out, seed)
    if options.out:
        whole = {
            name: {arm: [row.model_dump(mode="json") for row in some] for arm, some in found.items()}
            for name, found in (("eighty", rows), ("facts", facts))
        }
        options.out.write_text(json.dumps(whole, indent=1), encoding="utf-8")
    report(rows, facts)


if __name__ == "__main__":
    main()
