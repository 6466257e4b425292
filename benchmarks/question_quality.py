"""How good are the questions that Candor writes from Wikipedia passages?

    python benchmarks/question_quality.py --squad squad.jsonl.gz --half final --passages 450

`--squad` is a file of {"title", "context"} rows (SQuAD 2.0 paragraphs, CC BY-SA 4.0; not part of this
repository). Titles are split in two halves under a fixed seed; rules were written on `dev`. Labels come in
rounds: `--seed N` draws the sample of round N, without pairs labelled in earlier rounds. After each round
the kinds of error it showed were mended, so a round measures the rules before those repairs, and labels of
earlier rounds that still belong to a regenerated question are no longer an unbiased sample. Rounds 1 to 7
were labelled by the rules' author, later ones by somebody who saw neither rules nor labels. Prints pairs
per passage, candidates by reason, and for every round the rate as labelled and among regenerated pairs.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import time
from pathlib import Path
from typing import Any

from candor.core.statistics import wilson
from candor.data.types import Chunk
from candor.engine.local import LocalEngine
from candor.knowledge.questions import (
    SHARD,
    QuestionHarvest,
    QuestionSettings,
    deduplicate,
    write_questions_for_shard,
)

JUDGED = ("well_formed", "answerable", "right", "self_contained")
LABELS = Path(__file__).parent / "labels" / "question_quality.jsonl"


def passages(path: Path, half: str, count: int, seed: int) -> list[Chunk]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    titles = sorted({row["title"] for row in rows})
    random.Random(0).shuffle(titles)
    middle = len(titles) // 2
    chosen = set(titles[:middle] if half == "dev" else titles[middle:])
    found = [
        Chunk(
            id=f"{row['title']}/{index}#0",
            document=row["title"],
            title=row["title"],
            text=row["context"],
            start=0,
            end=len(row["context"]),
        )
        for index, row in enumerate(rows)
        if row["title"] in chosen
    ]
    random.Random(seed).shuffle(found)
    return found[:count]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--squad", type=Path, required=True)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--half", choices=["dev", "final"], default="final")
    parser.add_argument("--passages", type=int, default=160)
    parser.add_argument("--sample", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--out", type=Path, help="write the kept and rejected pairs here (JSONL, with no passages)"
    )
    parser.add_argument(
        "--show", action="store_true", help="print the sample with its sentences, for labelling"
    )
    arguments = parser.parse_args()
    chunks = passages(arguments.squad, arguments.half, arguments.passages, arguments.seed)
    engine = LocalEngine.load(arguments.model)
    settings = QuestionSettings()
    start = time.perf_counter()
    harvest = QuestionHarvest()
    for place in range(0, len(chunks), SHARD):
        harvest.add(write_questions_for_shard(engine, chunks[place : place + SHARD], settings))
    harvest = deduplicate(harvest)
    seconds = time.perf_counter() - start
    print(
        f"{len(chunks)} passages ({arguments.half}, seed {arguments.seed}): {harvest.candidates} candidates, "
        f"{len(harvest.kept)} kept = {len(harvest.kept) / len(chunks):.2f} a passage, {seconds:.0f} s"
    )
    for reason, count in harvest.rejected.most_common():
        print(f"  {count:5d} {reason}")
    if arguments.out:
        rows = [{"question": q.question, "answer": q.answers[0], "title": q.document} for q in harvest.kept]
        rows += [
            {"question": r.question, "answer": r.answer, "reason": r.reason, "reply": r.reply}
            for r in harvest.rejected_rows
        ]
        arguments.out.write_text(
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
        )
    texts = {chunk.id: chunk.text for chunk in chunks}
    # Pairs labelled in an earlier round are not drawn again: rules were changed after reading them.
    labelled = {(row["question"], row["answer"]) for row in _labels() if row["round"] < arguments.seed}
    sample = [q for q in harvest.kept if (q.question, q.answers[0]) not in labelled]
    random.Random(arguments.seed).shuffle(sample)
    sample = sample[: arguments.sample]
    if arguments.show:
        for number, q in enumerate(sample):
            assert q.span is not None and q.chunk is not None
            text = texts[q.chunk]
            print(
                f"{number}. {q.question} [{q.answers[0]}] {q.document}\n     … {text[max(0, q.span[0] - 220) : q.span[1] + 220]} …"  # noqa: E501
            )
    _report({(q.question, q.answers[0]) for q in harvest.kept})


def _labels() -> list[dict[str, Any]]:
    if not LABELS.exists():
        return []
    return [json.loads(line) for line in LABELS.read_text(encoding="utf-8").splitlines()]


def _report(regenerated: set[tuple[str, str]]) -> None:
    labels = _labels()
    for number in sorted({row["round"] for row in labels}):
        rows = [row for row in labels if row["round"] == number]
        again = [row for row in rows if (row["question"], row["answer"]) in regenerated]
        print(
            f"round {number}: good {_rate(rows, JUDGED)}, regardless of self_contained {_rate(rows, JUDGED[:3])}; "  # noqa: E501
            f"of those regenerated now {_rate(again, JUDGED)}"
        )
    again = [row for row in labels if (row["question"], row["answer"]) in regenerated]
    print(f"all labels of pairs regenerated now: good {_rate(again, JUDGED)}")


def _rate(rows: list[dict[str, Any]], names: tuple[str, ...]) -> str:
    if not rows:
        return "none"
    hits = sum(all(row[name] for name in names) for row in rows)
    rate = wilson(hits, len(rows))
    return f"{hits}/{len(rows)} = {rate.value:.2f} [{rate.low:.2f}, {rate.high:.2f}]"


if __name__ == "__main__":
    main()
