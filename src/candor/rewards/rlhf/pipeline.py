"""The stages of a run of RLHF, each reading and writing the run folder.

reference.jsonl                        reference   replies of the model as it is to the held-out prompts
to-label.jsonl, calibration.json       calibrate   how far the reward is to be trusted: λ and r
samples.jsonl, checkpoint/             learn       the policy; events.jsonl has each step, and choice.json
                                                   says what the labels foresee (`trials`)
log.jsonl, audit.json, metrics.json    evaluate    both on the held-out prompts, audited
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from candor.core.errors import InputError
from candor.core.files import read_json, read_json_lines, write_json, write_jsonl
from candor.core.memory import return_freed_memory
from candor.core.processes import wait_for
from candor.core.progress import Reporter
from candor.core.run import Run
from candor.model.load import save_checkpoint
from candor.rewards.audit.log import Entry, as_log
from candor.rewards.audit.verdict import audit
from candor.rewards.audit.words import as_json, headline
from candor.rewards.calibration import Calibration, calibrate
from candor.rewards.foresight import Completions, Foreseen, foresee
from candor.rewards.model import load_reward, need_rewards
from candor.rewards.replies import Replies, Writer
from candor.rewards.rlhf.labels import gold_of, labels_by_hand, no_labels
from candor.rewards.rlhf.needs import need_prompts, need_variation, not_shown
from candor.rewards.rlhf.prompts import PromptSet, read_prompts
from candor.rewards.rlhf.proxy import Proxy, ReferenceRewards, need_scorer
from candor.rewards.rlhf.recipe import ProxySettings, RlhfRecipe
from candor.rewards.rlhf.trials import CHOICE, Trials
from candor.rl.kept import event_of, keep_up_to
from candor.rl.loop import RlResult, RlStep, train_policy
from candor.rl.problem import Problem
from candor.rl.problems import ProblemSet
from candor.rl.regularizer import ProxyFacts, Regularizer, regularizer_of
from candor.rl.rollout import Rollouts
from candor.train.state import clear_state, read_notes

_REFERENCE, _POLICY = 21, 22  # draws for different purposes never share a seed
# With a smaller share of the reference's replies standing for the policy, χ² is hardly known any more.
_FEW = 0.05
_PROMPTS_SHOWN, _SHOWN = 6, 2  # in the report


class RlhfRun:
    """An RLHF run in its folder.

    Args:
        run: the folder.
        reporter: where it says what it does.
    """

    def __init__(self, run: Run[RlhfRecipe], reporter: Reporter) -> None:
        self.run, self.recipe, self.reporter = run, run.recipe, reporter
        if self.recipe.prompts is None or not self.recipe.reward.model:
            raise InputError(
                "RLHF needs a reward model and prompts",
                field="reward.model" if self.recipe.prompts else "prompts",
                fix="candor rlhf --reward RUN --prompts FILE; candor reward train makes a reward model",
            )
        prompts = read_prompts(self.recipe.prompts)
        need_prompts(len(prompts), self.recipe.prompts)
        chosen = self.recipe.reward
        trust = self.recipe.model.trust_remote_code
        need_rewards(chosen.model, _combination(chosen), trust_remote_code=trust)
        if self.recipe.gold is not None:
            need_scorer(self.recipe.gold)
        self.tokenizer: PreTrainedTokenizerBase = self.recipe.model.load_tokenizer()
        chat = self.recipe.model.asks_by_messages(self.tokenizer)
        self.prompts = PromptSet(prompts, chat=chat, name=self.recipe.prompts.name)
        held_out = min(self.recipe.rl.held_out, len(self.prompts) // 2)
        self.settings = self.recipe.settings().model_copy(update={"held_out": held_out})
        divided = ProblemSet.of(self.prompts, held_out=held_out, shots=0, seed=self.recipe.seed)
        divided.step(0, self.settings.prompts)  # too few for a step: say so now
        self.held_out = divided.held_out
        self.trials = Trials(run.folder, self.recipe.calibration.shares)
        self._warned = False

    def complete(self) -> None:
        """Every stage that is not done yet, in order."""
        stages: dict[str, Callable[[], None]] = {
            "reference": self.reference,
            "calibrate": self.calibrate,
            "learn": self.learn,
            "evaluate": self.evaluate,
        }
        self.run.go_through(stages, "evaluate", self.reporter.say)

    def reference(self) -> None:
        """Draw replies of the reference and reward them."""
        assert self.recipe.prompts is not None
        self.run.record_input(str(self.recipe.prompts), self.recipe.prompts)
        model = self.recipe.model.load()
        asked = list(self.held_out)
        if self.recipe.reward.transform == "par":  # compares with the reference's replies to the same prompt
            known = {one.id for one in asked}
            asked += [one for one in self.prompts.problems(len(self.prompts), 0) if one.id not in known]
        self.reporter.say(f"drawing {self.settings.held_out_samples} replies to each of {len(asked)} prompts")
        drawn = self._writer(model).draw(asked, self.settings.held_out_samples, seed=self._seed(_REFERENCE))
        raw = drawn.table(self._proxy(None).raw(*drawn.flat()))
        need_variation(raw, self.recipe.reward.model)
        rows = [
            {
                "id": problem.id,
                "prompt": problem.question,
                "completions": texts,
                "tokens": tokens,
                "rewards": r,
            }
            for problem, texts, tokens, r in zip(asked, drawn.texts, drawn.tokens, raw.tolist(), strict=True)
        ]
        write_jsonl(self.run.path("reference.jsonl"), rows)
        del model
        return_freed_memory()

    def calibrate(self) -> None:
        """Find how far the reward is to be trusted, from gold labels of the reference's replies.

        Raises:
            CandorError: the regulariser needs labels, and there are none yet; it says where to write them.
        """
        wanted = self.recipe.rl.regularizer
        needed = wanted.name == "max-min" or (wanted.name == "chi2" and wanted.weight is None)
        needed = needed or len(self.recipe.calibration.shares) > 1
        labelled, proxy = self._to_label(), self._proxy(self._reference_rewards())
        rewards = proxy.of(*labelled.flat())
        gold = self._gold(*labelled.flat())
        if gold is None:
            gold = labels_by_hand(self.run.path("to-label.jsonl"), labelled)
        if gold is None and needed:
            raise no_labels(self.run.path("to-label.jsonl"), wanted.name, len(rewards))
        if gold is None:
            write_json(self.run.path("calibration.json"), {"labels": 0})
            return
        chosen = np.isfinite(gold)
        names = np.array([one.id for one in labelled.flat()[0]])
        found = calibrate(
            rewards[chosen],
            gold[chosen],
            names[chosen],
            drawn=proxy.of_reference(),
            confidence=self.recipe.calibration.confidence,
        )
        mean = float(rewards.mean())
        write_json(
            self.run.path("calibration.json"),
            {
                "labels": int(chosen.sum()),
                "mean": mean,
                "found": found.as_dict(),
                "gold": [value if np.isfinite(value) else None for value in gold.tolist()],
            },
        )
        self.reporter.say(
            f"the reward correlates with gold by {found.r_overall:.2f} "
            f"(at least {found.r_overall_low:.2f}) over {found.n} replies to {found.prompts} prompts; λ is "
            f"{found.weight:.3g} (at most {found.weight_high:.3g}), the reward's deviation "
            f"{found.sd_proxy:.3g}"
        )
        if found.r_overall_low <= 0:
            self.reporter.say(
                "the labels don't show that the reward goes with the truth at all: the guarantee says "
                "nothing about such a reward; label more replies, or train a better reward model"
            )
        self._regularizer()  # here, so that the same command reads the labels again if these don't do

    def learn(self) -> None:
        """Train the policy: one for each share of the weight, and keep one."""
        for share in self.trials.remaining():
            folder = self.trials.of(share)
            self._learn(share, folder)
            foreseen = self._foreseen(folder / "checkpoint")
            if foreseen is not None:
                self.reporter.say(
                    f"with {share:g} of the weight the labels foresee a gain of {foreseen.gain:.3g} by gold "
                    f"(at least {foreseen.low:.3g})"
                )
            self.trials.done(share, foreseen)
            clear_state(folder / "state")
        choice = self.trials.choose()
        if len(choice["trials"]) > 1:
            self.reporter.say(f"kept: the policy with {choice['share']:g} of the weight")

    def _learn(self, share: float, folder: Path) -> None:
        samples, several = folder / "samples.jsonl", len(self.recipe.calibration.shares) > 1
        folder.mkdir(parents=True, exist_ok=True)
        done = int((read_notes(folder / "state") or {"step": 0})["step"])
        keep_up_to(samples, done)
        with (
            self.reporter.bar(
                f"learning, {share:g} of the weight" if several else "learning",
                self.settings.steps,
                start=done,
            ) as bar,
            samples.open("a", encoding="utf-8") as file,
        ):

            def on_step(step: RlStep, rollouts: Rollouts) -> None:
                self.run.event("step", **event_of(step), **({"share": share} if several else {}))
                for one in rollouts.samples[: self.settings.kept_samples]:
                    row = {
                        "step": step.step,
                        "prompt": one[0].problem.question,
                        "completion": one[0].completion,
                    }
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
                file.flush()
                bar.progress(step.step, step.steps, _note(step))
                self._warn(step)

            result = self.trained(share, on_step)
        save_checkpoint(result.model, self.tokenizer, folder / "checkpoint")

    def trained(self, share: float, on_step: Callable[[RlStep, Rollouts], None] | None = None) -> RlResult:
        """Train a policy, or go on with it; under torchrun every process calls this."""
        proxy = self._proxy(self._reference_rewards())
        return train_policy(
            self.recipe.model.load(), self.tokenizer, self.prompts, self.prompts, self.settings,
            proxy, self.trials.of(share) / "state", on_step, regularizer=self._regularizer(share), force=True,
        )  # fmt: skip

    def _foreseen(self, checkpoint: Path) -> Foreseen | None:
        """What the labels foresee of a policy; None where it is the only one."""
        if len(self.recipe.calibration.shares) == 1:
            return None
        found = read_json(self.run.path("calibration.json"))
        labelled, drawn = self._to_label(), self._reference_replies(held_out=True)
        policy, after = self._policy(checkpoint)
        ratios = [policy.logprobs(labelled), policy.logprobs(after)]
        del policy
        return_freed_memory()
        reference = self._writer(self.recipe.model.load())
        ratios = [one - reference.logprobs(of) for one, of in zip(ratios, (labelled, after), strict=True)]
        proxy = self._proxy(self._reference_rewards())
        gold = np.array(found["gold"], np.float64)
        chosen = np.isfinite(gold)
        sides = [
            Completions(proxy.of(*replies.flat()), np.array([one.id for one in replies.flat()[0]]), ratio)
            for replies, ratio in ((labelled, ratios[0]), (drawn, None), (after, ratios[1]))
        ]
        return foresee(
            Calibration.of(found["found"]), sides[0].at(chosen), gold[chosen], sides[1], sides[2],
            confidence=self.recipe.calibration.confidence,
        )  # fmt: skip

    def _policy(self, checkpoint: Path) -> tuple[Writer, Replies]:
        """A policy and its replies to the held-out prompts."""
        policy = self._writer(self.recipe.model.model_copy(update={"name": str(checkpoint)}).load())
        return policy, policy.draw(self.held_out, self.settings.held_out_samples, seed=self._seed(_POLICY))

    def evaluate(self) -> None:
        """Both on the held-out prompts, with an audit of what that says."""
        drawn = self._reference_replies(held_out=True)
        policy, after = self._policy(self.run.path("checkpoint"))
        under_policy = [policy.logprobs(drawn), policy.logprobs(after)]
        del policy
        return_freed_memory()
        reference = self._writer(self.recipe.model.load())
        under_reference = [reference.logprobs(drawn), reference.logprobs(after)]
        proxy = self._proxy(self._reference_rewards())
        entries: list[Entry] = []
        for place, (source, replies) in enumerate((("reference", drawn), ("policy", after))):
            problems, texts = replies.flat()
            rewards, gold = proxy.of(problems, texts), self._gold(problems, texts)
            if gold is None:
                gold = self._known_gold(len(texts)) if source == "reference" else np.full(len(texts), np.nan)
            entries += [
                Entry(
                    prompt=problem.id, source=source, proxy=float(reward), completion=text,  # type: ignore[arg-type]
                    gold=float(true) if np.isfinite(true) else None,
                    logp_policy=float(p), logp_reference=float(q), temperature=1.0, top_p=1.0,
                )
                for problem, text, reward, true, p, q in zip(
                    problems, texts, rewards, gold, under_policy[place], under_reference[place], strict=True
                )
            ]  # fmt: skip
        write_jsonl(self.run.path("log.jsonl"), entries)
        verdict = audit(as_log(entries), seed=self.recipe.seed)
        write_json(self.run.path("audit.json"), as_json(verdict))
        self.reporter.say(headline(verdict))
        write_json(self.run.path("metrics.json"), self._metrics(as_json(verdict), drawn, after))

    def _metrics(self, verdict: dict[str, Any], before: Replies, after: Replies) -> dict[str, Any]:
        return {
            "model": self.recipe.model.name,
            "reward": self._proxy_name(),
            "regularizer": self.recipe.rl.regularizer.name,
            "prompts": len(self.prompts),
            "held_out": len(self.held_out),
            "calibration": read_json(self.run.path("calibration.json")),
            "audit": verdict,
            "weight": getattr(self._regularizer(self._choice()["share"]), "weight", None),
            "choice": self._choice(),
            "replies": [
                {"prompt": problem.question, "before": one[:_SHOWN], "after": other[:_SHOWN]}
                for problem, one, other in zip(
                    after.problems[:_PROMPTS_SHOWN], before.texts, after.texts, strict=False
                )
            ],
            "commands": {
                "run": "candor rlhf --recipe recipe.toml --out NEW",
                "audit": "candor audit log.jsonl",
            },
        }

    def _choice(self) -> dict[str, Any]:
        return read_json(self.run.path(CHOICE))

    def _regularizer(self, share: float = 1.0) -> Regularizer | None:
        """What holds the policy back, with a share of its weight; chi2's is from labels, if not given."""
        chosen, found = self.recipe.rl.regularizer, read_json(self.run.path("calibration.json"))
        if chosen.weight is not None and chosen.name != "max-min":
            return regularizer_of(chosen.model_copy(update={"weight": share * chosen.weight}))
        if "found" not in found:
            return regularizer_of(chosen)
        known, cautious = Calibration.of(found["found"]), self.recipe.calibration.cautious
        if chosen.name == "chi2":
            weight = known.weight_high if cautious else known.weight
            if known.r_low <= 0 and cautious:
                raise not_shown(known, known.r, known.r_low, "within prompts")
            return regularizer_of(chosen.model_copy(update={"weight": share * weight}))
        r = known.r_overall_low if cautious else known.r_overall
        if chosen.name == "max-min" and not r > 0:
            raise not_shown(known, known.r_overall, known.r_overall_low, "over all prompts")
        return regularizer_of(chosen, ProxyFacts(r, found["mean"], known.sd_proxy_overall))

    def _warn(self, step: RlStep) -> None:
        if self._warned or step.effective is None or step.effective >= _FEW:
            return
        self._warned = True
        self.reporter.say(
            f"step {step.step}: the policy is so far from the reference that {step.effective:.1%} of the "
            "reference's replies stand for it; χ² is hardly known there, and the bound is no promise: a "
            "larger weight, or a smaller learning rate"
        )

    def _proxy_name(self) -> str:
        chosen = self.recipe.reward
        return f"{Path(chosen.model).name}{'' if chosen.transform == 'none' else f', {chosen.transform}'}"

    def _proxy(self, reference: ReferenceRewards | None) -> Proxy:
        """The reward; without rewards of the reference as the model says."""
        chosen = self.recipe.reward
        model = load_reward(
            chosen.model,
            combine=_combination(chosen),
            caution=chosen.caution,
            trust_remote_code=self.recipe.model.trust_remote_code,
        )
        transform = "none" if reference is None else chosen.transform
        return Proxy(model, self.prompts, transform=transform, reference=reference, name=chosen.model)

    def _writer(self, model: PreTrainedModel) -> Writer:
        return Writer(model, self.tokenizer, self.prompts, max_tokens=self.settings.max_tokens)

    def _seed(self, purpose: int) -> int:
        return self.recipe.seed * 100 + purpose

    def _rows(self) -> list[dict[str, Any]]:
        return [row for _, row in read_json_lines(self.run.path("reference.jsonl"))]

    def _reference_replies(self, *, held_out: bool) -> Replies:
        known, names = {row["id"]: row for row in self._rows()}, [one.id for one in self.held_out]
        rows = [known[name] for name in names] if held_out else list(known.values())
        return Replies(
            [Problem(id=row["id"], question=row["prompt"]) for row in rows],
            [row["completions"] for row in rows],
            [[tuple(ids) for ids in row["tokens"]] for row in rows],
        )

    def _reference_rewards(self) -> ReferenceRewards:
        return ReferenceRewards({row["id"]: np.array(row["rewards"]) for row in self._rows()})

    def _to_label(self) -> Replies:
        """The replies that labels are wanted for."""
        drawn, wanted = self._reference_replies(held_out=True), self.recipe.calibration
        each, samples = slice(wanted.prompts), slice(min(wanted.samples, self.settings.held_out_samples))
        return Replies(
            drawn.problems[each],
            [row[samples] for row in drawn.texts[each]],
            [row[samples] for row in drawn.tokens[each]],
        )

    def _gold(self, problems: list[Problem], texts: list[str]) -> np.ndarray | None:
        """The true reward where something computes it, [n]."""
        return None if self.recipe.gold is None else gold_of(self.recipe.gold, self.prompts, problems, texts)

    def _known_gold(self, count: int) -> np.ndarray:
        """Labels by hand, at their places among the reference's replies to the held-out prompts."""
        found = read_json(self.run.path("calibration.json")).get("gold")
        gold = np.full((len(self.held_out), count // len(self.held_out)), np.nan)
        if found is not None:
            samples = min(self.recipe.calibration.samples, gold.shape[1])
            gold[: len(found) // samples, :samples] = np.reshape(np.array(found, np.float64), (-1, samples))
        return gold.ravel()


def _combination(chosen: ProxySettings) -> Literal["worst", "uncertainty", "averaged"] | None:
    return None if chosen.combine == "mean" else chosen.combine


def work_along(folder: Path) -> None:
    """What the other processes of torchrun do: wait for labels, train with the first one, write nothing."""
    wait_for(folder, "calibrate")
    run = Run.open(folder, RlhfRecipe)
    if not run.done("learn"):
        made = RlhfRun(run, Reporter("quiet"))
        for share in made.trials.remaining():
            made.trained(share)


def _note(step: RlStep) -> str:
    far = "" if step.kl is None else f", KL {step.kl:.2f}"
    return f"reward {step.reward:.2f}{far}"
