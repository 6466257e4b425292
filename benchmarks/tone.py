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
whether its doubt goes with its being wrong, on facts alone: the share of hedged answers among those that are
right and those that are wrong (refusals, which are never right, left out); and, as a tone may change an
answer too, the share of doubted questions (refused or hedged) among those that the *base* got right and
wrong. Both over all and within kinds of fact: that capitals are harder than continents can be learned from
the data without knowing anything about itself. Intervals go by the thing that is asked about; differences are
paired by question and seed.
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


def gap(doubt: np.ndarray, good: np.ndarray, counted: np.ndarray, kinds: np.ndarray) -> float | None:
    """Share of doubt among the counted that are not good minus that among the good: the mean within kinds."""
    total = weight = 0.0
    for kind in np.unique(kinds):
        some = counted & (kinds == kind)
        well, ill = doubt[some & good], doubt[some & ~good]
        if len(well) and len(ill):
            share = len(well) * len(ill) / (len(well) + len(ill))
            total += share * (ill.mean() - well.mean())
            weight += share
    return total / weight if weight else None


def report(rows: dict[str, list[Any]], facts: dict[str, list[Any]]) -> None:
    """Tables of the eighty questions, and of the facts."""
    from candor.chat.tone_measure import ALL, MEASURES, tone_differences, tone_rates

    arms = ["base", *ARMS]
    rates = {arm: tone_rates(rows[arm]) for arm in arms}
    moved = tone_differences(rows["sure"], rows["honest"])
    print(f"\n| eighty questions | {' | '.join(arms)} | honest − sure |\n|{'---|' * (len(arms) + 2)}")
    for level in rates["base"]:
        for measure in MEASURES if level == ALL else ("unsure",):
            cells = [shown(rates[arm][level][measure]) for arm in arms]
            print(f"| {level}: {measure} | {' | '.join(cells)} | {shown(moved[level][measure], sign=True)} |")
    knew = {bare(row.id): row.right for row in facts["base"]}
    columns = {arm: column(facts[arm], knew) for arm in arms}
    print(f"\n| held-out facts | {' | '.join(arms)} | honest − dealt |\n|{'---|' * (len(arms) + 2)}")
    for name in ("right", "refused", "hedged"):
        print_shares(name, columns, name)
    print_doubt("answers given that are hedged", columns, doubt="hedged", good="right", counted="given")
    print_doubt(
        "refused or hedged, by what the base knew", columns, doubt="unsure", good="knew", counted="all"
    )


def bare(identity: str) -> str:
    """A question's id without the seed."""
    return identity.rpartition(" seed ")[0]


def column(rows: Sequence[Any], knew: dict[str, bool]) -> dict[str, np.ndarray]:
    """Rows as columns; `knew` is whether the base was right."""
    flags = {kind: np.array([row.is_so(kind) for row in rows]) for kind in ("refused", "hedged", "unsure")}
    return {
        **flags,
        "right": np.array([row.right for row in rows]),
        "given": ~flags["refused"],
        "all": np.ones(len(rows), bool),
        "knew": np.array([knew[bare(row.id)] for row in rows]),
        "kind": np.array([row.level for row in rows]),
        "document": np.array([row.document for row in rows]),
    }


def print_shares(name: str, columns: dict[str, Any], of: str, some: str = "all", but: str = "") -> None:
    """A row of shares among some, or among those but some others."""
    from candor.core.statistics import paired_difference, proportion

    cells = []
    for c in columns.values():
        among = c[some] & ~c[but] if but else c[some]
        found = proportion(c[of][among], c["document"][among] if among.any() else None)
        cells.append(f"{shown(found)} of {found.n}" if some != "all" or but else shown(found))
    honest, dealt = columns["honest"], columns["dealt"]
    moved = ""
    if some == "all" and not but:
        moved = shown(paired_difference(honest[of], dealt[of], honest["document"]), sign=True)
    print(f"| {name} | {' | '.join(cells)} | {moved} |")


def print_doubt(name: str, columns: dict[str, Any], *, doubt: str, good: str, counted: str) -> None:
    """Rows about where doubt is said: among the good, among the rest, and the difference."""
    from candor.core.statistics import bootstrap

    for arm in columns.values():
        arm["well"] = arm[counted] & arm[good]
    words = {"right": ("right ones", "wrong ones"), "knew": ("it was right", "it was wrong")}[good]
    print_shares(f"{name}: {words[0]}", columns, doubt, "well")
    print_shares(f"{name}: {words[1]}", columns, doubt, counted, but=good)
    for label, kinds in (("difference", False), ("difference within kinds of fact", True)):

        def given(arm: str, kinds: bool = kinds) -> list[np.ndarray]:
            c = columns[arm]
            return [c[doubt], c[good], c[counted], c["kind"] if kinds else np.zeros(len(c["kind"]))]

        def between(*both: np.ndarray) -> float | None:
            first, second = gap(*both[:4]), gap(*both[4:])
            return None if first is None or second is None else first - second

        cells = [
            shown(bootstrap(gap, *given(arm), clusters=columns[arm]["document"]), sign=True)
            for arm in columns
        ]
        moved = bootstrap(between, *given("honest"), *given("dealt"), clusters=columns["honest"]["document"])
        print(f"| {label} | {' | '.join(cells)} | {shown(moved, sign=True)} |")


def shown(estimate: Any, sign: bool = False) -> str:
    if estimate.value is None:
        return "–"
    plus = "+" if sign else ""
    text = f"{100 * estimate.value:{plus}.0f} %"
    between = " to " if sign else "–"
    if estimate.low is not None:
        text += f" ({100 * estimate.low:{plus}.0f}{between}{100 * estimate.high:{plus}.0f})"
    return text.replace("-", "−")


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
    parser.add_argument("--again", type=Path, help="only show again what --out wrote")
    options = parser.parse_args()
    if options.again:
        from candor.chat.tone_measure import ToneRow

        whole = json.loads(options.again.read_text(encoding="utf-8"))
        tables = [
            {arm: [ToneRow(**row) for row in some] for arm, some in whole[name].items()}
            for name in ("eighty", "facts")
        ]
        return report(*tables)
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
