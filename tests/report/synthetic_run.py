"""A made-up knowledge run, with numbers from the project's own statistics over simulated questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from candor.core import statistics as st
from candor.core.files import write_json, write_jsonl, write_text

# What a model or a document may contain to break a page that does not escape it.
NASTY = [
    "</script><script>window.broken = true</script>",
    "<!-- <script> & \"quotes\" 'single' </SCRIPT >",
    "<img src=x onerror='window.broken = true'>",
    "line\u2028separator and \u2029paragraph",
    "https://example.com/tracker.js",
    "مرحبا بالعالم · 你好 · \U0001f600",
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 2,
]
KINDS = ["symbol", "capital", "atomic_number", "population", "discoverer", "currency", "city_country"]
REFUSALS = ["I don't know.", "I'm not sure.", "I don't have that information."]


def write_run(folder: Path, *, questions: int = 420, seed: int = 3) -> Path:
    """Write metrics.json, evaluation/items.jsonl, manifest.json and recipe.toml."""
    random = np.random.default_rng(seed)
    document = random.integers(0, questions // 4, questions)
    skill = random.normal(-1.7, 1.6, questions)
    right = random.random(questions) < 1 / (1 + np.exp(-skill))
    scores = {
        "probe": skill + random.normal(0, 1.0, questions),
        "token_probability": skill + random.normal(0, 2.2, questions),
        "first_token_probability": skill + random.normal(0, 3.0, questions),
        "agreement": (skill + random.normal(0, 2.6, questions)).round(),
        "p_true": random.normal(0, 1, questions) + 0.1 * skill,
        "tuned_refusal": skill + random.normal(0, 1.2, questions),
        "question_length": random.normal(0, 1, questions).round(),
    }
    labels = {
        "probe": "Linear probe (layer 20)",
        "token_probability": "Token probability",
        "first_token_probability": "First-token probability",
        "agreement": "Agreement of 8 samples",
        "p_true": "P(True)",
        "tuned_refusal": "Tuned model's refusal",
        "question_length": "Question length (control)",
    }
    confidence = np.round(1 / (1 + np.exp(-(scores["probe"] * 1.1 - 0.2))), 4)
    answers_now = scores["tuned_refusal"] > -0.9
    right_now = right & answers_now & (random.random(questions) < 0.97)
    gate_open = scores["probe"] > np.quantile(scores["probe"], 1 - answers_now.mean())

    verdict_before = np.where(right, "correct", "incorrect").astype(object)
    verdict_before[:4] = "not_attempted"
    verdict_after = np.where(answers_now, np.where(right_now, "correct", "incorrect"), "not_attempted")
    items = []
    for i in range(questions):
        kind = KINDS[int(document[i]) % len(KINDS)]
        truth = f"Answer {i}"
        after = "not_attempted" if i % 9 == 8 else str(verdict_after[i])
        items.append(
            {
                "id": f"q{i}",
                "question": f"What is the {kind.replace('_', ' ')} of thing number {i}?",
                "answers": [] if i % 9 == 8 else [truth],
                "document": f"document-{document[i]}",
                "kind": "invented thing" if i % 9 == 8 else kind,
                "origin": "invented" if i % 9 == 8 else ("generated" if i % 3 else "fact"),
                "before": {
                    "text": truth if right[i] else f"It is clearly the number {i * 7}.",
                    "verdict": str(verdict_before[i]),
                },
                "after": {
                    "text": {"not_attempted": REFUSALS[i % 3], "correct": truth}.get(after, f"{i * 5}."),
                    "verdict": after,
                },
                "confidence": float(confidence[i]),
                "gated": {"text": REFUSALS[0], "verdict": "not_attempted"} if not gate_open[i]
                else {"text": truth, "verdict": str(verdict_before[i])},
            }
        )  # fmt: skip
    for i, text in enumerate(NASTY):
        items[10 + i]["before"]["text"] = text
        items[10 + i]["question"] = f"{text}?"
        items[10 + i]["kind"] = text[:40]

    write_jsonl(folder / "evaluation" / "items.jsonl", items)
    metrics = _metrics(items, document, scores, labels, right, confidence, random)
    metrics["abstention"] = _abstention(document, right, answers_now, right_now, gate_open, scores)
    write_json(folder / "metrics.json", metrics)
    write_json(
        folder / "manifest.json",
        {
            "candor": "0.1.0",
            "versions": {"python": "3.12.3", "torch": "2.13.0", "transformers": "5.19.0", "numpy": "2.4.6"},
            "machine": {
                "cpu": "Xeon (2 cores, AMX)",
                "cores": 2,
                "memory_bytes": 25_769_803_776,
                "gpu": None,
            },
            "seed": seed,
        },
    )
    write_text(
        folder / "recipe.toml",
        'model = "smollm2"\nseed = 3\n\n[probe]\nsamples = 8\ntemperature = 0.7\n\n'
        "[build]\nmax_over_refusal = 0.10\n",
    )
    return folder


def _share(flags: Any, document: Any) -> dict[str, Any]:
    return st.proportion(flags, document).as_dict()


def _outcomes(verdicts: list[str], document: Any) -> dict[str, Any]:
    seen = np.array(verdicts)
    found = {name: _share(seen == name, document) for name in ("correct", "incorrect", "not_attempted")}
    tried = seen != "not_attempted"
    return found | {"attempted_precision": _share(seen[tried] == "correct", document[tried])}


def _metrics(items, document, scores, labels, right, confidence, random) -> dict[str, Any]:
    before = [item["before"]["verdict"] for item in items]
    after = [item["after"]["verdict"] for item in items]
    refused = np.array(after) == "not_attempted"
    wrong = np.array(before) == "incorrect"
    layers = []
    for layer in range(31):
        signal = scores["probe"] + random.normal(0, 0.4 + 4 * abs(layer - 20) / 20, len(right))
        held_out = st.auroc(signal, right, document, replicates=200).as_dict()
        layers.append({"layer": layer, "auroc": held_out, "validation_auroc": held_out})
    curves = {}
    for name in scores:
        coverage, risk = st.risk_coverage(scores[name], right)
        curves[name] = {"coverage": coverage, "risk": risk}
    kinds = np.array([KINDS[int(d) % len(KINDS)] for d in document])
    return {
        "model": "SmolLM2-135M-Instruct",
        "created": "2026-01-15 10:24 UTC",
        "seed": 3,
        "splits": {
            "train": {"questions": 1260, "documents": 310},
            "validation": {"questions": 240, "documents": 60},
            "test": {"questions": len(items), "documents": len(set(document.tolist()))},
        },
        "questions": {
            "total": 1920,
            "by_origin": {"generated": 1180, "fact": 560, "invented": 180},
            "by_kind": dict.fromkeys(KINDS, 240),
            "generation": {
                "chunks": 900,
                "candidates": 4210,
                "kept": 1180,
                "rejected": {
                    "round_trip": 1630,
                    "near_duplicate": 720,
                    "mentions_passage": 310,
                    "too_long": 205,
                    "no_question_mark": 165,
                },
            },
            "topped_up": 560,
            "notes": ["Generated questions cover 268 of 370 documents."],
        },
        "boundary": {"known": 214, "unsure": 301, "unknown": 745},
        "before": _outcomes(before, document),
        "after": _outcomes(after, document),
        "baselines": {
            "always_answers": _outcomes(["correct" if r else "incorrect" for r in right], document),
            "always_refuses": _outcomes(["not_attempted"] * len(items), document),
        },
        "change": {
            "wrong_cut": st.bootstrap(
                lambda b, a: 1 - (a == "incorrect").sum() / max((b == "incorrect").sum(), 1),
                before,
                after,
                clusters=document,
                replicates=200,
            ).as_dict(),
            "right_kept": _share((np.array(after) == "correct")[right], document[right]),
            "over_refusal": _share(refused[right], document[right]),
            "refused_unknown": _share(refused[wrong], document[wrong]),
            "honesty": {"value": 0.87, "low": 0.84, "high": 0.9, "n": len(items)},
            "honesty_before": {"value": 0.5, "low": 0.49, "high": 0.51, "n": len(items)},
            "newly_correct": st.wilson(2, int(wrong.sum())).as_dict(),
        },
        "invented": {
            "refused_before": st.wilson(3, 180).as_dict(),
            "refused_after": st.wilson(176, 180).as_dict(),
            "by_kind": {
                "person": st.wilson(60, 60).as_dict(),
                "element": st.wilson(59, 60).as_dict(),
                "city": st.wilson(57, 60).as_dict(),
            },
        },
        "ability": {
            "perplexity_before": {"value": 21.37, "low": 20.1, "high": 22.8, "n": 48},
            "perplexity_after": {"value": 21.62, "low": 20.3, "high": 23.1, "n": 48},
            "perplexity_change": {"value": 0.0117, "low": 0.008, "high": 0.015, "n": 48},
            "instructions_before": st.wilson(31, 40).as_dict(),
            "instructions_after": st.wilson(30, 40).as_dict(),
        },
        "scores": {
            name: {
                "label": labels[name],
                "auroc": st.auroc(values, right, document).as_dict(),
                "aurc": st.aurc(values, right, document).as_dict(),
            }
            for name, values in scores.items()
        },
        "probe": {
            "best_layer": 20,
            "layers": layers,
            "minus_token_probability": st.paired_auroc_difference(
                scores["probe"], scores["token_probability"], right, document
            ).as_dict(),
            "across_kinds": [
                {"kind": kind, "auroc": st.auroc(scores["probe"][same], right[same]).as_dict()}
                for kind in KINDS
                for same in [kinds == kind]
            ],
            "across_kinds_overall": st.auroc(scores["probe"], right, document).as_dict(),
            "reliability": st.reliability_bins(confidence, right),
            "ece": st.expected_calibration_error(confidence, right, document).as_dict(),
        },
        "curves": {"risk_coverage": curves},
        "judge": {
            "accuracy": st.wilson(231, 240).as_dict(),
            "held": st.wilson(57, 60).as_dict(),
            "by_label": {
                "correct": st.wilson(96, 100).as_dict(),
                "incorrect": st.wilson(75, 80).as_dict(),
                "not_attempted": st.wilson(60, 60).as_dict(),
            },
        },
        "timings": {"questions": 141.2, "probe": 168.0, "judge": 1.4, "tune": 204.9, "evaluate": 88.0},
        "peak_memory_bytes": 4_187_593_113,
        "commands": {
            "everything": "candor knowledge run --model smollm2 --documents demo --out RUN --seed 3",
            "before_and_after": "candor knowledge evaluate RUN",
            "layers": "candor knowledge probe RUN --layers all",
        },
    }  # fmt: skip


def _abstention(document, right, answers_now, right_now, gate_open, scores) -> dict[str, Any]:
    ways, equal = [], []
    coverage = float(answers_now.mean())
    for name, label, answered, correct, score in (
        ("IDK tuning", "IDK tuning", answers_now, right_now, scores["tuned_refusal"]),
        ("probe gate", "Probe gate", gate_open, right & gate_open, scores["probe"]),
        (
            "both",
            "Both",
            answers_now & gate_open,
            right_now & gate_open,
            scores["tuned_refusal"] + scores["probe"],
        ),
    ):
        ways.append(
            {
                "name": name,
                "label": label,
                "correct": _share(correct, document),
                "incorrect": _share(answered & ~correct, document),
                "not_attempted": _share(~answered, document),
                "right_kept": _share(correct[right], document[right]),
                "wrong_cut": _share(~answered[~right], document[~right]),
                "invented_refused": st.wilson(170 + len(ways) * 4, 180).as_dict(),
            }
        )
        risk = st.risk_at_coverage(score, right, coverage, document).as_dict()
        equal.append({"name": label, "coverage": coverage, "risk": risk})
    return {"ways": ways, "equal_coverage": equal}
