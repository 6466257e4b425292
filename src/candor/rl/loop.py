"""RL with verifiable rewards: draw completions, reward them, make the better ones likelier.

    result = train_policy(model, tokenizer, task, way, RlSettings(steps=40, max_tokens=40))

Nothing is rewarded but what the reward says; by default that is a right answer, however it was reached. The
engine draws from the very weights that are trained: no copy, no server between. The result depends on the
model, the task, the way and the settings, not on interruptions.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from candor.core.errors import enough_memory
from candor.core.memory import kept_memory
from candor.engine.local import LocalEngine
from candor.model.first_use import compile_kernels
from candor.rl.learner import Learned, Learner
from candor.rl.measure import Held, Start, measured, start_of
from candor.rl.problem import Task, Way
from candor.rl.problems import ProblemSet
from candor.rl.regularizer import Regularizer
from candor.rl.reward import Scorer, rewards_of
from candor.rl.rollout import Drawer, Roller, Rollouts, weight_pusher
from candor.rl.settings import RlSettings
from candor.train.adapters import left_alone
from candor.train.distributed import group_of
from candor.train.state import load_state, save_state, unfinished


@dataclass(frozen=True)
class RlStep:
    """What happened in one step; means are over the step's completions, before its update."""

    step: int  # 1-based
    steps: int
    reward: float
    accuracy: float
    tokens: float  # mean length
    longest: int
    entropy: float  # nats a token: mean -log p of the drawn tokens, which at temperature 1 estimates it
    reasoned: float  # share of completions longer than an answer at once
    truncated: float
    without_variance: float  # share of problems whose completions were all rewarded alike
    clip_fraction: float  # of the tokens learned from
    grad_norm: float  # of the last update, before clipping; 0 where there was none
    kl: float | None  # to the model at the start, nats a completion, where something regularises
    chi2: float | None  # to the same, where completions of the reference were drawn
    effective: float | None  # share of the reference's completions that still stand for the policy
    reference_reward: float | None  # mean reward of the reference's completions, where some were drawn
    mismatch: float | None  # mean |log p| between engine and training pass, of the tokens first learned from
    learning_rate: float
    rollout_seconds: float
    update_seconds: float
    tokens_per_second: float  # drawn, over the whole step


@dataclass
class RlResult:
    """A finished run; `model` is the one given, trained."""

    model: PreTrainedModel
    history: list[RlStep]
    held_out: list[Held]  # before, on the way, after
    start: Start | None  # what it could do at first; None if that was not asked
    resumed_from: int = 0

    @property
    def before(self) -> Held:
        """Before the first step."""
        return self.held_out[0]

    @property
    def after(self) -> Held:
        """After the last one."""
        return self.held_out[-1]


@dataclass
class _State:
    """All that changes from step to step beside the weights."""

    step: int = 0
    history: list[RlStep] = field(default_factory=list)
    held_out: list[Held] = field(default_factory=list)
    start: Start | None = None


def train_policy(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    way: Way,
    settings: RlSettings | None = None,
    reward: Scorer | None = None,
    folder: Path | None = None,
    on_step: Callable[[RlStep, Rollouts], None] | None = None,
    *,
    on_held_out: Callable[[Held], None] | None = None,
    regularizer: Regularizer | None = None,
    engine: Drawer | None = None,
    force: bool = False,
) -> RlResult:
    """Train a model by reinforcement on a task's problems, asked in one way.

    Args:
        model: trained in place, in the arithmetic type that it has, on the device it is on.
        tokenizer: its tokenizer, with a chat template if the way asks by messages.
        task: sets the problems and says what is right.
        way: asks for answers and reads them.
        settings: how to train.
        reward: of each completion; None: 1 for a right answer.
        folder: where the state is kept from time to time; None: not kept. It is still there at the end:
            remove it (`state.clear_state`) once the result is safe.
        on_step: called after each step, in the first process, with what that one drew.
        on_held_out: called after each evaluation, in the first process.
        regularizer: shapes rewards by the distance to the model as it is now; None: as the settings say.
        engine: draws completions; None: a `LocalEngine` on the model itself. Others get its weights after
            each update (`VllmEngine`).
        force: begin even if the model never succeeds.

    Raises:
        CandorError: the model hardly ever succeeds, the state in `folder` is of another run, the gradient is
            no longer a number, or a prompt does not fit the model's context.
    """
    settings = settings or RlSettings()
    group = group_of(model.device)
    if model.device.type == "cpu":
        compile_kernels(model.dtype)
    problems = ProblemSet.of(task, held_out=settings.held_out, shots=settings.shots, seed=settings.seed)
    scorer = rewards_of(["correct"]) if reward is None else reward
    identity = _fingerprint(model, f"{task.name}\n{way.name}\n{scorer.name}\n{regularizer}", settings)
    notes = unfinished(folder, identity, group, "another task, settings or model")
    roller = Roller(
        LocalEngine(model, tokenizer) if engine is None else engine,
        tokenizer,
        task,
        way,
        scorer,
        shown=problems.shown,
        slack=settings.reasoning_slack,
        stop=settings.stop,
        group=group,
        refresh=None if engine is None else weight_pusher(engine, model),
    )
    asked: dict[str, Any] = {
        "max_tokens": settings.max_tokens, "temperature": settings.temperature, "seed": settings.seed
    }  # fmt: skip
    state = _State()
    with contextlib.ExitStack() as stack:
        stack.enter_context(kept_memory())
        stack.enter_context(left_alone(model, settings.frozen))
        stack.callback(model.eval)
        model.eval()
        learner = Learner(
            model,
            problems.held_out[0].question,
            tokenizer,
            settings,
            regularizer,
            group,
            lambda fixed: roller.on(LocalEngine(fixed, tokenizer)),
        )
        stack.callback(learner.close)
        if folder is not None and notes is not None:
            load_state(folder, learner.masters.tensors())
            learner.masters.publish()
            roller.changed()
            state = _read_state(notes)
        resumed_from = state.step
        if state.step == 0:
            if not force:
                some = problems.step(-1, settings.check_problems)
                state.start = start_of(roller, some, **asked)
                state.start.need_success()
            _evaluate(state, roller, problems, settings, asked, on_held_out if group.rank == 0 else None)
        saved_at = time.monotonic()
        while state.step < settings.steps:
            began = time.monotonic()
            rollouts = roller.draw(
                problems.step(state.step, settings.prompts),
                settings.samples,
                **{**asked, "seed": settings.seed * 1_000_003 + state.step},
            )
            with enough_memory(
                f"learning from completions, {settings.micro_batch_tokens:,} tokens at once",
                "micro_batch_tokens, or set a larger share frozen",
            ):
                learned = learner.learn(rollouts, state.step)
            roller.changed()
            state.step += 1
            state.history.append(_metrics(state.step, settings, rollouts, learned, time.monotonic() - began))
            if on_step is not None and group.rank == 0:
                on_step(state.history[-1], rollouts)
            done = state.step == settings.steps
            if done or (settings.evaluate_every and state.step % settings.evaluate_every == 0):
                _evaluate(state, roller, problems, settings, asked, on_held_out if group.rank == 0 else None)
            due = time.monotonic() - saved_at >= settings.checkpoint_seconds
            if folder is not None and not done and group.agrees(due):
                if group.rank == 0:
                    save_state(folder, state.step, learner.masters.tensors(), _notes(state, identity))
                saved_at = time.monotonic()
    return RlResult(model, state.history, state.held_out, state.start, resumed_from)


def _evaluate(
    state: _State,
    roller: Roller,
    problems: ProblemSet,
    settings: RlSettings,
    asked: dict[str, Any],
    tell: Callable[[Held], None] | None,
) -> None:
    samples = settings.held_out_samples
    state.held_out.append(measured(roller, problems.held_out, samples=samples, step=state.step, **asked))
    if tell is not None:
        tell(state.held_out[-1])


def _metrics(step: int, settings: RlSettings, rollouts: Rollouts, learned: Learned, seconds: float) -> RlStep:
    drawn = float(rollouts.drawn.sum())
    return RlStep(
        step=step,
        steps=settings.steps,
        reward=float(rollouts.rewards.mean()),
        accuracy=float(rollouts.right.mean()),
        tokens=float(rollouts.tokens.mean()),
        longest=int(rollouts.tokens.max()),
        entropy=float(rollouts.surprise.sum()) / drawn,
        reasoned=float(rollouts.reasoned.mean()),
        truncated=float(rollouts.truncated.mean()),
        rollout_seconds=rollouts.seconds,
        update_seconds=seconds - rollouts.seconds,
        tokens_per_second=drawn / seconds,
        **asdict(learned),
    )


def _notes(state: _State, identity: str) -> dict[str, Any]:
    return {
        "fingerprint": identity,
        "history": [asdict(one) for one in state.history],
        "held_out": [one.as_json() for one in state.held_out],
        "start": None if state.start is None else state.start.right.tolist(),
    }


def _read_state(notes: dict[str, Any]) -> _State:
    return _State(
        step=int(notes["step"]),
        history=[RlStep(**one) for one in notes["history"]],
        held_out=[Held.of(one) for one in notes["held_out"]],
        start=None if notes["start"] is None else Start(np.array(notes["start"], np.float64)),
    )


def _fingerprint(model: PreTrainedModel, asked: str, settings: RlSettings) -> str:
    """What a run is made of: settings, what is asked, and the model's shape with a sample of its weights."""
    digest = hashlib.sha256(settings.model_dump_json(exclude={"checkpoint_seconds"}).encode())
    digest.update(f"{asked}\n{model.dtype}\n".encode())
    for name, parameter in model.named_parameters():
        sample = parameter.detach().flatten()[:64].float().cpu()
        digest.update(f"{name} {tuple(parameter.shape)}".encode() + sample.numpy().tobytes())
    return digest.hexdigest()
