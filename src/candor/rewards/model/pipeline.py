"""The stages of a reward model's run, each reading and writing the run folder.

data/                                    data        what is learned from, what is held out, and what was met
checkpoint/ or members/1, 2, …           train       and, if asked, checkpoint/ of their mean weights
evaluation/, metrics.json                evaluate    on held-out preferences and pairs made to mislead
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from candor.core.errors import CandorError
from candor.core.files import read_json, write_json, write_jsonl
from candor.core.memory import return_freed_memory
from candor.core.processes import wait_for
from candor.core.progress import Reporter
from candor.core.run import Run
from candor.core.statistics import Estimate
from candor.engine.local import LocalEngine
from candor.engine.prompts import set_template, template_text
from candor.model.load import context_in, load_model, load_tokenizer
from candor.rewards.model.checkpoint import need_classifier, save_reward
from candor.rewards.model.distrust import distrust_metrics, read_adversarial
from candor.rewards.model.embedded import fact_pairs
from candor.rewards.model.encoding import Encoder
from candor.rewards.model.ensemble import AVERAGED, MEMBERS, averaged, members
from candor.rewards.model.measure import ensemble_metrics, label_metrics, pair_metrics
from candor.rewards.model.pairs import (
    Labelled,
    Pair,
    Preference,
    Preferences,
    check_kind,
    need_something_to_tell,
    split_by_prompt,
    without_repeats,
)
from candor.rewards.model.read import read_preferences, row_of
from candor.rewards.model.recipe import RewardRecipe
from candor.rewards.model.scorer import RewardModel
from candor.rewards.model.training import RewardStep, encode_preferences, train_reward
from candor.train.state import clear_state

Floats = NDArray[np.float64]


class RewardRun:
    """A reward model's run in its folder."""

    def __init__(self, run: Run[RewardRecipe], reporter: Reporter) -> None:
        self.run, self.recipe, self.reporter = run, run.recipe, reporter

    def up_to(self, last: str) -> None:
        """Every stage up to this one that is not done yet, in order."""
        stages = {"data": self.data, "train": self.train, "evaluate": self.evaluate}
        self.run.go_through(stages, last, self.reporter.say)

    # --- stages -------------------------------------------------------------------------------------

    def data(self) -> None:
        """Read preferences, leave out what teaches nothing, and hold some out.

        Raises:
            CandorError: a row is bad, or there is too little left.
        """
        chosen = self.recipe.data
        tricky = read_adversarial(self.recipe.evaluate.adversarial)  # before anything takes long
        if chosen.path is None:
            found: Preferences = fact_pairs(chosen.embedded, self.recipe.seed)
        else:
            self.run.record_input(str(chosen.path), chosen.path)
            found = read_preferences(chosen.path, asked=chosen.asked)
        found = found[: chosen.most]
        kept, repeats = without_repeats(found)  # type: ignore[type-var]
        if not kept:
            raise CandorError("no row is left to learn from", fix="; ".join(repeats.words()))
        train, held_out = split_by_prompt(kept, chosen.held_out, self.recipe.seed)
        encoder = Encoder(self._tokenizer())
        for one in (*train[:1], *tricky[:1]):
            encoder(one.prompt, one.texts[0])  # messages need a template: say so now
        need_something_to_tell(train)
        write_jsonl(self.run.path("data", "train.jsonl"), map(row_of, train))
        write_jsonl(self.run.path("data", "held-out.jsonl"), map(row_of, held_out))
        notes = {"rows": len(found), "train": len(train), "held_out": len(held_out), **asdict(repeats)}
        write_json(self.run.path("data", "notes.json"), notes)
        what = "pairs" if check_kind(train) else "labelled completions"
        self.reporter.say(f"{len(train):,} {what} to learn from, {len(held_out):,} of other prompts held out")
        for line in repeats.words():
            self.reporter.say(f"  {line}")

    def train(self) -> None:
        """Train every member that is not there yet, and average their weights if asked."""
        recipe = self.recipe
        for member in self._left():
            title = "learning" if recipe.members == 1 else f"member {member + 1} of {recipe.members}"
            with self.reporter.bar(title, None) as bar:

                def on_step(step: RewardStep, member: int = member, bar: Any = bar) -> None:
                    self.run.event("step", member=member + 1, **_short(step))
                    bar.progress(step.step, step.steps, f"loss {step.loss:.3f}, right {step.accuracy:.0%}")

                reward = self._trained(member, on_step)
            save_reward(reward, self._member(member))
            clear_state(self._state(member))
            del reward
            return_freed_memory()
        if recipe.averaged and recipe.members > 1:
            save_reward(averaged(members(self.run.folder)), self.run.path(AVERAGED))

    def train_along(self) -> None:
        """What the other processes of torchrun do: train every member that is left, and write nothing."""
        for member in self._left():
            self._trained(member)
            return_freed_memory()

    def _left(self) -> list[int]:
        """Members that are still to be trained."""
        members = range(self.recipe.members)
        return [one for one in members if not (self._member(one) / "config.json").is_file()]

    def _trained(self, member: int, on_step: Callable[[RewardStep], None] | None = None) -> RewardModel:
        known, tokenizer, model = self._preferences("train"), self._tokenizer(), self._model()
        need_classifier(model)
        settings = self.recipe.settings(member, context_in(model.config))
        if member == 0:
            self._say_size(model, tokenizer, known, settings.max_tokens)
        return train_reward(model, tokenizer, known, settings, folder=self._state(member), on_step=on_step)

    def evaluate(self) -> None:
        """Measure on held-out preferences and on pairs made to mislead."""
        recipe = self.recipe
        held_out = self._preferences("held-out")[: recipe.evaluate.most]
        tricky = read_adversarial(recipe.evaluate.adversarial)
        likely = self._likelihoods(held_out) if recipe.evaluate.likelihood else {}
        models = members(self.run.folder) if recipe.members > 1 else members(self._member(0))
        rewards_MT = np.stack([_texts_rewards(one, held_out) for one in models])
        mean = rewards_MT.mean(axis=0)
        metrics: dict[str, Any] = {"model": recipe.model.name, "data": self._source(), "kind": "pairs"}
        if check_kind(held_out):
            pairs = [one for one in held_out if isinstance(one, Pair)]
            rewards_MTN = rewards_MT.reshape(len(models), -1, 2).transpose(0, 2, 1)  # [members, 2, n]
            ahead_MN = rewards_MTN[:, 0] - rewards_MTN[:, 1]
            baselines = {name: found[::2] - found[1::2] for name, found in likely.items()}
            metrics["held_out"] = pair_metrics(pairs, ahead_MN.mean(axis=0), baselines)
            if len(models) > 1:
                caution = recipe.evaluate.caution
                metrics["ensemble"] = ensemble_metrics(pairs, ahead_MN, rewards_MTN, caution)
                self._add_averaged(metrics, pairs)
        else:
            told = [one for one in held_out if isinstance(one, Labelled)]
            metrics |= {"kind": "labels", "held_out": label_metrics(told, mean, likely)}
        own = Estimate(**metrics["held_out"]["accuracy"])
        ahead = np.mean([_ahead(one, tricky) for one in models], axis=0)
        source = recipe.evaluate.adversarial
        metrics["distrust"] = distrust_metrics(
            tricky, ahead, own, "embedded" if source is None else source.name
        )
        metrics["samples"] = _samples(held_out, mean, tricky, ahead)
        metrics["notes"] = read_json(self.run.path("data", "notes.json"))
        metrics["commands"] = {"run": "candor reward train --recipe recipe.toml --out NEW"}
        write_jsonl(self.run.path("evaluation", "items.jsonl"), _items(held_out, rewards_MT))
        write_json(self.run.path("metrics.json"), metrics)

    # --- parts --------------------------------------------------------------------------------------

    def _tokenizer(self) -> PreTrainedTokenizerBase:
        chosen = self.recipe.model
        tokenizer = load_tokenizer(chosen.name, trust_remote_code=chosen.trust_remote_code)
        set_template(tokenizer, template_text(chosen.template))
        return tokenizer

    def _model(self) -> Any:
        chosen = self.recipe.model
        return load_model(chosen.name, trust_remote_code=chosen.trust_remote_code)

    def _member(self, member: int) -> Path:
        one = self.recipe.members == 1
        return self.run.path(AVERAGED) if one else self.run.path(MEMBERS, str(member + 1))

    def _state(self, member: int) -> Path:
        """Where the state of its unfinished training is."""
        return self.run.path("training", str(member + 1))

    def _preferences(self, side: str) -> Preferences:
        return read_preferences(self.run.path("data", f"{side}.jsonl"))

    def _source(self) -> str:
        path = self.recipe.data.path
        return "packaged facts" if path is None else path.name

    def _say_size(
        self, model: Any, tokenizer: PreTrainedTokenizerBase, known: Preferences, longest: int
    ) -> None:
        compared, too_long = encode_preferences(tokenizer, known, longest)
        weights = sum(parameter.numel() for parameter in model.parameters())
        self.reporter.say(
            f"{weights / 1e6:.1f}M weights; {sum(one.tokens for one in compared):,} tokens a pass"
            + (f"; {too_long:,} rows left out: a text of more than {longest:,} tokens" if too_long else "")
        )

    def _likelihoods(self, told: Sequence[Preference]) -> dict[str, Floats]:
        """log p of each text under the model as it was, of the whole and a token, [texts]."""
        engine = LocalEngine(self._model(), self._tokenizer())
        encoder = Encoder(engine.tokenizer)
        found = engine.score_tokens([encoder(one.prompt, text) for one in told for text in one.texts])
        del engine
        return_freed_memory()
        return {
            "likelihood": np.array([sum(part) for part in found], np.float64),
            "likelihood a token": np.array([sum(part) / len(part) for part in found], np.float64),
        }

    def _add_averaged(self, metrics: dict[str, Any], pairs: Sequence[Pair]) -> None:
        if self.recipe.averaged:
            (whole,) = members(self.run.path(AVERAGED))
            found = pair_metrics(pairs, _ahead(whole, pairs), {})
            metrics["ensemble"]["combinations"]["averaged"] = found["accuracy"]


def work_along(folder: Path) -> None:
    """What the other processes of torchrun do: wait for the data, then train with the first one."""
    wait_for(folder, "data")
    run = Run.open(folder, RewardRecipe)
    if not run.done("train"):
        RewardRun(run, Reporter("quiet")).train_along()


def _texts_rewards(reward: RewardModel, told: Sequence[Preference]) -> Floats:
    """Rewards of all texts, one row's after the other's, [texts]."""
    both = [(one.prompt, text) for one in told for text in one.texts]
    return reward.score([prompt for prompt, _ in both], [text for _, text in both])


def _ahead(reward: RewardModel, pairs: Sequence[Pair]) -> Floats:
    found = _texts_rewards(reward, pairs)
    return found[::2] - found[1::2]


def _items(told: Sequence[Preference], rewards_MT: Floats) -> list[dict[str, Any]]:
    ends = np.cumsum([len(one.texts) for one in told])
    starts = [0, *ends[:-1].tolist()]
    return [
        {**row_of(one), "rewards": rewards_MT[:, start : start + len(one.texts)].round(4).tolist()}
        for one, start in zip(told, starts, strict=True)
    ]


def _samples(
    told: Sequence[Preference], mean: Floats, tricky: Sequence[Pair], ahead: Floats
) -> dict[str, list[dict[str, Any]]]:
    """Pairs that were ranked most wrongly, for the report."""
    found: dict[str, list[dict[str, Any]]] = {}
    pairs = [one for one in told if isinstance(one, Pair)]
    own = mean[::2] - mean[1::2] if len(pairs) == len(told) else np.zeros(0)
    for name, these, by in (("held_out", pairs, own), ("adversarial", tricky, ahead)):
        worst = np.argsort(by, kind="stable")[:6] if len(by) else []
        found[name] = [{**row_of(these[i]), "ahead": float(by[i])} for i in worst if by[i] < 0]
    return found


def _short(step: RewardStep) -> dict[str, Any]:
    return {
        name: float(f"{value:.6g}") if isinstance(value, float) else value
        for name, value in asdict(step).items()
    }
