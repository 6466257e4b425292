"""Asks a model problems in one way, and again with fewer tokens to think.

A budget is what the model may write before it has to answer: a completion that gave its answer within it
counts as it is; another is cut there, the answer's mark is appended, and a few tokens more are its answer.
Each budget cuts the same completion, so that a curve's points differ in nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from candor.engine.local import LocalEngine
from candor.engine.prompts import encode_prompt
from candor.engine.protocol import Sampling
from candor.reasoning.think.asked import Answered
from candor.reasoning.think.tokenised import parts_of
from candor.reasoning.ways.asking import STOPS, Asking
from candor.rl.problem import Problem, Task, Way

Progress = Callable[[int], None]


def ask(
    engine: LocalEngine,
    task: Task,
    way: Way,
    problems: Sequence[Problem],
    shown: Sequence[Problem],
    sampling: Sampling,
    on_progress: Progress | None = None,
) -> list[Answered]:
    """Have a model answer the problems of a task.

    Args:
        engine: of the model.
        task: says what is right.
        way: makes prompts that the engine can take.
        problems: to ask.
        shown: solved before each.
        sampling: of one completion each.
        on_progress: called with the number of problems answered since the last call.

    Raises:
        CandorError: a prompt and its completion don't fit the model's context.
    """
    prompts = [encode_prompt(engine.tokenizer, way.prompt(problem, shown)) for problem in problems]
    found = engine.generate(prompts, sampling, on_progress=on_progress)
    rows = []
    for problem, prompt, generation in zip(problems, prompts, found, strict=True):
        completion = generation.completions[0]
        read = way.read(completion.text)
        rows.append(
            Answered(
                task=task.name,
                kind=problem.kind,
                id=problem.id,
                way=way.name,
                question=problem.question,
                prompt=engine.text.decode(prompt, skip_special=False),
                completion=completion.text,
                answer=problem.answer,
                read=read,
                right=read is not None and task.right(problem, read),
                tokens=len(completion.token_ids),
                finished=completion.finish_reason == "stop",
                parts=tuple(parts_of(problem.question, engine.tokenizer)),
                token_ids=completion.token_ids,
            )
        )
    return rows


def sampling_of(way: Way, **settings: float) -> Sampling:
    """How a way's completions are drawn: with its tools, and a base model's up to the next problem."""
    chat = getattr(way, "chat", True)
    return Sampling(stop=() if chat else STOPS, tools=getattr(way, "tools", ()), **settings)  # type: ignore[arg-type]


def ask_within(
    engine: LocalEngine,
    task: Task,
    way: Asking,
    problems: Sequence[Problem],
    shown: Sequence[Problem],
    answered: Sequence[Answered],
    budgets: Sequence[int],
    forced: Sampling,
    on_progress: Progress | None = None,
) -> list[Answered]:
    """The same completions within budgets: a row for each problem and budget.

    Args:
        engine: of the model.
        task: says what is right.
        way: that the problems were asked in.
        problems: as `ask` was given them.
        shown: as `ask` was given them.
        answered: what `ask` returned.
        budgets: numbers of tokens.
        forced: how an answer is drawn after a cut.
        on_progress: called with the number of completions forced since the last call.
    """
    rows: dict[tuple[int, int], Answered] = {}
    prompts: list[list[int]] = []
    cuts: list[tuple[int, int, str]] = []
    for place, (problem, row) in enumerate(zip(problems, answered, strict=True)):
        ids = encode_prompt(engine.tokenizer, way.prompt(problem, shown))
        for budget in budgets:
            whole = row.finished and row.tokens <= budget
            text = row.completion if whole else engine.text.decode(row.token_ids[:budget])
            closing = None if whole else way.closing(text)
            tokens = min(row.tokens, budget)
            if closing is None:
                rows[place, budget] = _within(row, task, way, problem, text, budget, tokens)
                continue
            tail = engine.tokenizer(closing, add_special_tokens=False)["input_ids"] if closing else []
            prompts.append([*ids, *row.token_ids[:budget], *tail])  # type: ignore[misc]
            cuts.append((place, budget, text + closing))
    found = engine.generate(prompts, forced, on_progress=on_progress) if prompts else []
    for (place, budget, text), generation in zip(cuts, found, strict=True):
        row, more = answered[place], generation.completions[0].text
        tokens = min(row.tokens, budget)
        rows[place, budget] = _within(
            row, task, way, problems[place], text + more, budget, tokens, forced=True
        )
    return [rows[place, budget] for budget in budgets for place in range(len(problems))]


def _within(
    row: Answered,
    task: Task,
    way: Way,
    problem: Problem,
    text: str,
    budget: int,
    tokens: int,
    *,
    forced: bool = False,
) -> Answered:
    read = way.read(text)
    return row.model_copy(
        update={
            "completion": text,
            "read": read,
            "right": read is not None and task.right(problem, read),
            "tokens": tokens,
            "finished": row.finished and row.tokens <= budget,
            "token_ids": (),
            "budget": budget,
            "forced": forced,
        }
    )
