"""The laboratory: a reference that writes replies, reward models that misjudge them, a policy for each arm.

base/               world      the reference policy, pretrained on replies; questions.txt: those held out
members/            rewards    reward models from noisy preferences between the reference's replies
calibration.json    labels     how far each arm's proxy is to be trusted, from a small labelled sample
arms/NAME.json      learn      what each policy's steps and its replies to held-out questions were worth
policies/NAME/      learn      the policies, for `candor audit`
metrics.json        compare    all arms beside the reference, paired by question
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from candor.rewards.hacking.recipe import HackingRecipe
from candor.rewards.hacking.world import ALPHABET, AsIs, Questions, reply, worth
from candor.rewards.model import Pair, RewardModel, RewardSettings, train_reward
from candor.rewards.replies import Replies, Writer
from candor.rewards.rlhf.arms import Arm, Labelled, Proxies, Trusted, regularizer_for
from candor.rewards.rlhf.judge import judged, selected
from candor.rewards.rlhf.proxy import ReferenceRewards
from candor.rl.loop import RlStep, train_policy
from candor.rl.problem import Problem
from candor.rl.rollout import Rollouts
from candor.rl.settings import RlSettings
from candor.train.characters import Characters, character_tokenizer
from candor.train.small import school, small_model

_CONTEXT = 64
_LESSONS = 33_000
_CHOICES = 64  # replies to choose from, with best-of and pessimism
# Draws for different purposes never share a seed.
_PAIRS, _LABELS, _REFERENCE, _JUDGED, _HELD_OUT = 11, 12, 13, 14, 1_000_000_007


class Laboratory:
    """Everything that arms share, made in order by `reference`, `rewards` and `labels`."""

    def __init__(self, recipe: HackingRecipe) -> None:
        self.recipe = recipe
        self.task, self.way = Questions(), AsIs()
        self.tokenizer: PreTrainedTokenizerBase = character_tokenizer(ALPHABET, _CONTEXT)
        # The RL loop holds out the same ones, by the same rule.
        self.held_out = self.task.problems(recipe.rl.held_out, _HELD_OUT + recipe.seed)
        apart = {one.id for one in self.held_out}
        self.questions = [one for one in self.task.problems(10_000, recipe.seed) if one.id not in apart]

    def reference(self) -> PreTrainedModel:
        """The reference policy: a small model that learned replies of attentive and of other authors."""
        recipe, draw = self.recipe, random.Random(self.recipe.seed)
        write = Characters(self.tokenizer)
        asked = [draw.choice([*self.questions, *self.held_out]).question for _ in range(_LESSONS)]
        examples = write.examples((question, reply(question, draw)) for question in asked)
        model = small_model(recipe.model, self.tokenizer, _CONTEXT, recipe.seed)
        school(model, examples, recipe.pretrain, pad_id=write.end, seed=recipe.seed)
        return model

    def replies(self, model: PreTrainedModel, problems: list[Problem], samples: int, seed: int) -> Replies:
        """Draw from a model's own distribution."""
        return self.writer(model).draw(problems, samples, seed=self.recipe.seed * 100 + seed)

    def writer(self, model: PreTrainedModel) -> Writer:
        """Draws replies of a model and reads others'."""
        return Writer(model, self.tokenizer, self.way, max_tokens=self.recipe.rl.max_tokens)

    def preferences(self, model: PreTrainedModel) -> list[Pair]:
        """Pairs of the reference's replies, the better one chosen but for the noise."""
        settings, draw = self.recipe.preferences, random.Random(self.recipe.seed + _PAIRS)
        problems = [draw.choice(self.questions) for _ in range(2 * settings.pairs)]
        drawn, found = self.replies(model, problems, 2, _PAIRS), []
        for problem, (one, other) in zip(problems, drawn.texts, strict=True):
            gap = self.worth(problem, one) - self.worth(problem, other)
            if gap == 0 or len(found) == settings.pairs:
                continue
            better = (gap > 0) != (draw.random() < settings.noise)
            found.append(Pair(problem.question, *((one, other) if better else (other, one))))
        return found

    def rewards(
        self, model: PreTrainedModel, on_member: Callable[[int], None] | None = None
    ) -> list[RewardModel]:
        """Reward models from the same pairs, each in another order, started from the reference."""
        pairs, found = self.preferences(model), []
        weights = {name: value.clone() for name, value in model.state_dict().items()}
        for member in range(self.recipe.preferences.members):
            start = small_model(self.recipe.model, self.tokenizer, _CONTEXT, self.recipe.seed)
            start.load_state_dict(weights)
            settings = RewardSettings(**self.recipe.reward.model_dump(), seed=self.recipe.seed * 100 + member)
            found.append(train_reward(start, self.tokenizer, pairs, settings))
            if on_member:
                on_member(member + 1)
        return found

    def proxies(self, model: PreTrainedModel, members: Sequence[RewardModel]) -> Proxies:
        """What arms are rewarded by, calibrated on a small labelled sample."""
        known = self.replies(model, [*self.questions, *self.held_out], 4, _REFERENCE)
        rewards = members[0].score([one.question for one in known.flat()[0]], known.flat()[1])
        by_prompt = dict(zip([one.id for one in known.problems], known.table(rewards.tolist()), strict=True))
        labels = self.recipe.labels
        sample = self.replies(model, self.questions[: labels.prompts], labels.samples, _LABELS)
        labelled = Labelled(sample, self.gold(sample).ravel())
        return Proxies(members, self.way, ReferenceRewards(by_prompt), labelled)

    def worth(self, problem: Problem, text: str) -> float:
        """What a reply is truly worth."""
        return worth(problem.question, text, self.recipe.harm)

    def gold(self, drawn: Replies) -> np.ndarray:
        """The same of many, [questions, samples]."""
        return drawn.table([self.worth(*one) for one in zip(*drawn.flat(), strict=True)])

    def learn(
        self,
        model: PreTrainedModel,
        arm: Arm,
        trusted: Trusted,
        on_step: Callable[[RlStep], None] | None = None,
    ) -> list[dict[str, float]]:
        """Train the policy, in place; returns what its steps' replies were worth. Gold is only looked at."""
        steps: list[dict[str, float]] = []

        def seen(step: RlStep, rollouts: Rollouts) -> None:
            gold = [self.worth(s.problem, s.completion) for row in rollouts.samples for s in row]
            steps.append(
                {
                    "step": step.step, "proxy": step.reward, "gold": float(np.mean(gold)),
                    "tokens": step.tokens, "kl": step.kl or 0.0, "chi2": step.chi2 or 0.0,
                }
            )  # fmt: skip
            if on_step:
                on_step(step)

        train_policy(
            model, self.tokenizer, self.task, self.way,
            RlSettings(**self.recipe.rl.model_dump(), seed=self.recipe.seed),
            trusted.proxy, None, seen, regularizer=regularizer_for(arm, trusted), force=True,
        )  # fmt: skip
        return steps

    def selected(self, reference: PreTrainedModel, arm: Arm, trusted: Trusted) -> dict[str, Any]:
        """What choosing among the reference's replies gives; see `rlhf.judge`."""
        seed = self.recipe.seed * 100 + _JUDGED
        return selected(
            self.writer(reference), self.held_out, _CHOICES, trusted, self.gold, how=arm.name, seed=seed
        )

    def judged(self, model: PreTrainedModel, reference: PreTrainedModel, trusted: Trusted) -> dict[str, Any]:
        """Replies of both to the held-out questions; see `rlhf.judge`."""
        both = self.writer(reference), self.writer(model)
        seed = self.recipe.seed * 100 + _JUDGED
        return judged(*both, self.held_out, self.recipe.judged, trusted, self.gold, seed=seed)
