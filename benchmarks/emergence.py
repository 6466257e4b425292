"""Chain of thought that emerges in RL, point by point: seeds, shares of demonstrations, lengths, controls.

    python benchmarks/emergence.py --out runs/emergence                    # three seeds of the main job
    python benchmarks/emergence.py --out runs/emergence --suite shares     # 1, 2, 5, 10, 20 % demonstrations
    python benchmarks/emergence.py --out runs/emergence --suite schooled   # few of them, more updates
    python benchmarks/emergence.py --out runs/emergence --suite lengths    # 6, 12, 18 digits
    python benchmarks/emergence.py --out runs/emergence --suite tasks      # cups, parity
    python benchmarks/emergence.py --out runs/emergence --suite longer     # RL on longer sums than were shown
    python benchmarks/emergence.py --out runs/emergence --suite controls   # SFT, no steps seen, length reward
    python benchmarks/emergence.py --out runs/emergence --show             # the tables, and nothing else

Each point pretrains a model (kept in --out, so that controls start from the same one), trains it by RL or as
the control says, and asks 256 held-out questions 64 times before and after. Points in results.json are left
out: a run can be stopped and goes on.

Controls: `sft` goes on with pretraining's mixture for as many seconds as RL took; `no-steps` is RL on a model
whose pretraining had no demonstration; `length` rewards tokens instead of right answers.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

Point = dict[str, Any]
_MAIN: Point = {"task": "digit-sum:12", "practice": None, "share": 0.1, "updates": 600, "arm": "rl"}
_SHARES = (0.01, 0.02, 0.05, 0.1, 0.2)
SUITES: dict[str, list[Point]] = {
    "main": [_MAIN],
    "shares": [{**_MAIN, "share": share} for share in _SHARES],
    "schooled": [{**_MAIN, "share": s, "updates": n} for s, n in ((0.05, 1200), (0.02, 2400), (0.01, 4800))],
    "lengths": [{**_MAIN, "task": f"digit-sum:{digits}"} for digits in (6, 12, 18)],
    "tasks": [{**_MAIN, "task": name} for name in ("cups:12", "parity:24")],
    # Of 600 updates on lengths from 6 to 12 the steps come out no better than a guess.
    "longer": [{**_MAIN, "task": "digit-sum:6-12", "practice": "digit-sum:6-16", "updates": 2000}],
    "controls": [{**_MAIN, "arm": "sft"}, {**_MAIN, "share": 0.0, "arm": "rl"}, {**_MAIN, "arm": "length"}],
}
_SEEDS = {"main": 3}


def settings_of(point: Point, overrides: list[str]) -> Any:
    """The recipe of one point."""
    from candor.core.recipe import read_recipe
    from candor.reasoning.scratch.recipe import EmergeRecipe

    options = {
        "task": point["task"],
        "practice": point["practice"],
        "mixture.demonstrations": point["share"],
        "pretrain.updates": point["updates"],
        "mixture.lessons": 40_000 * point["updates"] // 600,
        "seed": point["seed"],
    }
    return read_recipe(EmergeRecipe, None, overrides, options)


def base_of(subject: Any, point: Point, folder: Path) -> tuple[Any, dict[str, Any]]:
    """The pretrained model and what it took, made now or earlier."""
    from candor.core.files import read_json, write_json
    from candor.model.load import load_model, save_checkpoint
    from candor.reasoning.scratch.emerge import asked, pretrained

    name = f"{point['task'].replace(':', '-')}-{point['share']:g}-{point['updates']}-{point['seed']}"
    notes = folder / "bases" / f"{name}.json"
    checkpoint = folder / "bases" / name
    if not notes.exists():
        began = time.monotonic()
        model = pretrained(subject)
        facts = {"seconds": time.monotonic() - began, "updates": subject.recipe.pretrain.updates}
        save_checkpoint(model, subject.tokenizer, checkpoint)
        write_json(notes, facts)
    facts = read_json(notes)
    model = load_model(str(checkpoint), dtype="auto", device="cpu")
    return model, {**facts, "asked": asked(subject, model)}


def measured(point: Point, rows: list[dict[str, Any]], options: argparse.Namespace) -> dict[str, Any]:
    """One point: before, what happened, after."""
    from candor.reasoning.scratch.emerge import Subject, asked, pretrained, reinforced
    from candor.rl.reward import rewards_of

    subject = Subject(settings_of(point, options.set))
    model, base = base_of(subject, point, options.out)
    began = time.monotonic()
    history: list[dict[str, Any]] = []
    if point["arm"] == "sft":
        twin = next((row for row in rows if row["point"] == {**point, "arm": "rl"}), None)
        if twin is None:
            raise SystemExit("the control sft needs its twin first: run --suite main")
        updates = round(base["updates"] * twin["seconds"] / base["seconds"])
        pretrained(subject, start=model, updates=updates)
    else:
        reward = rewards_of(["length"]) if point["arm"] == "length" else None
        history = [asdict(step) for step in reinforced(subject, model, reward=reward)]
    seconds = time.monotonic() - began
    return {
        "point": point,
        "questions": len(subject.asked),
        "demonstration": max(len(subject.way.written(problem)) + 1 for problem in subject.asked),
        "pretraining_seconds": base["seconds"],
        "seconds": seconds,
        "before": base["asked"],
        "after": asked(subject, model),
        "history": history,
    }


_COLUMNS = ("accuracy", "greedy_accuracy", "at_once", "reasoned", "tokens", "beyond")


def shown(row: dict[str, Any]) -> str:
    """A line of the table: before → after."""
    point = row["point"]
    cells = [f"{row['before'][name]['value']:.3g} → {row['after'][name]['value']:.3g}" for name in _COLUMNS]
    passes = [f"{row[when]['pass']['64']['value']:.3g}" for when in ("before", "after")]
    onset = next((step["step"] for step in row["history"] if step["reasoned"] >= 0.5), None)
    task = point["task"] + (f" / {point['practice']}" if point["practice"] else "")
    named = f"| {point['arm']} | {task} | {point['share']:.0%} | {point['seed']} "
    return (
        f"{named}| {' | '.join(cells)} | {' → '.join(passes)} | {onset or '–'} "
        f"| {row['pretraining_seconds']:.0f} + {row['seconds']:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of results.json and of base models")
    parser.add_argument("--suite", default="main", choices=SUITES)
    parser.add_argument("--seeds", type=int, help="default: 3 of main, else 1")
    parser.add_argument("--set", action="append", default=[], help="override the recipe, in all points")
    parser.add_argument("--show", action="store_true", help="print what is there")
    options = parser.parse_args()
    from candor.core.files import read_json, write_json

    results = options.out / "results.json"
    rows: list[dict[str, Any]] = read_json(results) if results.exists() else []
    columns = ("arm", "task", "shown", "seed", *_COLUMNS, "pass@64", "half at step", "seconds")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    if options.show:
        print("\n".join(map(shown, rows)))
        return
    for seed in range(options.seeds or _SEEDS.get(options.suite, 1)):
        for point in SUITES[options.suite]:
            seeded = {**point, "seed": seed}
            row = next((row for row in rows if row["point"] == seeded), None)
            if row is None:
                row = measured(seeded, rows, options)
                rows.append(row)
                write_json(results, rows)
            print(shown(row), flush=True)


if __name__ == "__main__":
    main()
