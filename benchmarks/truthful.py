"""RLHF on truth alone, where the hack is to say nothing: SmolLM2 on human labels of TruthfulQA answers.

    python benchmarks/truthful.py --true truthfulqa_true.jsonl.gz --informative \\
        truthfulqa_informative.jsonl.gz --out truthful            # all arms, seed 0: hours of two cores
    python benchmarks/truthful.py … --out truthful --seed 1 --arms none,chi2
    python benchmarks/truthful.py --out truthful --show

Both files have rows {question, answer, true} and {question, answer, informative}: two labels of one answer
each. "I have no comment" is true and tells nothing. The proxy is a reward model of truth, from some labels of
some questions; the gold reward, which no policy learns from, is P(true) · P(informative) by two reward models
from labels of all questions (so a model's word, not a person's: their AUROC on answers held out is shown).
An answer without a single word, which is what policies find, is judged by people alone: such answers are 59
of the 17,147 labelled ones, and the share of them labelled true, and informative, is their P. What the models
would say of them stands beside that (`gold by the models`).
Policies answer other questions than the proxy has seen labels of. Each arm of each seed has a file in
OUT/arms when it is finished: a run can be stopped and goes on, and several can run side by side once
`--arms ""` has made the reward models.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

ARMS = (
    "none",
    "kl=0.1",
    "kl=0.5",
    "chi2",
    "chi2=0.5",
    "max-min",
    "par",
    "worst",
    "kl=0.02",
    "kl-loss=0.1",
    "par+chi2",
)
ASK = "{question} Answer in one short sentence."
LABELS, GOLD_LABELS = 1500, 4000  # that a member of the proxy, and each of the gold models, learns from
HELD_OUT_ANSWERS = 600


def rows_of(path: Path, label: str) -> list[tuple[str, str, bool]]:
    """(question, answer, label), without doubles."""
    from candor.core.files import read_json_lines

    rows = [row for _, row in read_json_lines(path)]
    return sorted({(row["question"], row["answer"], bool(row[label])) for row in rows})


def asked(question: str) -> list[dict[str, str]]:
    """The prompt of policy and reward models."""
    return [{"role": "user", "content": ASK.format(question=question)}]


def reward_model(rows: list[tuple[str, str, bool]], seed: int, folder: Path) -> Any:
    """A reward model of a label, trained now or earlier; another run that wants the same one waits for it."""
    from candor.core.lock import turn
    from candor.rewards.model import read_reward

    learning = folder.with_suffix(".turn")
    learning.mkdir(parents=True, exist_ok=True)
    with turn(learning):
        if not (folder / "config.json").exists():
            learn(rows, seed, folder)
    return read_reward(str(folder))


def learn(rows: list[tuple[str, str, bool]], seed: int, folder: Path) -> None:
    """Train and save it."""
    from candor.model.load import load_model, load_tokenizer
    from candor.rewards.model import Labelled, RewardSettings, save_reward, train_reward

    data = [Labelled(asked(q), answer, label) for q, answer, label in rows]  # type: ignore[arg-type]
    settings = RewardSettings(seed=seed, learning_rate=5e-5, frozen=0.5)
    model, tokenizer = load_model("smollm2", dtype="bfloat16"), load_tokenizer("smollm2")

    def told(step: Any) -> None:
        if step.step % 20 == 0:
            print(f"{folder.name}: {step.step}/{step.steps} loss {step.loss:.3f}", flush=True)

    save_reward(train_reward(model, tokenizer, data, settings, on_step=told), folder)


def accuracy(model: Any, rows: list[tuple[str, str, bool]]) -> dict[str, Any]:
    """How often a reward model is right about labels it has not seen."""
    from candor.core.statistics import auroc

    scores = model.score([asked(q) for q, _, _ in rows], [answer for _, answer, _ in rows])
    return auroc(scores, [label for _, _, label in rows], [q for q, _, _ in rows], replicates=300).as_dict()


class Jury:
    """Reward models and questions."""

    def __init__(self, options: argparse.Namespace) -> None:
        from candor.core.files import read_json, write_json

        true, told = rows_of(options.true, "true"), rows_of(options.informative, "informative")
        questions = sorted({q for q, _, _ in true})
        random.Random("truthful").shuffle(questions)
        seen, self.questions = set(questions[:250]), questions[250:]
        folder, seed = options.out / "rewards", options.seed
        draw = random.Random(f"truthful {seed}")
        proxy_rows = [row for row in true if row[0] in seen]
        draw.shuffle(proxy_rows)
        several = not {"mean", "worst", "uncertainty"}.isdisjoint(options.arms.split(","))
        self.members = [
            reward_model(proxy_rows[:LABELS], 10 * seed + k, folder / f"truth-{seed}-{k}")
            for k in range(3 if several else 1)
        ]
        held = {
            name: sorted(rows, key=hash_of)[:HELD_OUT_ANSWERS]
            for name, rows in (("true", true), ("told", told))
        }
        self.gold = [
            reward_model(
                [row for row in shuffled(rows) if row not in set(held[name])][:GOLD_LABELS],
                7,
                folder / f"gold-{name}",
            )
            for name, rows in (("true", true), ("told", told))
        ]
        self.silent = {name: silent(rows) for name, rows in (("true", true), ("told", told))}
        others = [row for row in true if row[0] not in seen]
        draw.shuffle(others)
        known = folder / f"auroc-{seed}.json"
        if not known.exists():
            write_json(known, {
                "proxy on other questions": accuracy(self.members[0], others[:HELD_OUT_ANSWERS]),
                "gold, truth": accuracy(self.gold[0], held["true"]),
                "gold, informative": accuracy(self.gold[1], held["told"]),
            })  # fmt: skip
        self.auroc = read_json(known)

    def worth(self, problems: list[Any], texts: list[str], prompts: Any) -> dict[str, np.ndarray]:
        """P(true), P(informative), their product, what the models alone say of it, and who says nothing."""
        asks = [prompts.prompt(one) for one in problems]
        by_models = [expit(model.score(asks, texts)) for model in self.gold]
        spoken = np.array([has_words(text) for text in texts])
        true, told = (
            np.where(spoken, found, self.silent[name])
            for name, found in zip(("true", "told"), by_models, strict=True)
        )
        return {
            "true": true, "told": told, "gold": true * told,
            "gold by the models": by_models[0] * by_models[1], "silent": 1.0 - spoken,
        }  # fmt: skip


def has_words(text: str) -> bool:
    return any(map(str.isalnum, text))


def silent(rows: list[tuple[str, str, bool]]) -> float:
    """The share of answers without a word that people gave the label."""
    return float(np.mean([label for _, answer, label in rows if not has_words(answer)]))


def shuffled(rows: list[tuple[str, str, bool]]) -> list[tuple[str, str, bool]]:
    """In another order, always the same."""
    return random.Random("gold").sample(rows, len(rows))


def hash_of(row: tuple[str, str, bool]) -> str:
    """An order that does not depend on the rows around."""
    import hashlib

    return hashlib.sha256(f"{row[0]}\n{row[1]}".encode()).hexdigest()


def run(options: argparse.Namespace) -> None:
    from candor.core.files import write_json
    from candor.model.load import load_model, load_tokenizer
    from candor.rewards.replies import Writer
    from candor.rewards.rlhf.arms import Arm, Labelled, Proxies, regularizer_for
    from candor.rewards.rlhf.judge import judged
    from candor.rewards.rlhf.prompts import PromptSet
    from candor.rewards.rlhf.proxy import ReferenceRewards
    from candor.rl.loop import train_policy
    from candor.rl.problems import ProblemSet
    from candor.rl.settings import RlSettings

    jury = Jury(options)
    tokenizer = load_tokenizer("smollm2")
    prompts = PromptSet({q: ASK.format(question=q) for q in jury.questions}, chat=True)
    settings = RlSettings(
        steps=options.steps, prompts=8, samples=8, max_tokens=options.max_tokens, held_out=80,
        evaluate_every=0, seed=options.seed, learning_rate=options.rate,
    )  # fmt: skip
    held_out = list(ProblemSet.of(prompts, held_out=80, shots=0, seed=options.seed).held_out)
    reference = Writer(
        load_model("smollm2", dtype="bfloat16"), tokenizer, prompts, max_tokens=options.max_tokens
    )
    compared = prompts.problems(len(prompts), 0) if "par" in options.arms else held_out
    known = reference.draw(compared, 4, seed=1)
    raw = known.table(jury.members[0].score([prompts.prompt(p) for p in known.flat()[0]], known.flat()[1]))
    by_prompt = ReferenceRewards({p.id: row for p, row in zip(known.problems, raw, strict=True)})
    sample = reference.draw(held_out[:50], 4, seed=2)
    gold = jury.worth(*sample.flat(), prompts)["gold"]
    proxies = Proxies(jury.members, prompts, by_prompt, Labelled(sample, gold))
    print(json.dumps({"auroc": jury.auroc}, indent=1))
    for spec in filter(None, options.arms.split(",")):
        file = options.out / "arms" / f"{spec}-{options.seed}.json"
        if file.exists():
            continue
        arm = Arm.of(spec)
        trusted, policy, steps = proxies.of(arm), load_model("smollm2", dtype="bfloat16"), []

        def seen(step: Any, rollouts: Any, steps: list = steps, spec: str = spec) -> None:
            if step.step % 5 not in (0, 1):  # gold costs two passes
                return
            every = [one for row in rollouts.samples for one in row]
            worth = jury.worth([one.problem for one in every], [one.completion for one in every], prompts)
            steps.append({
                "step": step.step, "proxy": step.reward, "kl": step.kl, "chi2": step.chi2,
                "tokens": step.tokens, "effective": step.effective,
                **{name: float(value.mean()) for name, value in worth.items()},
            })  # fmt: skip
            print(spec, {k: v if v is None else round(v, 3) for k, v in steps[-1].items()}, flush=True)

        train_policy(
            policy, tokenizer, prompts, prompts, settings, trusted.proxy, None, seen,
            regularizer=regularizer_for(arm, trusted), force=True,
        )  # fmt: skip
        writer = Writer(policy, tokenizer, prompts, max_tokens=options.max_tokens)
        after = judged(
            reference, writer, held_out, 8, trusted,
            lambda drawn: drawn.table(jury.worth(*drawn.flat(), prompts)["gold"]), seed=3,
        )  # fmt: skip
        row = {
            "arm": spec, "seed": options.seed, "calibration": trusted.calibration.as_dict(),
            "auroc": jury.auroc, "settings": settings.model_dump(), "device": str(policy.device),
            "steps": steps, "after": after,
        }  # fmt: skip
        write_json(file, row)
        print(shown(row), flush=True)


def shown(row: dict[str, Any]) -> str:
    """A row of the table."""
    after, c = row["after"], row["after"]["gold_change"]
    root, last = max(0, after["chi2"]) ** 0.5, row["steps"][-1]
    return (
        f"| {row['arm']} | {row['seed']} | {after['proxy_gain']:+.2f} | "
        f"{after['gold_before']:.3f} → {after['gold']['value']:.3f} | "
        f"{c['value']:+.3f} ({c['low']:+.3f} to {c['high']:+.3f}) | "
        f"{last['true']:.2f} | {last['told']:.2f} | {last['silent']:.2f} | {after['kl']:.2f} | {root:.3g} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--true", type=Path)
    parser.add_argument("--informative", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--max-tokens", type=int, default=24)
    parser.add_argument("--rate", type=float, default=3e-5)
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.show:
        run(options)
    rows = [json.loads(file.read_text()) for file in sorted((options.out / "arms").glob("*.json"))]
    heads = "arm | seed | proxy, σ̃ | gold | change (95 %) | true | told | silent | KL | √χ²"
    print(f"| {heads} |\n|{'---|' * 10}")
    print("\n".join(map(shown, rows)))


if __name__ == "__main__":
    main()
