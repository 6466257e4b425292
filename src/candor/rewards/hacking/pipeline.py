"""A run of the laboratory in its folder; see `lab`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from transformers import PreTrainedModel

from candor.core.files import read_json, write_json, write_jsonl, write_text
from candor.core.progress import Reporter
from candor.core.run import Run
from candor.model.load import load_model, save_checkpoint
from candor.rewards.hacking.lab import Laboratory
from candor.rewards.hacking.recipe import HackingRecipe
from candor.rewards.model import members, save_reward
from candor.rewards.rlhf.arms import SELECTIONS, Arm, Proxies, Trusted
from candor.rl.loop import RlStep


class HackingRun:
    """The stages.

    Args:
        run: the folder.
        reporter: where it says what it does.
    """

    def __init__(self, run: Run[HackingRecipe], reporter: Reporter) -> None:
        self.run, self.recipe, self.reporter = run, run.recipe, reporter
        self._arms = [Arm.of(spec) for spec in self.recipe.arms]
        self._lab = Laboratory(self.recipe)

    def complete(self) -> None:
        """Every stage that is not done yet, in order."""
        stages: dict[str, Callable[[], None]] = {
            "world": self.world, "rewards": self.rewards, "learn": self.learn, "compare": self.compare
        }  # fmt: skip
        self.run.go_through(stages, "compare", self.reporter.say)

    def world(self) -> None:
        """Pretrain the reference."""
        self.reporter.say("pretraining the reference policy")
        save_checkpoint(self._lab.reference(), self._lab.tokenizer, self.run.path("base"))
        questions = "".join(f"{one.question}\n" for one in self._lab.held_out)
        write_text(self.run.path("questions.txt"), questions)  # for `candor audit`

    def rewards(self) -> None:
        """Train the reward models."""
        count, model = self.recipe.preferences.members, self._base()
        pairs = self._lab.preferences(model)
        write_jsonl(self.run.path("pairs.jsonl"), [asdict(pair) for pair in pairs])
        with self.reporter.bar("reward models", count) as bar:
            found = self._lab.rewards(model, lambda done: bar.progress(done, count))
        for number, one in enumerate(found):
            save_reward(one, self.run.path("members") / str(number))

    def learn(self) -> None:
        """Train and judge a policy for each arm; those that are done stay."""
        reference, proxies = self._base(), self._proxies()
        (self.run.path("arms")).mkdir(exist_ok=True)
        for spec, arm in zip(self.recipe.arms, self._arms, strict=True):
            file = self.run.path("arms") / f"{spec.replace('=', '-')}.json"
            if file.exists():
                continue
            trusted = proxies.of(arm)
            if arm.name in SELECTIONS:
                steps, after = [], self._lab.selected(reference, arm, trusted)
            else:
                policy = self._base()
                steps = self._learned(policy, arm, trusted, spec)
                after = self._lab.judged(policy, reference, trusted)
                save_checkpoint(policy, self._lab.tokenizer, self.run.path("policies", file.stem))
            found = {
                "arm": spec,
                "calibration": trusted.calibration.as_dict(),
                "weight_high": trusted.calibration.weight_high,
                "proxy_mean": trusted.mean,
                "steps": steps,
                "after": after,
            }
            write_json(file, found)
            self.reporter.say(
                f"{spec}: proxy {after['proxy_gain']:+.2f} σ̃, truth {after['true_gain']:+.2f} σ "
                f"(worth {after['gold_before']:.2f} → {after['gold']['value']:.2f})"
            )

    def _learned(
        self, policy: PreTrainedModel, arm: Arm, trusted: Trusted, spec: str
    ) -> list[dict[str, float]]:
        with self.reporter.bar(spec, self.recipe.rl.steps) as bar:

            def on_step(step: RlStep) -> None:
                bar.progress(step.step, step.steps, f"proxy {step.reward:.2f}")

            return self._lab.learn(policy, arm, trusted, on_step)

    def compare(self) -> None:
        """All arms together."""
        arms = [
            read_json(self.run.path("arms") / f"{spec.replace('=', '-')}.json") for spec in self.recipe.arms
        ]
        metrics = {
            "seed": self.recipe.seed,
            "questions": len(self._lab.held_out),
            "replies": self.recipe.judged,
            "pairs": self.recipe.preferences.pairs,
            "noise": self.recipe.preferences.noise,
            "arms": arms,
            "commands": {"run": "candor rewards hacking --recipe recipe.toml --out NEW"},
        }
        write_json(self.run.path("metrics.json"), metrics)

    def _base(self) -> PreTrainedModel:
        return load_model(str(self.run.path("base")), dtype="auto", device="cpu")

    def _proxies(self) -> Proxies:
        found = members(self.run.folder, dtype="float32", device="cpu")
        return self._lab.proxies(self._base(), found)
