"""What a small model does with questions: at once or by steps, by chance or at best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from candor.core.statistics import bootstrap, proportion
from candor.engine.local import LocalEngine
from candor.engine.protocol import Completion, Sampling
from candor.reasoning.ways.free import Free
from candor.rl.measure import Held
from candor.rl.problem import Problem, Task
from candor.train.characters import Characters

_SEED = 2_000_000_089  # far from those of any training


def outcome(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    way: Free,
    problems: Sequence[Problem],
    *,
    samples: int,
    max_tokens: int,
) -> dict[str, Any]:
    """Ask a model, and say how it answers.

    Args:
        model, tokenizer: of `small_model`.
        task, way: set the problems and ask them.
        problems: that the model has not learned from.
        samples: completions of each at temperature 1, untruncated: the policy that RL trains.
        max_tokens: of a completion.

    Returns:
        Estimates with intervals over problems. `accuracy`, `tokens` (the end token included), `reasoned` and
        `pass` are of the samples, `greedy_accuracy`, `greedy_tokens` and `greedy_reasoned` of the likeliest
        completion; `at_once` is the accuracy of the likeliest answer when steps are forbidden;
        `by_steps` that of the samples with steps, None where there are none; `beyond` the share of samples
        with more tokens than a demonstration of their question would have, and `longest` their most tokens.
    """
    write = Characters(tokenizer)
    most = max(len(problem.answer) for problem in problems) + 1
    settings = [
        Sampling(max_tokens=max_tokens),
        Sampling(max_tokens=most, forbid_first=tuple(write(way.opening))),
        Sampling(max_tokens=max_tokens, temperature=1.0, n=samples, seed=_SEED),
    ]
    prompts = [write(problem.question) for problem in problems]
    found = LocalEngine(model, tokenizer).generate(prompts, settings)

    def right(problem: Problem, completion: Completion) -> bool:
        answer = way.read(completion.text)
        return answer is not None and task.right(problem, answer)

    right_PS, tokens_PS, reasoned_PS = np.zeros((3, len(problems), samples))
    usual_P = np.array([len(way.written(problem)) + 1 for problem in problems])
    greedy, direct = (
        np.array([right(p, g.completions[i]) for p, g in zip(problems, found, strict=True)]) for i in (0, 1)
    )
    for row, (problem, generation) in enumerate(zip(problems, found, strict=True)):
        drawn = generation.completions[2:]
        right_PS[row] = [right(problem, one) for one in drawn]
        tokens_PS[row] = [len(one.token_ids) for one in drawn]
        reasoned_PS[row] = [way.is_reasoning(one.text) for one in drawn]
    firsts = [generation.completions[0] for generation in found]
    held = Held(
        step=0,
        reward=right_PS,
        right=right_PS,
        greedy=greedy.astype(np.float64),
        tokens=tokens_PS,
        reasoned=reasoned_PS,
        greedy_tokens=np.array([len(one.token_ids) for one in firsts], np.float64),
    )
    summary = held.summary()
    del summary["step"]
    beyond_PS = tokens_PS > usual_P[:, None]
    return {
        **summary,
        "greedy_reasoned": proportion([way.is_reasoning(one.text) for one in firsts]).as_dict(),
        "at_once": proportion(direct).as_dict(),
        "by_steps": bootstrap(_ratio, (right_PS * reasoned_PS).sum(1), reasoned_PS.sum(1)).as_dict(),
        "beyond": bootstrap(lambda some: float(np.mean(some)), beyond_PS.mean(1)).as_dict(),
    }


def _ratio(part: np.ndarray, whole: np.ndarray) -> float | None:
    return float(part.sum() / whole.sum()) if whole.sum() else None
