"""How often are verdicts of `candor audit` wrong, and how often does its calibration's limit hold?

    python benchmarks/audit.py verdicts --runs 400 --out verdicts.json
    python benchmarks/audit.py limits --runs 600 --out limits.json
    python benchmarks/audit.py log --family three --strength 1.6 --gold --out log.jsonl  # one to try it on

Verdicts: bandits of `candor.rewards.audit.simulate`, of which everything is known exactly, with logs drawn
from them; 50 prompts × 4 completions of each side and 100 × 8, labels on 50 × 4 of the reference's, with and
without labels on the policy's. The policy's strength is drawn anew each time. False are HACKING where the
true gain is not below 0, and NOT HACKING where it is below; in the family `edge` it is 0 and both are false.

Limits: proxy = gold + a number for each prompt + error, of several shapes, 20 to 100 prompts with 2 to 8
completions; how often the truth is on the right side of a one-sided limit of 95 %. `weight` is λ as the
regulariser takes it (`Calibration.weight_high`), σ̃ being that of the labelled completions alone; with `drawn`
it is that of 800 × 4 others. How often it is at least sd(e), and what share of sd(e) it has in all but one of
twenty.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

STRENGTHS = (0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0)
SIZES = ((20, 2), (20, 4), (20, 8), (50, 4), (100, 2), (100, 8))
SHAPES = ("normal", "weak", "skewed", "heavy", "uneven", "binary gold", "rare gold", "both binary")


def verdicts(family: str, prompts: int, samples: int, gold: bool, runs: int) -> dict[str, Any]:
    """One row: states by truth, false ones, and how often intervals held the truth."""
    from candor.rewards.audit import audit
    from candor.rewards.audit.simulate import bandits, logged

    states: Counter[str] = Counter()
    false: Counter[str] = Counter()
    held = np.zeros(4)
    for run in range(runs):
        random = np.random.default_rng([run, prompts, gold])
        made = bandits(family, prompts, float(random.choice(STRENGTHS)), random)
        found = audit(logged(made, random, samples=samples, gold_on_policy=gold), seed=run)
        true, measured = made.gold_gain, found.measured
        edge = family == "edge"
        states[found.state] += 1
        false["hacking"] += found.state == "HACKING" and (edge or true >= 0)
        false["not hacking"] += found.state == "NOT HACKING" and (edge or true < 0)
        false["certified"] += found.certified and (edge or true < 0)
        proxy, gains = measured.proxy_gain, measured.gold_gain
        held += [
            measured.distance.chi2.high >= made.chi2,
            proxy.low <= made.proxy_gain <= proxy.high,
            gains is None or (gains.low <= true + 1e-9 and gains.high >= true - 1e-9),
            found.bounds is None or found.bounds.residual_low <= true + 1e-9,
        ]
    names = ("chi2_high", "proxy_gain", "gold_gain", "residual_bound")
    return {
        "family": family, "prompts": prompts, "samples": samples, "gold_on_policy": gold, "runs": runs,
        "states": dict(states),
        "false": {name: false[name] for name in ("hacking", "not hacking", "certified")},
        "held": {name: round(float(share) / runs, 4) for name, share in zip(names, held, strict=True)},
    }  # fmt: skip


def labelled(shape: str, prompts: int, each: int, random: np.random.Generator) -> tuple[Any, Any]:
    """Gold and proxy, [prompts, each]; the slope is 1 but for `both binary`."""
    size = (prompts, each)
    gold = random.normal(size=size) + random.normal(size=(prompts, 1))
    error = random.normal(size=size)
    if shape == "weak":  # r = .32 within prompts, as of a reward model of few pairs
        error *= 3
    elif shape == "skewed":
        error = random.exponential(size=size) - 1
    elif shape == "heavy":
        error = random.standard_t(5, size=size)
    elif shape == "uneven":
        error = error * np.exp(0.6 * random.normal(size=(prompts, 1)))
    elif shape in ("binary gold", "both binary"):
        gold = (random.random(size) < 1 / (1 + np.exp(-random.normal(size=(prompts, 1))))).astype(float)
    elif shape == "rare gold":
        gold = (random.random(size) < 0.1).astype(float)
    if shape == "both binary":
        return gold, np.where(random.random(size) < 0.2, 1 - gold, gold)
    return gold, gold + random.normal(size=(prompts, 1)) + error


def limits(shape: str, runs: int) -> list[dict[str, Any]]:
    """Rows of one shape; the truth is that of a very large sample."""
    from candor.core.errors import InputError
    from candor.rewards.calibration import calibrate

    gold, proxy = labelled(shape, 300_000, 8, np.random.default_rng(9))
    true = calibrate(proxy.ravel(), gold.ravel(), np.repeat(np.arange(300_000), 8), replicates=2)
    rows = []
    for prompts, each in SIZES:
        random, held, refused = np.random.default_rng(11), np.zeros(6), 0
        wide, weights = [], {"alone": list[float](), "drawn": list[float]()}
        for _ in range(runs):
            gold, proxy = labelled(shape, prompts, each, random)
            _, others = labelled(shape, 800, 4, random)
            drawn = others.ravel(), np.repeat(np.arange(800), 4)
            try:
                found = calibrate(
                    proxy.ravel(), gold.ravel(), np.repeat(np.arange(prompts), each), drawn=drawn
                )
            except InputError:
                refused += 1
                continue
            wide.append(found.residual_sd_high / true.residual_sd)
            for name, one in (("drawn", found), ("alone", replace(found, sd_proxy_all=found.sd_proxy))):
                weights[name].append(one.weight_high / true.residual_sd)
            held += [
                found.residual_sd_high >= true.residual_sd,
                found.r_low <= true.r,
                found.r_overall_low <= true.r_overall,
                found.slope_low <= true.slope,
                weights["alone"][-1] >= 1,
                weights["drawn"][-1] >= 1,
            ]
        shares = np.round(held / max(1, runs - refused), 4).tolist()
        names = ("residual_sd", "r", "r_overall", "slope", "weight", "weight, drawn")
        rows.append(
            {"shape": shape, "prompts": prompts, "each": each, "runs": runs, "refused": refused}
            | dict(zip(names, shares, strict=True))
            | {"limit_over_truth": round(float(np.median(wide)), 3)}
            | {
                f"weight_over_truth_in_95, {name}": round(float(np.quantile(values, 0.05)), 3)
                for name, values in weights.items()
            }
        )
    return rows


def main() -> None:
    from candor.core.files import write_json
    from candor.core.run import machine

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("verdicts", "limits", "log"))
    parser.add_argument("--family", default="wide")
    parser.add_argument("--strength", type=float, default=0.3, help="how far the policy went")
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--gold", action="store_true", help="gold on the policy's completions, too")
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    if options.what == "log":
        from candor.core.files import write_jsonl
        from candor.rewards.audit.simulate import bandits, entries, logged

        random = np.random.default_rng(0)
        made = bandits(options.family, options.prompts, options.strength, random)
        log = logged(
            made, random, samples=options.samples, labelled=(options.prompts, 4), gold_on_policy=options.gold
        )
        write_jsonl(options.out, entries(log))
        print(f"true gain {made.gold_gain:.3f}, by the proxy {made.proxy_gain:.3f}, χ² {made.chi2:.3f}")
        return
    if options.what == "limits":
        for shape in SHAPES:
            rows += limits(shape, options.runs)
            print(*rows[-len(SIZES) :], sep="\n", flush=True)
    else:
        from candor.rewards.audit.simulate import FAMILIES

        for family in FAMILIES:
            for prompts, samples in ((50, 4), (100, 8)):
                for gold in (False, True):
                    rows.append(verdicts(family, prompts, samples, gold, options.runs))
                    print(rows[-1], flush=True)
    write_json(options.out, {"machine": machine(), "rows": rows})


if __name__ == "__main__":
    main()
