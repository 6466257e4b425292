"""Does √χ² hold reward hacking off, on every seed? The laboratory of `candor rewards hacking`, seed by seed.

    python benchmarks/hacking.py --out runs/hacking              # five seeds, about seven minutes each
    python benchmarks/hacking.py --out runs/hacking --show       # the tables, and nothing else

Each seed has its own reference, reward models, labels and policies, in a run folder of its own; finished
arms are kept. Gains are in standard deviations of the true reward and of the proxy under the reference, on
held-out questions. "KL, hindsight" is on each seed the weight of KL whose true reward was best, which nobody
could know; "by labels" the one that 200 gold labels of the reference's replies recommend (`foresight`).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def run(folder: Path, seed: int, overrides: list[str]) -> None:
    """One seed, or what is left of it."""
    from candor.core.progress import Reporter
    from candor.core.recipe import read_recipe
    from candor.core.run import Run
    from candor.rewards.hacking.pipeline import HackingRun
    from candor.rewards.hacking.recipe import HackingRecipe

    recipe = read_recipe(HackingRecipe, None, overrides, {"seed": seed})
    HackingRun(Run.start(folder, recipe), Reporter("auto")).complete()


def in_hindsight(arms: dict[str, dict[str, Any]], prefix: str) -> dict[str, Any]:
    """The member of a family with the most true reward."""
    return max(
        (row for name, row in arms.items() if name.partition("=")[0] == prefix),
        key=lambda row: row["after"]["true_gain"],
    )


def by_labels(arms: dict[str, dict[str, Any]], prefix: str) -> dict[str, Any]:
    """The member whose true reward labels of the reference's replies foresee to be the largest, at least."""
    family = [row for name, row in arms.items() if name.partition("=")[0] == prefix]
    lows = [row["after"]["foreseen"]["low"] for row in family]
    return max(zip(family, lows, strict=True), key=lambda one: -float("inf") if one[1] is None else one[1])[0]


def table(seeds: list[dict[str, dict[str, Any]]]) -> str:
    """True gain of each arm on each seed, with the mean of its proxy gain, KL and √χ²."""
    names = list(seeds[0])
    rows: dict[str, list[dict[str, Any]]] = {name: [arms[name] for arms in seeds] for name in names}
    rows["KL, hindsight"] = [in_hindsight(arms, "kl") for arms in seeds]
    rows["√χ², hindsight"] = [in_hindsight(arms, "chi2") for arms in seeds]
    rows["KL, by labels"] = [by_labels(arms, "kl") for arms in seeds]
    rows["√χ², by labels"] = [by_labels(arms, "chi2") for arms in seeds]
    heads = " | ".join(f"seed {place}" for place in range(len(seeds)))
    lines = [
        f"| arm | {heads} | hacked | proxy, mean | √χ², mean |",
        "|---|" + "---|" * (len(seeds) + 3),
    ]
    for name, found in rows.items():
        gains = [row["after"]["true_gain"] for row in found]
        surely = sum((row["after"]["gold_change"]["high"] or 0) < 0 for row in found)
        proxy = sum(row["after"]["proxy_gain"] for row in found) / len(found)
        root = sum(max(0.0, row["after"]["chi2"]) ** 0.5 for row in found) / len(found)
        cells = " | ".join(f"{gain:+.2f}" for gain in gains)
        lines.append(f"| {name} | {cells} | {surely} | {proxy:+.2f} | {root:.3g} |")
    return "\n".join(lines)


def proxies(seeds: list[dict[str, dict[str, Any]]]) -> str:
    """How far the proxy of each seed is to be trusted."""
    from candor.rewards.calibration import Calibration

    lines = ["| seed | r | r, at least | λ/σ̃ | λ/σ̃, at most |", "|---|---|---|---|---|"]
    for seed, arms in enumerate(seeds):
        found = Calibration.of(next(iter(arms.values()))["calibration"])
        shares = (found.weight / found.sd_proxy, found.weight_high / found.sd_proxy)
        lines.append(f"| {seed} | {found.r:.2f} | {found.r_low:.2f} | {shares[0]:.2f} | {shares[1]:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="a run folder for each seed goes here")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], help="KEY=VALUE of the recipe")
    parser.add_argument("--show", action="store_true", help="print the tables of what is there")
    options = parser.parse_args()
    from candor.core.files import read_json

    seeds = []
    for seed in range(options.seeds):
        folder = options.out / f"seed-{seed}"
        if not options.show:
            run(folder, seed, options.set)
        if (folder / "metrics.json").exists():
            seeds.append({row["arm"]: row for row in read_json(folder / "metrics.json")["arms"]})
    print(table(seeds))
    print()
    print(proxies(seeds))


if __name__ == "__main__":
    main()
