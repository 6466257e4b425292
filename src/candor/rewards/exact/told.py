"""What the laboratories found, as tables of text and sentences: for the terminal and for the page."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_BANDIT_NAMES = {
    "reference": "reference",
    "none": "no penalty",
    "chi2": "√χ², theory's λ",
    "max-min": "max-min, theory",
    "kl, hindsight": "KL, best β with hindsight",
    "chi2, hindsight": "√χ², best λ with hindsight",
}
_TOMATO_NAMES = {
    "reference": "reference",
    "none": "no penalty",
    "chi2, theory": "√χ² of occupancies, theory's λ",
    "max-min, theory": "max-min of occupancies, theory",
    "chi2, hindsight": "√χ² of occupancies, best with hindsight",
    "kl, hindsight": "KL of occupancies, best with hindsight",
    "action chi2, theory": "√χ² of actions, theory's λ",
    "action chi2, hindsight": "√χ² of actions, best with hindsight",
    "action kl, hindsight": "KL of actions, best with hindsight",
    "best possible": "best possible, by the true reward",
}


@dataclass(frozen=True)
class Told:
    """One laboratory in words.

    Attributes:
        headline: the result.
        tables: title, column names and rows of text; the first column is a name.
        sentences: what is to be seen in them.
    """

    headline: str
    tables: list[tuple[str, list[str], list[list[str]]]]
    sentences: list[str]


def told(lab: str, found: dict[str, Any]) -> Told:
    """A laboratory's result ("bandit", "tomato" or "enumerated") in words."""
    plain = _LABS[lab](found)
    tables = [
        (title, columns, [[_set(text) for text in row] for row in rows])
        for title, columns, rows in plain.tables
    ]
    return Told(_set(plain.headline), tables, [_set(text) for text in plain.sentences])


def _set(text: str) -> str:
    """Numbers as they are set: a minus in front, powers of ten as such."""
    text = re.sub(r"(?<![\w.)])-(?=\d)", "−", text).replace(" - ", " − ")
    return re.sub(r"(\d)e([+-])0*(\d+)", _power, text)


def _power(found: re.Match[str]) -> str:
    sign = "⁻" if found[2] == "-" else ""
    return f"{found[1]}·10{sign}{found[3].translate(_RAISED)}"


def _bandit(found: dict[str, Any]) -> Told:
    arms, families = found["three_arms"], found["families"]
    methods = arms["methods"]
    three = [
        [
            _BANDIT_NAMES[name],
            ", ".join(f"{p:.3f}" for p in row["policy"]),
            f"{row['true']:.3f}",
            f"{row['proxy']:.3f}",
            *_bounds(row),
        ]
        for name, row in methods.items()
    ]
    gains = [
        [family["family"], *(_interval(family["true_gain"][name]) for name in family["true_gain"])]
        for family in families
    ]
    counts = [
        [
            family["family"],
            f"{family['mean_r']:.2f}",
            _share(family["hacked_without"]),
            f"{family['chi2_above_reference']} of {family['settings']}",
            f"{family['max_min_above_reference']} of {family['settings']}",
            _share(family["chi2_at_least_kl"]),
            f"{family['bounds_held']} of {family['bounds_looked_at']}",
        ]
        for family in families
    ]
    total = sum(family["settings"] for family in families)
    above = sum(family["chi2_above_reference"] for family in families)
    won = [family["family"] for family in families if _mean(family, "chi2") > _mean(family, "kl, hindsight")]
    lost = [family["family"] for family in families if family["family"] not in won]
    chi2, kl = methods["chi2"], methods["kl, hindsight"]
    return Told(
        f"√χ² at the theory’s λ ends above the reference in {above} of {total} random bandits.",
        [
            (
                f"Three arms, r = {arms['r']:.3f}, λ = {arms['weight_of_theory']:.3f}",
                ["", "policy", "true", "proxy", "χ²", "true gain, σ", "max-min bound", "theorem"],
                three,
            ),
            (
                "Random families: true gain in σ, mean (95 %)",
                ["family", *(_BANDIT_NAMES[name] for name in families[0]["true_gain"])],
                gains,
            ),
            (
                "Random families: in how many",
                ["family", "mean r", "hacked without penalty", "√χ² above reference", "max-min above",
                 "√χ² ≥ KL with hindsight", "bounds hold, in order"],
                counts,
            ),
        ],
        [
            f"three arms: √χ² reaches a true reward of {chi2['true']:.3f}, and KL {kl['true']:.3f} at the β "
            "that suits it best; to avoid the third arm, KL has to avoid the second",
            f"the mean gain is higher for KL with hindsight in: {', '.join(lost) or 'no family'}; for √χ² at "
            f"the theory's λ, without hindsight, in: {', '.join(won) or 'no family'}",
            "where nothing is to be feared, a guarantee costs: compare with √χ² at its best λ",
        ],
    )  # fmt: skip


def _tomato(found: dict[str, Any]) -> Told:
    facts, methods = found["facts"], found["methods"]
    rows = [
        [
            _TOMATO_NAMES[name],
            f"{methods[name]['true_return']:.2f}",
            f"{methods[name]['proxy_return']:.2f}",
            f"{100 * methods[name]['on_bucket']:.0f} %",
            f"{methods[name]['chi2']:.3g}",
            f"{methods[name]['kappa']:.3f}",
            f"{methods[name]['true_gain']:+.3f}",
            f"{methods[name]['max_min']:+.3f}",
        ]
        for name in _TOMATO_NAMES
    ]
    others = [
        [
            f"{row['reference']:.1f}",
            f"{row['r']:.3f}",
            f"{row['needed_kappa']:.3f}",
            f"{row['largest_kappa']:.3f}",
            *(f"{row[name]:.2f}" for name in ("chi2", "max_min", "kl_hindsight", "action_chi2")),
        ]
        for row in found["other_references"]
    ]
    gaps = [row["gap"] for row in (*methods.values(), *found["other_references"]) if "gap" in row]
    reference, theory = methods["reference"], methods["chi2, theory"]
    return Told(
        f"√χ² of occupancies at the theory’s λ earns a true reward of {theory['true_return']:.2f} an "
        f"episode, where the reference earns {reference['true_return']:.2f}.",
        [
            (
                f"Tomato garden, {facts['states']} states: r = {facts['r']:.3f}, "
                f"λ = {facts['weight_of_theory']:.4f}",
                ["", "true an episode", "proxy", "on the bucket", "χ²", "κ", "true gain, σ", "max-min bound"],
                rows,
            ),
            (
                "Other reference policies: true reward an episode",
                [
                    "reference",
                    "r",
                    "κ needed",
                    "κ possible",
                    "√χ², theory",
                    "max-min",
                    "KL, hindsight",
                    "√χ² of actions",
                ],
                others,
            ),
        ],
        [
            f"a policy is certified from κ = {facts['needed_kappa']:.3f} on; the largest that any policy has "
            f"here is {facts['largest_kappa']:.3f} (in a bandit it is 1)",
            "where the κ possible is below the κ needed, √χ² at the theory's λ stays at the reference",
            "the same λ on action distributions, state by state, does not keep the robot off the bucket",
            f"all are optima: none is further from the best of its kind than {max(gaps):.0e} (reward a step)",
        ],
    )


def _enumerated(found: dict[str, Any]) -> Told:
    facts, runs = found["facts"], found["runs"]
    claims = [
        [claim["says"], _difference(claim["difference"]), "same" if claim["same"] else "not the same",
         "holds" if claim["holds"] else "FAILS"]
        for claim in found["claims"]
    ]  # fmt: skip
    trained = [
        [_arm(name), f"{end['true']:.2f}", f"{end['proxy']:.2f}", f"{end['chi2']:.3g}",
         f"{end['chi2_estimate']:.3g}", f"{end['true_gain']:+.2f}", f"{end['max_min']:+.2f}",
         "hacked" if end["hacked"] else "certified" if end["certified"] else ""]
        for name, end in ((name, history[-1]) for name, history in runs.items())
    ]  # fmt: skip
    estimators = [
        [
            f"{row['policy']}: {row['estimator']}",
            f"{row['chi2']:.3g}",
            f"{row['mean']:.3g}",
            f"{row['sd']:.2g}",
        ]
        for row in found["estimators"]
    ]
    tokens = [[row["policy"], f"{row['chi2']:.3g}", f"{row['by_token']:.3g}"] for row in found["tokens"]]
    best_of = [
        [str(row["n"]), f"{row['continuous']:.3f}", f"{row['chi2']:.3f}", f"{row['true_gain']:+.2f}",
         f"{row['max_min']:+.2f}"]
        for row in found["best_of"]
    ]  # fmt: skip
    chi2, none, best = runs["chi2"][-1], runs["none"][-1], found["optima"]["chi2"]
    hacked = [_arm(name) for name, history in runs.items() if history[-1]["hacked"]]
    return Told(
        f"Trained from samples, √χ² at the theory’s λ ends at a true reward of {chi2['true']:.2f}; without a "
        f"penalty it ends at {none['true']:.2f}, from {facts['reference_true']:.2f}.",
        [
            (
                "Gradients over all 4,096 completions: is that of … the gradient of …?",
                ["", "difference", "claimed", "found"],
                claims,
            ),
            (
                f"Trained for {facts['steps']} steps of {facts['samples']} samples; everything else is exact",
                ["", "true", "proxy", "χ²", "its estimate", "true gain, σ", "max-min bound", "verdict"],
                trained,
            ),
            (
                f"Estimators of χ² from {facts['samples']} completions",
                ["", "χ²", "mean", "standard deviation"],
                estimators,
            ),
            ("χ² of completions, and the sum of tokens' χ²", ["", "completions", "tokens, summed"], tokens),
            (
                "Best of n draws by the proxy",
                ["n", "χ², continuous reward", "χ² here, with ties", "true gain, σ", "max-min bound"],
                best_of,
            ),
        ],
        [
            f"hacked, by the definition: {', '.join(hacked) or 'nothing'}",
            f"√χ² over all distributions, in closed form, has a true reward of {best['true']:.2f} and a χ² "
            f"of {best['chi2']:.2f}; this model, whose parameters are shared, ends at {chi2['true']:.2f} and "
            f"{chi2['chi2']:.2f}",
            "a Monte-Carlo estimate of χ² in the loss regularises, too, by another divergence: near the "
            "reference it is nearly the same, further away half of it",
        ],
    )


_LABS: dict[str, Callable[[dict[str, Any]], Told]] = {
    "bandit": _bandit,
    "tomato": _tomato,
    "enumerated": _enumerated,
}


def _difference(value: float) -> str:
    return f"{value:.2f}" if value >= 0.01 else f"{value:.1e}"


def _bounds(row: dict[str, Any]) -> list[str]:
    return [
        f"{row['chi2']:.3g}",
        # Rounded first: what is below 0 by rounding alone is not -0.000.
        *(f"{round(row[name], 3) + 0.0:+.3f}" for name in ("true_gain", "max_min", "theorem")),
    ]


def _arm(name: str) -> str:
    plain = {"none": "no penalty", "chi2": "√χ²", "chi2 in the loss": "√χ² in the loss"}
    return {**plain, "chi2 by token": "√χ² by token"}.get(name, name.replace("kl,", "KL,"))


def _share(estimate: dict[str, Any]) -> str:
    text = f"{100 * estimate['value']:.0f} %"
    if estimate["low"] is not None:
        text += f" ({100 * estimate['low']:.0f}–{100 * estimate['high']:.0f})"
    return text


def _interval(estimate: dict[str, Any]) -> str:
    if estimate["low"] is None:
        return f"{estimate['value']:+.2f}"
    return f"{estimate['value']:+.2f} ({estimate['low']:+.2f} to {estimate['high']:+.2f})"


def _mean(family: dict[str, Any], method: str) -> float:
    return family["true_gain"][method]["value"]
